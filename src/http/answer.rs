//! From a GraphQL answer to HTTP: the status, the codes of errors, the headers.

use async_graphql::{ErrorExtensionValues, Response as GraphqlResponse, ServerError, Value};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::accept::MediaType;
use crate::graphql::{ApiError, ErrorCode};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::operations::Outcome;

/// The status of a request that cannot be parsed, validated or coerced, in the newer media type. The newest draft of
/// the specification says 422 for the latter two, its public audit 400; this is the one place that decides.
const INVALID_REQUEST: StatusCode = StatusCode::BAD_REQUEST;

/// Errors of an answer at most.
const ERRORS_MAX: usize = 100;

/// Characters of an error's message at most: the parser quotes the line that it could not read.
const MESSAGE_LEN_MAX: usize = 1_000;

/// The status that goes with a code when nothing was executed.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        // As a document that names what the schema does not have.
        ErrorCode::BadRequest
        | ErrorCode::FieldRemoved
        | ErrorCode::PersistedQueryNotFound
        | ErrorCode::QueryTooComplex => INVALID_REQUEST,
        ErrorCode::DocumentNotTrusted
        | ErrorCode::Forbidden
        | ErrorCode::TenantMismatch
        | ErrorCode::TenantSuspended => StatusCode::FORBIDDEN,
        ErrorCode::IdempotencyConflict => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::IdempotencyInProgress => StatusCode::CONFLICT,
        ErrorCode::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    }
}

/// The answer to a request that was refused before its document was looked at.
#[must_use]
pub fn refused(error: ApiError, media_type: MediaType, request_id: &str, metrics: &Metrics) -> Response<Body> {
    let status = status_of(error.code);
    render(&error_response(error, request_id, metrics), status, media_type)
}

/// The answer to an operation that found no room and did nothing: as if it had not been executed.
#[must_use]
pub fn turned_away(error: ApiError) -> GraphqlResponse {
    let retry_after = error.retry_after_seconds();
    let mut server_error = ServerError::new(error.message.clone(), None);
    let graphql_error: async_graphql::Error = error.into();
    server_error.extensions = graphql_error.extensions;
    server_error.source = graphql_error.source;
    let mut response = GraphqlResponse::from_errors(vec![server_error]);
    if let Some(seconds) = retry_after {
        response.http_headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The answer to a method that the path does not have.
#[must_use]
pub fn not_allowed(error: ApiError, media_type: MediaType, request_id: &str, metrics: &Metrics) -> Response<Body> {
    let mut response = refused(error, media_type, request_id, metrics);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    response
}

/// The answer to an operation that takes more than is left, as it was written. Status 429 is told in both media types.
#[must_use]
pub fn not_now(
    mut response: GraphqlResponse,
    media_type: MediaType,
    request_id: &str,
    metrics: &Metrics,
) -> Response<Body> {
    complete_errors(&mut response, request_id, metrics);
    let status = match first_code(&response) {
        Some(code) if code == StatusCode::TOO_MANY_REQUESTS || media_type == MediaType::GraphqlResponse => code,
        _ => StatusCode::OK,
    };
    render(&response, status, media_type)
}

/// The answer to a document that was refused before it was executed: as the executor's own, so that those who asked for
/// plain JSON get status 200.
#[must_use]
pub fn refused_document(error: ApiError, media_type: MediaType, request_id: &str, metrics: &Metrics) -> Response<Body> {
    let status = if media_type == MediaType::GraphqlResponse { status_of(error.code) } else { StatusCode::OK };
    render(&error_response(error, request_id, metrics), status, media_type)
}

fn error_response(error: ApiError, request_id: &str, metrics: &Metrics) -> GraphqlResponse {
    let mut response = turned_away(error);
    complete_errors(&mut response, request_id, metrics);
    response
}

/// Completes the errors of an answer, of which a document that is wrong in thousands of places has a few: they tell enough.
pub fn complete(response: &mut GraphqlResponse, request_id: &str, metrics: &Metrics) {
    if !response.errors.is_empty() {
        response.errors.truncate(ERRORS_MAX);
        complete_errors(response, request_id, metrics);
    }
}

/// The answer of an operation.
#[must_use]
pub fn executed(
    mut response: GraphqlResponse,
    media_type: MediaType,
    request_id: &str,
    metrics: &Metrics,
) -> Response<Body> {
    complete(&mut response, request_id, metrics);
    let status = match first_code(&response) {
        // Nothing was executed: the library knows no data, and no error has a place in any. That there was no room is told
        // whatever the media type, as it is where it was found out before.
        Some(code) if !has_data(&response) => match media_type {
            MediaType::Json if code != StatusCode::SERVICE_UNAVAILABLE => StatusCode::OK,
            _ => code,
        },
        _ => StatusCode::OK,
    };
    render(&response, status, media_type)
}

/// Takes out of errors what the schema has instead of what was asked for: it is nobody's business who may not see it.
pub fn hide_suggestions(response: &mut GraphqlResponse) {
    for error in &mut response.errors {
        if let Some(end) = error.message.find(" Did you mean") {
            error.message.truncate(end);
        }
    }
}

/// Whether the operation was executed, so that the answer has a `data` entry, be it null.
#[must_use]
pub fn has_data(response: &GraphqlResponse) -> bool {
    response.data != Value::Null || response.errors.iter().any(|error| !error.path.is_empty())
}

fn first_code(response: &GraphqlResponse) -> Option<StatusCode> {
    code(response).map(status_of)
}

/// The code of an answer's first error.
#[must_use]
pub fn code(response: &GraphqlResponse) -> Option<ErrorCode> {
    let code = code_of(response.errors.first()?)?;
    ErrorCode::ALL.into_iter().find(|known| known.as_str() == code)
}

/// What an operation with an error counts as: what is ours, or the caller's to mend.
#[must_use]
pub fn outcome_of(code: ErrorCode) -> Outcome {
    match code {
        ErrorCode::InternalError | ErrorCode::ServiceUnavailable | ErrorCode::Timeout => Outcome::Failed,
        _ => Outcome::Refused,
    }
}

/// What an operation counts as by its answer: as failed if any of its errors is ours.
#[must_use]
pub fn outcome(response: &GraphqlResponse) -> Outcome {
    if response.errors.is_empty() {
        return Outcome::Well;
    }
    let is_ours = |code: &str| {
        let known = ErrorCode::ALL.into_iter().find(|known| known.as_str() == code);
        known.is_some_and(|code| outcome_of(code) == Outcome::Failed)
    };
    if response.errors.iter().filter_map(code_of).any(is_ours) { Outcome::Failed } else { Outcome::Refused }
}

fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

/// Gives every error its code and the request's id, logs what is ours, and counts.
fn complete_errors(response: &mut GraphqlResponse, request_id: &str, metrics: &Metrics) {
    let mut logged: Option<String> = None;
    for error in &mut response.errors {
        let code = match code_of(error) {
            Some(code) => code.to_owned(),
            None => code_of_library(&error.message).as_str().to_owned(),
        };
        if let Some(source) = error.source.take() {
            // One failed batch fails many fields alike; one line tells it.
            let text = source.downcast_ref::<String>().cloned().unwrap_or_default();
            if logged.as_ref() != Some(&text) {
                tracing::error!(error = text, code, "The operation failed");
                logged = Some(text);
            }
        }
        if let Some((end, _)) = error.message.char_indices().nth(MESSAGE_LEN_MAX) {
            error.message.truncate(end);
        }
        metrics.graphql_errors.with_label_values(&[&code]).inc();
        let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
        extensions.set("code", code);
        extensions.set("requestId", request_id);
    }
}

/// The code of an error that the library made: our own resolvers' all have one. It says in words what it refused.
fn code_of_library(message: &str) -> ErrorCode {
    if message.starts_with("The recursion depth") { ErrorCode::QueryTooComplex } else { ErrorCode::BadRequest }
}

/// Writes the answer. Without execution there is no `data` entry, which the library's own writer always has.
fn render(response: &GraphqlResponse, status: StatusCode, media_type: MediaType) -> Response<Body> {
    let body = if has_data(response) || response.errors.is_empty() {
        serde_json::to_vec(response)
    } else {
        let mut body = serde_json::json!({ "errors": response.errors });
        if !response.extensions.is_empty() {
            body["extensions"] = serde_json::json!(response.extensions);
        }
        serde_json::to_vec(&body)
    };
    let (status, body) = match body {
        Ok(body) => (status, body),
        Err(error) => {
            tracing::error!(%error, "An answer could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    };
    let mut http = Response::new(Body::from(body));
    *http.status_mut() = status;
    let headers = http.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type.as_str()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    // What the operation adds: what is left of the shop's rates, and the like.
    headers.extend(response.http_headers.clone());
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    http
}
