//! Log lines for a machine: one JSON object each, with all that the frames say in which it was written, the innermost first.

use std::cell::RefCell;
use std::fmt::Debug;
use std::io::Write as _;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::frames::{Frame, Noted};

/// How much memory a thread keeps for its next line, in bytes.
const LINE_BYTES_KEPT: usize = 4 * 1024;

/// Writes lines.
pub struct Lines<W>(W);

impl<W> Lines<W> {
    /// Lines that go to a writer.
    #[must_use]
    pub fn new(writer: W) -> Self {
        Self(writer)
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        // Who writes a line while a line is written, in a value's Debug, has one of its own.
        LINE.with(|kept| match kept.try_borrow_mut() {
            Ok(mut line) => {
                self.write(event, &context, &mut line);
                line.clear();
                line.shrink_to(LINE_BYTES_KEPT);
            }
            Err(_) => self.write(event, &context, &mut Vec::new()),
        });
    }
}

impl<W: for<'w> MakeWriter<'w> + 'static> Lines<W> {
    fn write<S>(&self, event: &Event<'_>, context: &Context<'_, S>, line: &mut Vec<u8>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut time = String::new();
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        line.extend_from_slice(b"{\"timestamp\":");
        json(line, &time);
        put(line, "level", event.metadata().level().as_str());
        let mut fields = Fields { line, target: None };
        event.record(&mut fields);
        let target = fields.target.take();
        // What is told by the `log` crate has its own.
        put(line, "target", target.as_deref().unwrap_or_else(|| event.metadata().target()));
        self.frames(event, context, line);
        line.extend_from_slice(b"}\n");
        let _ = self.0.make_writer_for(event.metadata()).write_all(line);
    }

    /// Writes what frames say: an inner one goes before an outer one, and the event itself before all.
    fn frames<S>(&self, event: &Event<'_>, context: &Context<'_, S>, line: &mut Vec<u8>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut said: Vec<&'static str> = Vec::new();
        let own = event.metadata().fields();
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let Some(frame) = extensions.get::<Frame>() else { continue };
            for (name, noted) in frame.fields() {
                if said.contains(name) || own.field(name).is_some() {
                    continue;
                }
                said.push(name);
                match noted {
                    Noted::Text(text) => put(line, name, text),
                    Noted::Number(number) => put(line, name, number),
                }
            }
        }
    }
}

/// The fields of an event, written as they come.
struct Fields<'a> {
    line: &'a mut Vec<u8>,
    target: Option<String>,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Serialize) {
        // Where in which file a crate logs is its own affair.
        if !field.name().starts_with("log.") {
            put(self.line, field.name(), value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.target = Some(value.to_owned());
        }
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

/// Adds a field to an object that is open.
fn put(line: &mut Vec<u8>, name: &str, value: impl Serialize) {
    line.push(b',');
    json(line, name);
    line.push(b':');
    json(line, value);
}

fn json(line: &mut Vec<u8>, value: impl Serialize) {
    // Neither can a `Vec` refuse, nor is there anything here that JSON cannot say.
    let _ = serde_json::to_writer(line, &value);
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::SpanContext;
    use serde_json::{Value, json};
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt as _;
    use uuid::Uuid;

    use super::*;
    use crate::telemetry::frames::{self, Cause, JobNotes};

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

    /// What was logged by some work, but for the time.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let memory = Memory::default();
        let writer = memory.clone();
        let lines = Lines::new(move || writer.clone());
        tracing::subscriber::with_default(Registry::default().with(frames::layer()).with(lines), work);
        let bytes = memory.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            assert!(line.as_object_mut().unwrap().remove("timestamp").unwrap().is_string());
            line
        });
        lines.collect()
    }

    #[test]
    fn a_line_tells_whose_it_is_however_deep_it_was_written() {
        let lines = logged(|| {
            let caller = SpanContext::empty_context();
            let request = frames::request(("r1", "POST", "/graphql"), &caller, Uuid::from_u128(0xA));
            request.in_scope(|| {
                frames::note_tenant("acme");
                frames::note_tenant("acme-books");
                frames::note_user(&"user_1");
                frames::note_operation("Books");
                let _within = tracing::info_span!("of a library", secret = "s3cret").entered();
                tracing::warn!(rows = 2_u64, share = 0.5, is_ok = false, "Said \"so\"\n");
            });
            tracing::info!("Outside");
        });
        let expected = json!({
            "level": "WARN", "message": "Said \"so\"\n", "rows": 2, "share": 0.5, "is_ok": false,
            "target": module_path!(), "request.id": "r1", "http.request.method": "POST", "http.route": "/graphql",
            "trace.id": "0000000000000000000000000000000a", "tenant.slug": "acme-books", "user.id": "user_1",
            "operation.name": "Books",
        });
        assert_eq!(lines[0], expected);
        assert_eq!(lines[1], json!({ "level": "INFO", "message": "Outside", "target": module_path!() }));
    }

    #[test]
    fn a_line_of_an_attempt_tells_its_job_and_the_request_behind_it_once() {
        let cause = Cause { request: Some("r1".to_owned()), user: Some("user_1".to_owned()), ..Cause::default() };
        let notes = JobNotes { id: Uuid::from_u128(1), kind: "webhook.deliver", attempt: 2, tenant: None };
        let lines = logged(|| {
            let _job = frames::job(&notes, &cause).entered();
            let of_event = Cause { request: Some("r2".to_owned()), ..Cause::default() };
            let _attempt = frames::attempt("whe_1", Uuid::from_u128(2), "event_1", &of_event).entered();
            tracing::info!(job.id = "its own", "Refused");
        });
        let expected = json!({
            "level": "INFO", "message": "Refused", "job.id": "its own", "target": module_path!(),
            "webhook.endpoint.id": "whe_1", "webhook.delivery.id": "00000000-0000-0000-0000-000000000002",
            "event.id": "event_1", "request.id": "r2", "job.kind": "webhook.deliver", "job.attempt": 2,
            "user.id": "user_1", "trace.id": "00000000000000000000000000000001",
        });
        assert_eq!(lines, [expected]);
    }
}
