//! Frames: a request, an operation of a socket, a look of a subscription, a job, an attempt of a webhook; and what lasts after the
//! first two.
//!
//! Each is a span, by which every log line that is written within it tells whose it is, and every job that is enqueued within it
//! which request it is for.
//!
//! A frame has the level of errors, so that it is there whatever is logged. What it notes is told by each of its lines, so none of it
//! is personal: ids, slugs, names of the schema and of operations.

use std::fmt::Debug;

use opentelemetry::trace::SpanContext;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Span, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};
use tracing_subscriber::{Layer, Registry};
use uuid::Uuid;

use super::traces;

/// The target of frames' spans.
pub const FRAME: &str = "shelfwise::frame";

/// The name of frames that are in no trace.
pub(super) const LASTING: &str = "lasting";

/// The most characters of an operation's name, which a client chose.
const NAME_LEN_MAX: usize = 64;

/// What a frame has noted.
#[derive(Default)]
pub(super) struct Frame {
    fields: Vec<(&'static str, Noted)>,
    /// The trace context of the request that all of it is for, or of the frame itself where there was none.
    origin: Option<String>,
    /// Whether the frame's trace is kept.
    pub(super) is_sampled: bool,
}

/// A value as it was noted.
pub(super) enum Noted {
    Text(String),
    Number(i64),
}

/// What a job is told of the request that it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The request.
    pub request: Option<String>,
    /// The operation.
    pub operation: Option<String>,
    /// Who acted.
    pub user: Option<String>,
    /// The request's trace context, as W3C writes it; nothing where none was made.
    pub trace: Option<String>,
}

impl Cause {
    /// The cause of what is done right now; nothing outside of any frame.
    #[must_use]
    pub fn current() -> Option<Self> {
        let find = |(id, dispatch): (&Id, &Dispatch)| {
            let (mut cause, mut is_framed) = (Self::default(), false);
            for span in dispatch.downcast_ref::<Registry>()?.span(id)?.scope() {
                let extensions = span.extensions();
                let Some(frame) = extensions.get::<Frame>() else { continue };
                is_framed = true;
                let text = |name| frame.text(name).map(str::to_owned);
                cause.request = cause.request.or_else(|| text("request.id"));
                cause.operation = cause.operation.or_else(|| text("operation.name"));
                cause.user = cause.user.or_else(|| text("user.id"));
                cause.trace = cause.trace.or_else(|| frame.origin.clone());
            }
            is_framed.then_some(cause)
        };
        Span::current().with_subscriber(find).flatten()
    }

    /// The same as a job's row keeps it.
    #[must_use]
    pub fn to_meta(&self) -> Value {
        let fields = [
            ("request", &self.request),
            ("operation", &self.operation),
            ("user", &self.user),
            ("traceparent", &self.trace),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
        Value::Object(fields.collect())
    }

    /// What a job's row has kept.
    #[must_use]
    pub fn of_meta(meta: &Value) -> Self {
        let text = |name: &str| meta.get(name).and_then(Value::as_str).map(str::to_owned);
        Self { request: text("request"), operation: text("operation"), user: text("user"), trace: text("traceparent") }
    }
}

/// What a job's row is to keep of what is done right now.
#[must_use]
pub fn meta() -> Option<Value> {
    Cause::current().map(|cause| cause.to_meta())
}

/// What a row is to keep of the request that is answered right now for as long as the row lives: nothing of who acts.
#[must_use]
pub fn origin() -> Option<Value> {
    Cause::current().map(|cause| Cause { operation: None, user: None, ..cause }.to_meta())
}

/// The frame of a request. `made` is an id of its own, which its trace has where nothing is exported and no caller named one.
#[must_use]
pub fn request((id, method, route): (&str, &str, &str), caller: &SpanContext, made: Uuid) -> Span {
    if !traces::is_on() {
        let trace = if caller.is_valid() { caller.trace_id().to_string() } else { made.simple().to_string() };
        return tracing::error_span!(
            target: FRAME, "request", request.id = id, http.request.method = method, http.route = route,
            trace.id = trace, tenant.slug = tracing::field::Empty, user.id = tracing::field::Empty,
            operation.name = tracing::field::Empty,
        );
    }
    let span = tracing::error_span!(
        target: FRAME, "request", otel.kind = "server", otel.name = format!("{method} {route}"), request.id = id,
        http.request.method = method, http.route = route, trace.id = tracing::field::Empty,
        tenant.slug = tracing::field::Empty, user.id = tracing::field::Empty, operation.name = tracing::field::Empty,
    );
    traces::begin(&span, caller.clone(), None);
    span
}

/// The frame of one of the operations that come over a connection which lasts. It is a trace of its own, linked to that of the
/// request which opened the connection.
#[must_use]
pub fn operation(id: &str) -> Span {
    if !traces::is_on() {
        return tracing::error_span!(
            target: FRAME, "operation", request.id = id, tenant.slug = tracing::field::Empty,
            user.id = tracing::field::Empty, operation.name = tracing::field::Empty,
        );
    }
    let opener = Cause::current().and_then(|cause| cause.trace);
    let span = tracing::error_span!(
        target: FRAME, "operation", otel.kind = "server", request.id = id, trace.id = tracing::field::Empty,
        tenant.slug = tracing::field::Empty, user.id = tracing::field::Empty, operation.name = tracing::field::Empty,
    );
    // What it does is of itself, and not of who opened the connection.
    traces::link(&span, opener.as_deref().map(traces::parse).as_ref());
    traces::begin(&span, SpanContext::empty_context(), None);
    span
}

/// The frame of what lasts after the request or operation that it came by was answered: a socket, a subscription.
///
/// Its lines tell what those of the request do, and what is done in it is for the request. It is no span of a trace, for it may last
/// for days: the request's ends, and each operation and look is a trace.
#[must_use]
pub fn lasting() -> Span {
    let of = |name: &'static str| {
        let find = move |(id, dispatch): (&Id, &Dispatch)| {
            let said = |span: SpanRef<'_, Registry>| span.extensions().get::<Frame>()?.text(name).map(str::to_owned);
            dispatch.downcast_ref::<Registry>()?.span(id)?.scope().find_map(said)
        };
        Span::current().with_subscriber(find).flatten()
    };
    let origin = Cause::current().and_then(|cause| cause.trace);
    // A span ends when those within it have.
    let span = tracing::error_span!(
        target: FRAME, parent: None, LASTING, request.id = of("request.id"),
        http.request.method = of("http.request.method"), http.route = of("http.route"), trace.id = of("trace.id"),
        tenant.slug = of("tenant.slug"), user.id = of("user.id"), operation.name = of("operation.name"),
    );
    keep(&span, origin, false);
    span
}

/// The frame of a look of a subscription, within that of what lasts. It is a trace of its own, linked to that of the request; none
/// where nothing is traced.
#[must_use]
pub fn look() -> Span {
    if !traces::is_on() {
        return Span::none();
    }
    let cause = Cause::current().unwrap_or_default();
    let span = tracing::error_span!(
        target: FRAME, "look", otel.kind = "internal", request.id = cause.request, operation.name = cause.operation,
        trace.id = tracing::field::Empty, tenant.slug = tracing::field::Empty, user.id = tracing::field::Empty,
    );
    traces::begin(&span, SpanContext::empty_context(), cause.trace.as_deref().map(traces::parse));
    span
}

/// A job, as its frame notes it.
#[derive(Debug, Clone, Copy)]
pub struct JobNotes<'a> {
    /// The job.
    pub id: Uuid,
    /// What is done.
    pub kind: &'a str,
    /// Which attempt it is.
    pub attempt: i16,
    /// Whose it is.
    pub tenant: Option<Uuid>,
}

/// The frame of a job's attempt. It is a trace of its own, linked to that of the request which the job is for.
#[must_use]
pub fn job(notes: &JobNotes<'_>, cause: &Cause) -> Span {
    let JobNotes { id, kind, attempt, tenant } = notes;
    let is_on = traces::is_on();
    let span = tracing::error_span!(
        target: FRAME, "job", otel.kind = is_on.then_some("consumer"), otel.name = is_on.then(|| format!("job {kind}")),
        job.id = %id, job.kind = kind, job.attempt = attempt, tenant.id = tenant.map(tracing::field::display),
        tenant.slug = tracing::field::Empty, request.id = cause.request.as_deref(),
        operation.name = cause.operation.as_deref(), user.id = cause.user.as_deref(),
        trace.id = (!is_on).then(|| id.simple().to_string()),
    );
    if is_on {
        let origin = cause.trace.as_deref().map(traces::parse);
        traces::begin(&span, SpanContext::empty_context(), origin);
    }
    span
}

/// The frame of an attempt to deliver an event to an endpoint, within the trace of its job and linked to that of the request that
/// the event is of.
#[must_use]
pub fn attempt(endpoint: &str, delivery: Uuid, event: &str, cause: &Cause) -> Span {
    let is_on = traces::is_on();
    let span = tracing::error_span!(
        target: FRAME, "attempt", otel.kind = is_on.then_some("client"), otel.name = is_on.then_some("webhook POST"),
        webhook.endpoint.id = endpoint, webhook.delivery.id = %delivery, event.id = event,
        request.id = cause.request.as_deref(),
    );
    if is_on {
        traces::begin_within(&span, cause.trace.as_deref().map(traces::parse));
    }
    span
}

/// Notes in the frame whose shop it is.
pub fn note_tenant(slug: &str) {
    note("tenant.slug", slug);
}

/// Notes in the frame who acts.
pub fn note_user(id: &dyn std::fmt::Display) {
    note("user.id", &id.to_string());
}

/// Notes in the frame what a client calls its operation.
pub fn note_operation(name: &str) {
    let end = name.char_indices().nth(NAME_LEN_MAX).map_or(name.len(), |(at, _)| at);
    note("operation.name", &name[..end]);
}

/// Notes something in the frame, once: whoever looks on is asked about again and again.
fn note(name: &'static str, value: &str) {
    let span = Span::current();
    let is_noted = |(id, dispatch): (&Id, &Dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let extensions = span.extensions();
        Some(extensions.get::<Frame>()?.text(name) == Some(value))
    };
    if !span.with_subscriber(is_noted).flatten().unwrap_or(false) {
        span.record(name, value);
    }
}

/// Notes what the trace of a frame is: for its lines, and for jobs that it enqueues. `origin` is the trace of the request that the
/// frame is for, where that is another.
pub(super) fn note_trace(span: &Span, context: &SpanContext, origin: Option<&SpanContext>) {
    span.record("trace.id", tracing::field::display(context.trace_id()));
    let origin = traces::format(origin.filter(|origin| origin.is_valid()).unwrap_or(context));
    keep(span, Some(origin), context.is_sampled());
}

/// Keeps with a frame what its jobs are linked to, and whether its trace is kept.
fn keep(span: &Span, origin: Option<String>, is_sampled: bool) {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let mut extensions = span.extensions_mut();
        let frame = extensions.get_mut::<Frame>()?;
        (frame.origin, frame.is_sampled) = (origin, is_sampled);
        Some(())
    });
}

/// Whether the innermost frame that a span stands in has a trace that is kept.
pub(super) fn is_sampled<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> bool {
    span.scope().find_map(|span| span.extensions().get::<Frame>().map(|frame| frame.is_sampled)).unwrap_or(false)
}

/// Notes what frames say. What else there is of spans is not looked at.
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    // Without the hint every callsite of every level would be asked about.
    let frames = filter_fn(|metadata| metadata.is_span() && metadata.target() == FRAME);
    Frames.with_filter(frames.with_max_level_hint(LevelFilter::ERROR))
}

/// The layer that notes.
struct Frames;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Frames {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut frame = Frame::default();
        attributes.record(&mut frame);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(frame);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(frame) = span.extensions_mut().get_mut::<Frame>()
        {
            values.record(frame);
        }
    }
}

impl Frame {
    /// What was noted, in the order of noting.
    pub(super) fn fields(&self) -> &[(&'static str, Noted)] {
        &self.fields
    }

    fn text(&self, name: &str) -> Option<&str> {
        let noted = self.fields.iter().find(|(known, _)| *known == name);
        match noted {
            Some((_, Noted::Text(text))) => Some(text),
            _ => None,
        }
    }

    fn note(&mut self, field: &Field, value: Noted) {
        let name = field.name();
        // Those are for traces alone.
        if name.starts_with("otel.") {
            return;
        }
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, noted)) => *noted = value,
            None => self.fields.push((name, value)),
        }
    }
}

impl Visit for Frame {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, Noted::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, Noted::Number(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(field, Noted::Text(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_read_as_it_was_kept() {
        let cause = Cause { request: Some("r1".to_owned()), user: Some("user_1".to_owned()), ..Cause::default() };
        assert_eq!(cause.to_meta(), json!({ "request": "r1", "user": "user_1" }));
        assert_eq!(Cause::of_meta(&cause.to_meta()), cause);
        for meta in [json!({}), json!(null), json!({ "request": 1, "trace": [] })] {
            assert_eq!(Cause::of_meta(&meta), Cause::default(), "{meta}");
        }
    }

    #[test]
    fn what_is_done_in_a_frame_has_its_cause() {
        use tracing_subscriber::layer::SubscriberExt as _;
        assert_eq!(Cause::current(), None);
        tracing::subscriber::with_default(Registry::default().with(layer()), || {
            assert_eq!(Cause::current(), None);
            let outer = request(("r1", "POST", "/graphql"), &SpanContext::empty_context(), Uuid::from_u128(1));
            let outer = outer.entered();
            note_user(&"user_1");
            note_operation(&"b".repeat(NAME_LEN_MAX + 1));
            // As a socket's operation is within the request that has opened it.
            let inner = operation("r1-1").entered();
            note_operation("Books");
            let expected = Cause {
                request: Some("r1-1".to_owned()),
                operation: Some("Books".to_owned()),
                user: Some("user_1".to_owned()),
                trace: None,
            };
            assert_eq!(Cause::current(), Some(expected.clone()));
            // Whatever becomes of these.
            let lasting = lasting();
            drop((inner, outer));
            assert_eq!(Cause::current(), None);
            lasting.in_scope(|| assert_eq!(Cause::current(), Some(expected)));
        });
    }
}
