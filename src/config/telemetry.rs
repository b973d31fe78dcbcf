//! Where traces go, by the variables that OpenTelemetry names.
//!
//! - `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector, `http://HOST:4318` or, by gRPC, `http://HOST:4317`; `https:` for TLS with an authority
//!   that the machine trusts. Unset: nothing is traced, and nothing is spent on it.
//! - `OTEL_EXPORTER_OTLP_PROTOCOL` (`http/protobuf`): or `grpc`.
//! - `OTEL_EXPORTER_OTLP_HEADERS`: `NAME=VALUE`, commas between several, for a collector that asks who sends.
//! - `OTEL_SERVICE_NAME` (`shelfwise`): what this process is called there.
//! - `OTEL_TRACES_SAMPLER_ARG` (1): the share of traces that is kept, 0 to 1, where no caller has decided.

use std::str::FromStr;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::{Environment, Reader};

/// What is traced, and where to.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// Where traces go; nothing where none are made.
    pub traces: Option<TracesConfig>,
}

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// The collector.
    pub endpoint: Url,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// What it is told of who sends; the values are marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What this process is called.
    pub service: String,
    /// What kind of installation this is.
    pub environment: Environment,
    /// The share of traces that is kept where no caller has decided, from 0 to 1.
    pub share: f64,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A POST for each batch.
    Http,
    /// Over HTTP/2.
    Grpc,
}

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "http/protobuf" => Ok(Self::Http),
            "grpc" => Ok(Self::Grpc),
            _ => Err("use http/protobuf or grpc"),
        }
    }
}

impl TelemetryConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let endpoint = endpoint(reader);
        let protocol = reader.or("OTEL_EXPORTER_OTLP_PROTOCOL", Protocol::Http);
        let headers = headers(reader);
        let service = reader.or("OTEL_SERVICE_NAME", "shelfwise".to_owned());
        let share = reader.or("OTEL_TRACES_SAMPLER_ARG", 1.0);
        if !(0.0..=1.0).contains(&share) {
            reader.problem("OTEL_TRACES_SAMPLER_ARG", "must be from 0 to 1");
        }
        let traces = endpoint.map(|endpoint| TracesConfig { endpoint, protocol, headers, service, environment, share });
        Self { traces }
    }
}

/// The collector's address. What it must be told of who sends is not in it, for it is logged.
fn endpoint(reader: &mut Reader<'_>) -> Option<Url> {
    let text = reader.text("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let is_good = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
    };
    let url = text.parse().ok().filter(is_good);
    if url.is_none() {
        // The text may hold a password, so it is not told.
        reader.problem("OTEL_EXPORTER_OTLP_ENDPOINT", "use http://HOST:PORT or https://HOST:PORT, without a password");
    }
    url
}

/// The headers, whose values may be secrets: no problem quotes one.
fn headers(reader: &mut Reader<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let Some(text) = reader.text("OTEL_EXPORTER_OTLP_HEADERS") else { return Vec::new() };
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name.trim().parse().ok()?, value))
    };
    let headers: Option<Vec<_>> = text.split(',').filter(|pair| !pair.trim().is_empty()).map(header).collect();
    headers.unwrap_or_else(|| {
        reader.problem("OTEL_EXPORTER_OTLP_HEADERS", "use NAME=VALUE, commas between several");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Option<TracesConfig>, String> {
        let vars = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let mut reader = Reader::new(&vars);
        let config = TelemetryConfig::read(&mut reader, Environment::Production);
        reader.finish(config.traces).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_traced_without_a_collector() {
        assert!(read(&[("OTEL_TRACES_SAMPLER_ARG", "1"), ("OTEL_SERVICE_NAME", "api")]).unwrap().is_none());
    }

    #[test]
    fn a_collector_is_told_who_sends_and_no_problem_quotes_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example");
        let config = read(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20c2VjcmV0,x-team=shop")]);
        let config = config.unwrap().unwrap();
        let headers: Vec<_> = config.headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(headers, [("authorization", "Basic c2VjcmV0"), ("x-team", "shop")]);
        assert_eq!((config.protocol, config.service.as_str(), config.share), (Protocol::Http, "shelfwise", 1.0));
        assert!(!format!("{config:?}").contains("c2VjcmV0"));

        let refused = |vars: &[(&str, &str)], problem: &str| {
            let error = read(vars).unwrap_err();
            assert!(error.contains(problem) && !error.contains("s3cret"), "{error}");
        };
        refused(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret")], "use NAME=VALUE");
        refused(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:s3cret@otel.example")], "without a password");
        refused(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "otel:4317")], "use http://HOST:PORT");
        refused(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], "use http/protobuf or grpc");
        refused(&[endpoint, ("OTEL_TRACES_SAMPLER_ARG", "1.5")], "must be from 0 to 1");
        refused(&[endpoint, ("OTEL_TRACES_SAMPLER_ARG", "NaN")], "must be from 0 to 1");
    }
}
