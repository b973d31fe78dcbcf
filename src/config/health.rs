//! - `HEALTH_INTERVAL_SECONDS` (10; 30 in staging): how often a process looks whether it can do its work.
//! - `DRAIN_DELAY_MS` (0 in development, else 5000): how long a server that is told to stop goes on taking connections, so that who
//!   sends it requests notices that it is not ready any more.
//! - `ALERTMANAGER_URL` (none): where alerts are handed on, for `shelfwise doctor` alone.

use std::time::Duration;

use url::Url;

use super::{Environment, Reader};

/// The longest that a server may go on once it is told to stop.
const DRAIN_DELAY_MS_MAX: u64 = 120_000;

/// How a process tells others of its state.
#[derive(Debug, Clone)]
pub struct HealthConfig {
    /// From one look whether it can do its work to the next.
    pub interval: Duration,
    /// From the signal to stop to the end of new connections.
    pub drain_delay: Duration,
    /// Where alerts are handed on, without a slash at the end.
    pub alertmanager: Option<String>,
}

impl HealthConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let interval = match environment {
            Environment::Staging => 30,
            Environment::Development | Environment::Production => 10,
        };
        let drain_delay = match environment {
            // Nobody stands before a developer's server.
            Environment::Development => 0,
            Environment::Staging | Environment::Production => 5_000,
        };
        let mut drain_delay_ms = reader.or("DRAIN_DELAY_MS", drain_delay);
        if drain_delay_ms > DRAIN_DELAY_MS_MAX {
            reader.problem("DRAIN_DELAY_MS", "must be at most 120000");
            drain_delay_ms = drain_delay;
        }
        Self {
            interval: Duration::from_secs(u64::from(reader.at_least_one::<u16>("HEALTH_INTERVAL_SECONDS", interval))),
            drain_delay: Duration::from_millis(drain_delay_ms),
            alertmanager: alertmanager(reader),
        }
    }
}

/// The base of Alertmanager's addresses. It may hold a password, so a problem does not quote it.
fn alertmanager(reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text("ALERTMANAGER_URL")?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Some(url.as_str().trim_end_matches('/').to_owned())
        }
        _ => {
            reader.problem("ALERTMANAGER_URL", "use http://HOST:PORT or https://HOST");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_and_not_quoted() {
        let vars = |name: &str| {
            Some(match name {
                "DRAIN_DELAY_MS" => "120001".to_owned(),
                "HEALTH_INTERVAL_SECONDS" => "0".to_owned(),
                _ => "amqp://hunter2@alerts".to_owned(),
            })
        };
        let mut reader = Reader::new(&vars);
        let config = HealthConfig::read(&mut reader, Environment::Production);
        let error = reader.finish(config).unwrap_err().to_string();
        for name in ["DRAIN_DELAY_MS", "HEALTH_INTERVAL_SECONDS", "ALERTMANAGER_URL"] {
            assert!(error.contains(name), "{name} is missing in:\n{error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn alerts_are_asked_for_below_their_base() {
        let vars = |name: &str| (name == "ALERTMANAGER_URL").then(|| "http://alerts:9093/".to_owned());
        let config = HealthConfig::read(&mut Reader::new(&vars), Environment::Staging);
        assert_eq!(config.alertmanager.as_deref(), Some("http://alerts:9093"));
    }
}
