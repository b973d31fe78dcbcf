//! What every request gets: an id, a frame for its log lines and its trace, a count and a duration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::Response as GraphqlResponse;
use async_graphql::parser::types::{OperationDefinition, OperationType, Selection};
use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use axum::middleware::Next;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::answer;
use crate::app::App;
use crate::detail;
use crate::graphql::ErrorCode;
use crate::kernel::ids::base32_encode;
use crate::telemetry::{frames, traces};

/// The header that carries the request's id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that takes longer is logged at `info`, as refused ones are; the rest at `debug`.
const SLOW: Duration = Duration::from_secs(1);

/// What a request counts as whose client has gone before it was answered, as nginx has it: nobody is told.
const GONE: &str = "499";

/// The most characters of an id that a client chose.
const REQUEST_ID_LEN_MAX: usize = 64;

/// A request's id: the client's own if it is plain, else a new one.
#[derive(Debug, Clone, Default)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id, to be kept.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Wraps a request in its id, frame, count and duration.
pub async fn observe(State(app): State<Arc<App>>, mut request: Request<Body>, next: Next) -> Response<Body> {
    let started = Instant::now();
    let made = app.services.clock.new_id();
    let id = request_id(made, &request);
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let caller = traces::of_caller(request.headers());
    let span = frames::request((id.as_str(), method(request.method()), &route), &caller, made);
    request.extensions_mut().insert(id.clone());
    let mut told = Told { app, route, started, span, status: None };
    let mut response = next.run(request).instrument(told.span.clone()).await;
    told.status = Some(response.status());
    drop(told);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, value);
    }
    // No answer is guessed at, framed or told where the reader came from.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A request that is told of when this is dropped: by the status of its answer, or as one whose client has gone before.
struct Told {
    app: Arc<App>,
    route: String,
    started: Instant,
    span: Span,
    /// The answer's, where there is one.
    status: Option<StatusCode>,
}

impl Drop for Told {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        // What panics is ours, and its connection is closed.
        let status = self.status.or_else(|| std::thread::panicking().then_some(StatusCode::INTERNAL_SERVER_ERROR));
        let label = status.as_ref().map_or(GONE, StatusCode::as_str);
        self.app.metrics.http_requests.with_label_values(&[self.route.as_str(), label]).inc();
        self.app.metrics.http_duration.with_label_values(&[&self.route]).observe(duration.as_secs_f64());
        let _entered = self.span.enter();
        let duration_ms = duration.as_secs_f64() * 1e3;
        let Some(status) = status else {
            traces::note(&self.span, "error.type", "client_gone");
            tracing::info!(duration_ms, "The client of a request has gone before it was answered");
            return;
        };
        traces::note(&self.span, "http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            traces::note_failure(&self.span, "server_error");
        }
        let is_well = status.is_success() || status == StatusCode::NOT_MODIFIED;
        if is_well && duration < SLOW {
            tracing::debug!(http.status = status.as_u16(), duration_ms, "Answered a request");
        } else {
            tracing::info!(http.status = status.as_u16(), duration_ms, "Answered a request");
        }
    }
}

/// A method that HTTP knows by itself, as OpenTelemetry has it: what else a client says may be as long as it likes.
fn method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

/// Notes which operation a request is about: what its document calls it, else the first field of the root.
pub(super) fn note_operation(name: Option<&str>, operation: &OperationDefinition) {
    let first = || match &operation.selection_set.node.items.first()?.node {
        Selection::Field(field) => Some(field.node.name.node.as_str()),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => None,
    };
    if let Some(name) = name.or_else(first) {
        frames::note_operation(name);
    }
    traces::note(&Span::current(), "graphql.operation.type", operation_type(operation.ty));
}

fn operation_type(operation: OperationType) -> &'static str {
    match operation {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// The span of an operation's execution.
pub(super) fn execution() -> Span {
    detail!("graphql", otel.name = "graphql execute", otel.kind = "internal")
}

/// Tells the trace what an execution came to.
pub(super) fn executed(span: &Span, response: &GraphqlResponse) {
    traces::note(span, "graphql.errors", i64::try_from(response.errors.len()).unwrap_or(i64::MAX));
    if answer::code(response) == Some(ErrorCode::InternalError) {
        traces::note_failure(span, "internal_error");
    }
}

fn request_id(made: Uuid, request: &Request<Body>) -> RequestId {
    let is_plain = |text: &&str| {
        (1..=REQUEST_ID_LEN_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let given = request.headers().get(X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(is_plain);
    RequestId(given.map_or_else(|| base32_encode(made).into(), Into::into))
}
