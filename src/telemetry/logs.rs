//! Log lines: text for a terminal or JSON for a machine, with the fields of the [frames] that they are written in.

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
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

/// Crates of others that tell values at `debug` and below: of statements, their parameters. Whoever wants to read those names the
/// crate in the filter.
const TELLS_VALUES: [&str; 1] = ["tokio_postgres"];

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
    let named = |name: &&str| config.level.split(',').any(|directive| root(directive) == *name);
    let held: Vec<_> = TELLS_VALUES.into_iter().filter(|name| !named(name)).collect();
    // A directive could not hold them: those for a span count for all that is said within it.
    let is_told =
        move |metadata: &Metadata<'_>| *metadata.level() <= Level::INFO || !held.contains(&root(metadata.target()));
    let filter = filter.and(filter_fn(is_told).with_max_level_hint(LevelFilter::TRACE));
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

/// The crate of a target, or of a directive such as `crate::module[span]=level`.
fn root(text: &str) -> &str {
    text.split([':', '[', '=']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn values_are_told_by_no_level_but_one_that_names_who_tells_them() {
        let check = |level: &str, expected: &[&str]| {
            let memory = Memory::default();
            let writer = memory.clone();
            let config = LogConfig { level: level.to_owned(), format: LogFormat::Json };
            let lines = lines(&config, move || writer.clone()).unwrap();
            tracing::subscriber::with_default(Registry::default().with(frames::layer()).with(lines), || {
                let _within = tracing::error_span!(target: frames::FRAME, "request", request.id = "r1").entered();
                tracing::trace!(target: "tokio_postgres::connection", "driver trace");
                tracing::debug!(target: "tokio_postgres::query", "driver debug");
                tracing::info!(target: "tokio_postgres::connection", "driver info");
                tracing::debug!(target: "tokio_postgres_rustls", "neighbour debug");
                tracing::debug!(target: "shelfwise::db", "ours debug");
                tracing::trace!(target: "hyper", "other trace");
            });
            let bytes = memory.0.lock().unwrap().clone();
            let text = String::from_utf8(bytes).unwrap();
            let told = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let told: Vec<_> = told.map(|line| line["message"].as_str().unwrap().to_owned()).collect();
            assert_eq!(told, expected, "{level}");
        };
        check("error", &[]);
        check("info", &["driver info"]);
        check("debug", &["driver info", "neighbour debug", "ours debug"]);
        check("trace", &["driver info", "neighbour debug", "ours debug", "other trace"]);
        check("warn,shelfwise=debug", &["ours debug"]);
        check("warn,[request]=trace", &["driver info", "neighbour debug", "ours debug", "other trace"]);
        check("debug,tokio_postgres=debug", &["driver debug", "driver info", "neighbour debug", "ours debug"]);
        check("warn,tokio_postgres::query=debug", &["driver debug"]);
        check("debug,tokio_postgres_rustls=debug", &["driver info", "neighbour debug", "ours debug"]);
    }
}
