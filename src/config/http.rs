//! - `HOST` (127.0.0.1), `PORT` (8000): where to listen.
//! - `TENANT_HOST_SUFFIXES` (`localhost`): a request to `SLUG.SUFFIX` chooses that tenant; commas between several.
//! - `TRUSTED_PROXIES` (none): networks such as `10.0.0.0/8` whose `X-Forwarded-For` is believed; commas between several.
//! - `CORS_ORIGINS` (none): web pages of other origins that may call the APIs, such as `https://shop.example`; commas
//!   between several.
//! - `TRUSTED_DOCUMENTS` (`off`): whether operations must be known to the shop: `off`, `warn` in the log, or `only`.
//! - `REQUEST_TIMEOUT_MS` (30000): the deadline of one operation.
//! - `BODY_BYTES_MAX` (8388608): the largest request body; a catalogue import travels in one.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;
use url::{Origin, Url};

use super::Reader;

/// Whether the operations of tenants' frontends must be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedDocuments {
    /// Any document is served.
    Off,
    /// Any document is served; those that are not known are logged.
    Warn,
    /// Known documents alone are served.
    Only,
}

impl FromStr for TrustedDocuments {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "off" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            "only" => Ok(Self::Only),
            _ => Err("use off, warn or only"),
        }
    }
}

/// Addresses and limits of HTTP.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// Host names under which a label names a tenant, without a leading dot.
    pub tenant_host_suffixes: Vec<String>,
    /// Networks of proxies that are believed when they say whom a request is from.
    pub trusted_proxies: Vec<IpNet>,
    /// Web pages of other origins that may call the APIs.
    pub cors_origins: Vec<HeaderValue>,
    /// Whether operations must be known to the shop.
    pub trusted_documents: TrustedDocuments,
    /// The deadline of one operation.
    pub request_timeout: Duration,
    /// The largest request body in bytes.
    pub body_bytes_max: usize,
}

impl HttpConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let suffixes = reader.text("TENANT_HOST_SUFFIXES").unwrap_or_default();
        let mut tenant_host_suffixes = vec!["localhost".to_owned()];
        for suffix in suffixes.split(',').map(|s| s.trim().trim_start_matches('.').to_ascii_lowercase()) {
            if !suffix.is_empty() && !tenant_host_suffixes.contains(&suffix) {
                tenant_host_suffixes.push(suffix);
            }
        }
        Self {
            host: reader.or("HOST", IpAddr::from([127, 0, 0, 1])),
            port: reader.or("PORT", 8000),
            tenant_host_suffixes,
            trusted_proxies: networks(reader),
            cors_origins: origins(reader),
            trusted_documents: reader.or("TRUSTED_DOCUMENTS", TrustedDocuments::Off),
            request_timeout: reader.millis("REQUEST_TIMEOUT_MS", 30_000),
            body_bytes_max: usize::try_from(reader.at_least_one("BODY_BYTES_MAX", 8 * 1024 * 1024_u64))
                .unwrap_or(usize::MAX),
        }
    }
}

/// Networks, or single addresses.
fn networks(reader: &mut Reader<'_>) -> Vec<IpNet> {
    let setting = reader.text("TRUSTED_PROXIES").unwrap_or_default();
    let mut networks = Vec::new();
    for text in setting.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => reader.problem("TRUSTED_PROXIES", &format!("`{text}` is not a network such as 10.0.0.0/8")),
        }
    }
    networks
}

/// Origins as browsers write them: scheme, host and port, without a path. `*` is refused: whoever is meant is named.
fn origins(reader: &mut Reader<'_>) -> Vec<HeaderValue> {
    let setting = reader.text("CORS_ORIGINS").unwrap_or_default();
    let mut origins = Vec::new();
    for text in setting.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let origin = Url::parse(text).map(|url| url.origin()).ok();
        match origin.filter(Origin::is_tuple).map(|origin| origin.ascii_serialization()).filter(|origin| origin == text)
        {
            Some(origin) => origins.extend(HeaderValue::from_str(&origin)),
            None => reader.problem("CORS_ORIGINS", &format!("`{text}` is not an origin such as https://shop.example")),
        }
    }
    origins
}
