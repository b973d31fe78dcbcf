//! - `HOST` (127.0.0.1), `PORT` (8000): where to listen.
//! - `TENANT_HOST_SUFFIXES` (`localhost`): a request to `SLUG.SUFFIX` chooses that tenant; commas between several.
//! - `CORS_ORIGINS` (none): web pages of other origins that may call the APIs, such as `https://shop.example`; commas
//!   between several.
//! - `REQUEST_TIMEOUT_MS` (30000): the deadline of one operation.
//! - `BODY_BYTES_MAX` (8388608): the largest request body; a catalogue import travels in one.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderValue;
use url::{Origin, Url};

use super::Reader;

/// Addresses and limits of HTTP.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// Host names under which a label names a tenant, without a leading dot.
    pub tenant_host_suffixes: Vec<String>,
    /// Web pages of other origins that may call the APIs.
    pub cors_origins: Vec<HeaderValue>,
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
            cors_origins: origins(reader),
            request_timeout: reader.millis("REQUEST_TIMEOUT_MS", 30_000),
            body_bytes_max: usize::try_from(reader.at_least_one("BODY_BYTES_MAX", 8 * 1024 * 1024_u64))
                .unwrap_or(usize::MAX),
        }
    }
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
