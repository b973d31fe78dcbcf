//! Traces, for a collector that speaks OpenTelemetry's protocol; without one there are none, and nothing is spent on them.
//!
//! The spans that are traced are [frames](super::frames) and the details within them: operations, mutations, loads, statements,
//! calls of caches. A detail is of the level of traces and of the target [`DETAIL`], so that nobody makes one where nothing is traced
//! or the trace is not kept: no log shows it. It tells texts of statements and names of our own, and no value.

mod export;
mod queue;

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SamplingResult, SdkTracerProvider, ShouldSample};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::frames::{FRAME, LASTING, is_sampled, note_trace};
use crate::config::telemetry::TracesConfig;

pub use export::{Traces, dropped};

/// The target of spans within frames.
pub const DETAIL: &str = "shelfwise::detail";

/// A span within a frame, where the frame's trace is kept; else none, and nothing of it is computed.
///
/// A filter alone would not do: where there are several, a span that all of them refuse is made for the registry all the same.
#[macro_export]
macro_rules! detail {
    ($($fields:tt)*) => {
        if $crate::telemetry::traces::is_kept() {
            ::tracing::trace_span!(target: $crate::telemetry::traces::DETAIL, $($fields)*)
        } else {
            ::tracing::Span::none()
        }
    };
}

/// The most bytes of a caller's `tracestate` that are kept: what W3C Trace Context asks for at least.
const STATE_BYTES_MAX: usize = 512;

/// Whether traces are made. Said once, when the process begins.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// Whether traces are made.
#[must_use]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Whether the trace of what is done right now is kept.
#[must_use]
pub fn is_kept() -> bool {
    let find = |(id, dispatch): (&tracing::Id, &tracing::Dispatch)| {
        Some(is_sampled(&dispatch.downcast_ref::<tracing_subscriber::Registry>()?.span(id)?))
    };
    is_on() && Span::current().with_subscriber(find).flatten().unwrap_or(false)
}

/// Says that traces are made from now on.
pub(super) fn switch_on() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// What makes traces of spans, and what sends them.
pub(super) fn layer<S>(config: &TracesConfig) -> (impl Layer<S> + use<S>, Traces)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let resource = Resource::builder_empty()
        .with_service_name(config.service.clone())
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("deployment.environment.name", config.environment.to_string()),
        ])
        .build();
    let (queue, waiting) = queue::queue();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(queue)
        // Who calls decides, and for the others chance does.
        .with_sampler(Follows(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.share)))))
        .with_resource(resource.clone())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("shelfwise"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_target(false)
        // A detail is made where its trace is kept, and nowhere else.
        .with_filter(filter_fn(|metadata| metadata.is_span() && is_traced(metadata.target(), metadata.name())));
    (layer, Traces::new(config.clone(), resource, provider, waiting))
}

fn is_traced(target: &str, name: &str) -> bool {
    target == DETAIL || target == FRAME && name != LASTING
}

/// Keeps the trace of what is done for a request whose trace is kept, and decides of others as it is told.
#[derive(Debug, Clone)]
struct Follows(Sampler);

impl ShouldSample for Follows {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_root = !parent.is_some_and(|parent| parent.span().span_context().is_valid());
        let is_for_kept = is_root && links.iter().any(|link| link.span_context.is_sampled());
        let sampler = if is_for_kept { &Sampler::AlwaysOn } else { &self.0 };
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// What a caller says of the trace that a request belongs to.
#[must_use]
pub fn of_caller(headers: &HeaderMap) -> SpanContext {
    if !headers.contains_key("traceparent") {
        return SpanContext::empty_context();
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let said = context.span().span_context().clone();
    // It is part of every span of the trace, so strangers could have us carry megabytes.
    if headers.get_all("tracestate").iter().map(http::HeaderValue::len).sum::<usize>() > STATE_BYTES_MAX {
        return SpanContext::new(said.trace_id(), said.span_id(), said.trace_flags(), true, TraceState::NONE);
    }
    said
}

/// Tells whoever is called which trace the call belongs to, where there is one.
pub fn tell(span: &Span, headers: &mut HeaderMap) {
    if is_on() {
        TraceContextPropagator::new().inject_context(&span.context(), &mut HeaderInjector(headers));
        if headers.get("tracestate").is_some_and(http::HeaderValue::is_empty) {
            headers.remove("tracestate");
        }
    }
}

/// Begins the trace of a frame: in a caller's, or in one of its own, linked to that of its cause.
pub(super) fn begin(span: &Span, caller: SpanContext, cause: Option<SpanContext>) {
    let parent = Context::new();
    let parent = if caller.is_valid() { parent.with_remote_span_context(caller) } else { parent };
    // An error means that the span is traced by nobody.
    let _ = span.set_parent(parent);
    link(span, cause.as_ref());
    note_trace(span, &context_of(span), cause.as_ref());
}

/// Begins a frame within the trace of another, linked to that of its own cause.
pub(super) fn begin_within(span: &Span, cause: Option<SpanContext>) {
    link(span, cause.as_ref());
    note_trace(span, &context_of(span), cause.as_ref());
}

pub(super) fn link(span: &Span, cause: Option<&SpanContext>) {
    if let Some(cause) = cause {
        span.add_link(cause.clone());
    }
}

/// The trace context of a span.
pub(super) fn context_of(span: &Span) -> SpanContext {
    span.context().span().span_context().clone()
}

/// A trace context as `traceparent` writes it.
pub(super) fn format(context: &SpanContext) -> String {
    let flags = u8::from(context.is_sampled());
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

/// What [`format()`] has written; an empty one where it is something else.
pub(super) fn parse(text: &str) -> SpanContext {
    let parsed = || {
        let mut parts = text.split('-').skip(1);
        let mut part = |len| parts.next().filter(|part| part.len() == len);
        let trace = TraceId::from_hex(part(32)?).ok()?;
        let span = SpanId::from_hex(part(16)?).ok()?;
        let flags = TraceFlags::new(u8::from_str_radix(part(2)?, 16).ok()?);
        Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
    };
    parsed().unwrap_or(SpanContext::NONE)
}

/// Notes something of a span for its trace alone.
pub fn note(span: &Span, name: &'static str, value: impl Into<opentelemetry::Value>) {
    if is_on() {
        span.set_attribute(name, value);
    }
}

/// Notes that what a span is about has failed, by a word of our own.
pub fn note_failure(span: &Span, word: &'static str) {
    if is_on() {
        span.set_attribute("error.type", word);
        span.set_status(Status::error(""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_is_read_as_it_was_written() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(format(&parse(text)), text);
        assert!(parse(text).is_sampled() && parse(text).is_remote());
        for text in ["", "00", "00-4bf9-00f0-01", "00-zz-00f067aa0ba902b7-01", "00-é-é-é"] {
            assert!(!parse(text).is_valid(), "{text}");
        }
    }

    #[test]
    fn what_a_caller_says_is_taken_if_it_makes_sense() {
        let check = |parent: &str, expected: bool| {
            let headers: HeaderMap = [("traceparent".parse().unwrap(), parent.parse().unwrap())].into_iter().collect();
            assert_eq!(of_caller(&headers).is_valid(), expected, "{parent}");
        };
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("4bf92f3577b34da6a3ce929d0e0e4736", false);
        assert!(!of_caller(&HeaderMap::new()).is_valid());

        let state = |value: String| {
            let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let pairs = [("traceparent", parent.to_owned()), ("tracestate", value)];
            let headers = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            of_caller(&headers.into_iter().collect()).trace_state().header()
        };
        assert_eq!(state("a=1".to_owned()), "a=1");
        assert_eq!(state(format!("a={}", "1".repeat(STATE_BYTES_MAX))), "");
    }
}
