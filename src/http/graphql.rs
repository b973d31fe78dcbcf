//! The two GraphQL endpoints.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::parser::types::{OperationDefinition, OperationType};
use async_graphql::{Request as GraphqlRequest, Response as GraphqlResponse, Variables};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, Uri, header};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use tracing::Instrument as _;

use super::accept::{MediaType, check_content_type, negotiate};
use super::answer::not_allowed;
use super::observe::RequestId;
use super::outliving::Outliving;
use super::{admission, answer, page};
use crate::app::App;
use crate::config::Environment;
use crate::graphql::cost::{COST_MAX, Costs};
use crate::graphql::{AdminRequest, ApiError, ErrorCode, Request as RequestCtx, Shop};
use crate::kernel::actor::Actor;

/// The most bytes of a query string: documents are sent by POST, or by their hash.
const QUERY_STRING_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of a body without a token.
const STRANGER_BODY_BYTES_MAX: usize = 64 * 1024;

/// A request as the specification has it.
#[derive(Deserialize)]
struct Parameters {
    query: Option<String>,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    /// Accepted and passed over, as the specification allows.
    #[serde(default, rename = "extensions")]
    _extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// An operation under way. Boxed where it is made: it is large, and is handed on several times before it runs.
type Running = BoxFuture<'static, Result<GraphqlResponse, ApiError>>;

/// `/graphql`: the tenants' API.
pub async fn tenant(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    if page::is_wanted(&request) {
        return page::index(&app);
    }
    answer(&app, request, &app.tenant_costs, |app, headers, uri, document| {
        async move {
            let shop = admission::tenant(&app, &headers, &uri).await?;
            Ok(execute_tenant(app, shop, document).await)
        }
        .boxed()
    })
    .await
}

/// `/admin/graphql`: the operators' API.
pub async fn admin(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    if page::is_wanted(&request) {
        return page::index(&app);
    }
    answer(&app, request, &app.admin_costs, |app, headers, _, document| {
        async move {
            let subject = admission::admin(&app, &headers)?;
            Ok(execute_admin(app, subject, document).await)
        }
        .boxed()
    })
    .await
}

/// What both endpoints have in common: media types, the body, the deadline, the status.
async fn answer(
    app: &Arc<App>,
    request: Request<Body>,
    costs: &Costs,
    run: impl FnOnce(Arc<App>, HeaderMap, Uri, GraphqlRequest) -> Running,
) -> Response<Body> {
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let media_type = match negotiate(request.headers()) {
        Ok(media_type) => media_type,
        Err(error) => return answer::refused(error, MediaType::Json, request_id.as_str(), &app.metrics),
    };
    let (parts, body) = request.into_parts();
    let parsed = match parts.method {
        Method::POST => {
            let reading = read_body(app, &parts.headers, body);
            let too_slow = || ApiError::new(ErrorCode::Timeout, "The body took too long to arrive.");
            tokio::time::timeout(app.config.http.request_timeout, reading).await.unwrap_or_else(|_| Err(too_slow()))
        }
        Method::GET => read_query(&parts.uri),
        _ => Err(ApiError::new(ErrorCode::MethodNotAllowed, "Use POST, or GET for queries.")),
    };
    let result = match parsed {
        Ok(mut document) => {
            let cost = match admit(app, costs, &mut document, parts.method == Method::GET) {
                Ok(cost) => cost,
                Err(error) if error.code == ErrorCode::MethodNotAllowed => {
                    return not_allowed(error, media_type, request_id.as_str(), &app.metrics);
                }
                Err(error) => return answer::refused_document(error, media_type, request_id.as_str(), &app.metrics),
            };
            let run = run(Arc::clone(app), parts.headers, parts.uri, document);
            supervise(app, run).await.map(|mut response| {
                let cost = async_graphql::value!({ "requested": cost, "limit": COST_MAX });
                response.extensions.insert("cost".to_owned(), cost);
                response
            })
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(response) => answer::executed(response, media_type, request_id.as_str(), &app.metrics),
        Err(error) if error.code == ErrorCode::MethodNotAllowed => {
            not_allowed(error, media_type, request_id.as_str(), &app.metrics)
        }
        Err(error) => answer::refused(error, media_type, request_id.as_str(), &app.metrics),
    }
}

/// Lets an operation pass: the guard, the variables that it requires, its cost. Answers the cost; what cannot be parsed
/// costs nothing and is explained by the executor.
fn admit(app: &App, costs: &Costs, request: &mut GraphqlRequest, by_get: bool) -> Result<u64, ApiError> {
    let Some(document) = app.documents.admit(request)? else { return Ok(0) };
    // Which operation is meant may not be clear, or it may not exist: the executor says so.
    let name = request.operation_name.as_deref();
    let mut operations = document.operations.iter();
    let operation = match name {
        Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known.as_str() == name)),
        None => operations.next().filter(|_| operations.next().is_none()),
    };
    let Some((_, operation)) = operation else { return Ok(0) };
    let operation = &operation.node;
    if by_get && operation.ty != OperationType::Query {
        return Err(ApiError::new(ErrorCode::MethodNotAllowed, "Only queries may be sent by GET."));
    }
    check_variables(operation, &request.variables)?;
    costs.check(&document, operation, &request.variables)
}

/// Runs an operation up to its deadline, to its end even if the client goes away. Ending it at the deadline drops its
/// session, whose connection is rolled back and, if the server is still busy, cancelled.
async fn supervise(app: &App, run: Running) -> Result<GraphqlResponse, ApiError> {
    let bounded = tokio::time::timeout(app.config.http.request_timeout, run).in_current_span();
    match Outliving::new(AssertUnwindSafe(bounded).catch_unwind().boxed()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ApiError::new(ErrorCode::Timeout, "The operation took too long and was stopped.")),
        Err(_) => {
            tracing::error!("An operation panicked");
            Err(ApiError::internal())
        }
    }
}

async fn execute_tenant(app: Arc<App>, shop: Option<Shop>, mut document: GraphqlRequest) -> GraphqlResponse {
    let is_stranger = shop.as_ref().is_none_or(|shop| *shop.actor() == Actor::Anonymous);
    if app.config.environment == Environment::Production && is_stranger {
        document = document.disable_introspection();
    }
    if let Some(shop) = &shop {
        tracing::Span::current().record("tenant.slug", shop.tenant().slug.as_str());
    }
    let session = shop.as_ref().map(Shop::session);
    let document = document.data(RequestCtx::new(shop, Arc::clone(&app.clock)));
    let mut response = app.tenant_schema.execute(document).await;
    if let Some(session) = session {
        session.finish().await;
        let meter = session.meter();
        app.metrics.sql_statements.observe(f64::from(meter.statements()));
        app.metrics.sql_round_trips.observe(f64::from(meter.round_trips()));
        if app.config.environment == Environment::Development {
            // A developer sees an N+1 in the answer itself.
            let counts = async_graphql::value!({
                "statements": meter.statements(), "roundTrips": meter.round_trips()
            });
            response.extensions.insert("sql".to_owned(), counts);
        }
    }
    response
}

async fn execute_admin(app: Arc<App>, subject: Option<String>, mut document: GraphqlRequest) -> GraphqlResponse {
    if app.config.environment == Environment::Production && subject.is_none() {
        document = document.disable_introspection();
    }
    let document = document.data(AdminRequest {
        control: app.control.clone(),
        owner: app.owner.clone(),
        clock: Arc::clone(&app.clock),
        subject,
    });
    app.admin_schema.execute(document).await
}

async fn read_body(app: &App, headers: &HeaderMap, body: Body) -> Result<GraphqlRequest, ApiError> {
    check_content_type(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // Who shows nothing has little to say. A large body is read only for a token that is valid.
    let is_small = announced.is_some_and(|length| length <= STRANGER_BODY_BYTES_MAX);
    let limit = match headers.get(header::AUTHORIZATION) {
        Some(_) if !is_small => {
            admission::verified(app, headers)?;
            app.config.http.body_bytes_max
        }
        _ => STRANGER_BODY_BYTES_MAX.min(app.config.http.body_bytes_max),
    };
    let too_large = || ApiError::new(ErrorCode::PayloadTooLarge, format!("A body has at most {limit} bytes."));
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|error| {
        let is_limit = std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
        if is_limit { too_large() } else { ApiError::bad_request("The body could not be read.") }
    })?;
    let parameters: Parameters = serde_json::from_slice(&bytes).map_err(|error| {
        let is_batch = bytes.trim_ascii_start().starts_with(b"[");
        let message =
            if is_batch { "Send one operation; batches are not served.".to_owned() } else { json_error(&error) };
        ApiError::bad_request(message)
    })?;
    graphql_request(parameters)
}

/// What is wrong with a body, without quoting it.
fn json_error(error: &serde_json::Error) -> String {
    format!("The body is not a GraphQL request in JSON (line {}, column {}).", error.line(), error.column())
}

/// A query in the query string. A document that writes is refused: a link must not change anything.
fn read_query(uri: &Uri) -> Result<GraphqlRequest, ApiError> {
    let query = uri.query().unwrap_or_default();
    if query.len() > QUERY_STRING_BYTES_MAX {
        return Err(ApiError::new(ErrorCode::PayloadTooLarge, "The query string is too long; use POST."));
    }
    let mut parameters = Parameters { query: None, operation_name: None, variables: None, _extensions: None };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "query" => parameters.query = Some(value.into_owned()),
            "operationName" => parameters.operation_name = Some(value.into_owned()),
            "variables" if !value.is_empty() => {
                let variables = serde_json::from_str(&value);
                parameters.variables =
                    variables.map_err(|_| ApiError::bad_request("`variables` is not a JSON object."))?;
            }
            _ => {}
        }
    }
    graphql_request(parameters)
}

/// Refuses an operation that lacks a variable which it requires. The library notices only when a resolver asks for the
/// value, by when others may have run.
fn check_variables(operation: &OperationDefinition, variables: &Variables) -> Result<(), ApiError> {
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let is_required = !definition.var_type.node.nullable && definition.default_value.is_none();
        let value = variables.get(&definition.name.node);
        if is_required && value.is_none_or(|value| *value == async_graphql::Value::Null) {
            let message = format!("The variable `${}` is required.", definition.name.node);
            return Err(ApiError::bad_request(message));
        }
    }
    Ok(())
}

fn graphql_request(parameters: Parameters) -> Result<GraphqlRequest, ApiError> {
    let query = parameters.query.filter(|query| !query.trim().is_empty());
    let query = query.ok_or_else(|| ApiError::bad_request("`query` is missing."))?;
    let mut request = GraphqlRequest::new(query);
    if let Some(name) = parameters.operation_name.filter(|name| !name.is_empty()) {
        request = request.operation_name(name);
    }
    if let Some(variables) = parameters.variables {
        request = request.variables(Variables::from_json(serde_json::Value::Object(variables)));
    }
    Ok(request)
}
