//! - `LOG_LEVEL` (`debug` of our own code in staging, else `info`): a level, or filters such as `info,shelfwise=debug`.
//! - `LOG_FORMAT` (`pretty` in development, else `json`).
//!
//! Below `info` the database's driver tells values of SQL, which it does only where the filter names it: `tokio_postgres=debug`.

use super::{Environment, Reader};

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Filters in the syntax of `tracing_subscriber::EnvFilter`.
    pub level: String,
    /// Lines for a person or for a machine.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for a terminal.
    Pretty,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err("use json or pretty".to_owned()),
        }
    }
}

impl LogConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let (level, format) = match environment {
            Environment::Development => ("info", LogFormat::Pretty),
            Environment::Staging => ("info,shelfwise=debug", LogFormat::Json),
            Environment::Production => ("info", LogFormat::Json),
        };
        let level = reader.or("LOG_LEVEL", level.to_owned());
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
            reader.problem("LOG_LEVEL", &error.to_string());
        }
        Self { level, format: reader.or("LOG_FORMAT", format) }
    }
}
