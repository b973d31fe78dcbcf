//! Log lines: text for a terminal or JSON for a machine, with the fields of the request's span.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::log::{LogConfig, LogFormat};

/// Sends log lines to standard error from now on. A second call changes nothing.
///
/// # Errors
/// The filter is malformed.
pub fn init(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.level)?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    // An error means that a subscriber is set already, as in tests.
    let _ = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Pretty => builder.compact().with_target(false).try_init(),
    };
    Ok(())
}
