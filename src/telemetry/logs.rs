//! Log lines: text for a terminal or JSON for a machine, with the fields of the [frames] that they are written in.

use tracing::Subscriber;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::{self, MakeWriter, format};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::lines::Lines;
use super::traces::Traces;
use super::{frames, traces};
use crate::config::log::{LogConfig, LogFormat};
use crate::config::telemetry::TelemetryConfig;

/// What no level changes: lines without frames do not tell whose they are.
const ALWAYS: &str = "shelfwise::frame=error";

/// Sends log lines to standard error from now on, and makes traces where there is a collector: what sends them is answered, to be
/// [started](Traces::start). A second call changes nothing.
///
/// # Errors
/// The filter is malformed.
pub fn init(log: &LogConfig, telemetry: &TelemetryConfig) -> anyhow::Result<Option<Traces>> {
    let lines = lines(log, std::io::stderr)?;
    let (spans, traces) = telemetry.traces.as_ref().map(traces::layer).unzip();
    // An error means that a subscriber is set already, as in tests.
    let known = Registry::default().with(frames::layer()).with(lines);
    // A layer that is not there would be asked about every callsite.
    let is_first = match spans {
        Some(spans) => known.with(spans).try_init(),
        None => known.try_init(),
    };
    let is_first = is_first.is_ok();
    if is_first && traces.is_some() {
        traces::switch_on();
    }
    Ok(traces.filter(|_| is_first))
}

/// What writes lines.
///
/// # Errors
/// The filter is malformed.
pub fn lines<S, W>(config: &LogConfig, writer: W) -> anyhow::Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.level)?.add_directive(ALWAYS.parse()?);
    Ok(match config.format {
        LogFormat::Json => Lines::new(writer).with_filter(filter).boxed(),
        LogFormat::Pretty => {
            let fields = format::debug_fn(|writer, field, value| match field.name() {
                "message" => write!(writer, "{value:?}"),
                // For traces alone, and of who called the `log` crate.
                name if name.starts_with("otel.") || name.starts_with("log.") => Ok(()),
                name => write!(writer, "{name}={value:?}"),
            });
            let layer = fmt::layer().compact().with_target(false).fmt_fields(fields.delimited(" "));
            layer.with_writer(writer).with_filter(filter).boxed()
        }
    })
}
