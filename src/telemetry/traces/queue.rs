//! Spans that have ended and wait to be sent. Nobody waits for a place: where there is none the span is dropped, and counted.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::export::dropped;

/// Spans that wait, at most.
pub(super) const QUEUE_MAX: usize = 4_096;

/// Where ended spans go.
#[derive(Debug)]
pub(super) struct Queue(Sender<SpanData>);

/// A queue, and what comes out of it.
pub(super) fn queue() -> (Queue, Receiver<SpanData>) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    (Queue(sender), receiver)
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(span).is_err() {
            dropped().inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        // Whoever empties the queue does it as fast as it goes.
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
