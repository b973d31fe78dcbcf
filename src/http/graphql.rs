//! The two GraphQL endpoints.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::parser::types::{OperationDefinition, OperationType};
use async_graphql::{Request as GraphqlRequest, Response as GraphqlResponse, Variables};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, Uri, header};
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use tracing::Instrument as _;

use super::accept::{MediaType, check_content_type, negotiate};
use super::admission::X_TENANT;
use super::answer::not_allowed;
use super::client_address::client_address;
use super::documents::Sent;
use super::observe::RequestId;
use super::outliving::Outliving;
use super::{admission, answer, page};
use crate::app::App;
use crate::config::Environment;
use crate::control::audit::Operator;
use crate::graphql::cost::{COST_MAX, Costs};
use crate::graphql::{AdminRequest, ApiError, ErrorCode, Origin, Request as RequestCtx, Shop};
use crate::kernel::actor::Actor;

/// The most bytes of a query string: documents are sent by POST, or by their hash.
const QUERY_STRING_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of a body without a token.
const STRANGER_BODY_BYTES_MAX: usize = 64 * 1024;

/// A header whose presence makes a browser ask first.
const REQUIRE_PREFLIGHT: HeaderName = HeaderName::from_static("graphql-require-preflight");

/// A request as the specification has it.
#[derive(Deserialize)]
struct Parameters {
    query: Option<String>,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    extensions: Option<Extensions>,
}

/// What clients may say beside the specification. The rest is passed over unread.
#[derive(Deserialize)]
struct Extensions {
    #[serde(rename = "persistedQuery")]
    persisted_query: Option<PersistedQuery>,
}

/// Apollo's protocol of automatic persisted queries.
#[derive(Deserialize)]
struct PersistedQuery {
    version: u32,
    #[serde(rename = "sha256Hash")]
    sha256_hash: String,
}

/// A request that has been read: where it comes from, what it says of itself, and its operation.
struct Read {
    app: Arc<App>,
    origin: Origin,
    headers: HeaderMap,
    uri: Uri,
    by_get: bool,
    sent: Sent,
    /// The operation, whose text is yet to be found.
    operation: GraphqlRequest,
}

/// Why an operation was not executed, which decides the status for those who asked for plain JSON.
enum Refused {
    /// The request was not good for any operation.
    Request(ApiError),
    /// The document was not.
    Document(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Request(error)
    }
}

/// An operation under way. Boxed where it is made: it is large, and is handed on several times before it runs.
type Running = BoxFuture<'static, Result<GraphqlResponse, Refused>>;

/// `/graphql`: the tenants' API.
pub async fn tenant(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    if page::is_wanted(&request) {
        return page::index(&app);
    }
    answer(app, request, |read| run_tenant(read).boxed()).await
}

/// `/admin/graphql`: the operators' API.
pub async fn admin(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    if page::is_wanted(&request) {
        return page::index(&app);
    }
    answer(app, request, |read| run_admin(read).boxed()).await
}

/// What both endpoints have in common: media types, the body, the deadline, the status.
async fn answer(app: Arc<App>, request: Request<Body>, run: impl FnOnce(Read) -> Running) -> Response<Body> {
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let media_type = match negotiate(request.headers()) {
        Ok(media_type) => media_type,
        Err(error) => return answer::refused(error, MediaType::Json, request_id.as_str(), &app.metrics),
    };
    let result = match read(&app, request, &request_id).await {
        Ok(read) => supervise(&app, run(read)).await,
        Err(error) => Err(Refused::Request(error)),
    };
    let id = request_id.as_str();
    match result {
        Ok(response) => answer::executed(response, media_type, id, &app.metrics),
        Err(Refused::Request(error) | Refused::Document(error)) if error.code == ErrorCode::MethodNotAllowed => {
            not_allowed(error, media_type, id, &app.metrics)
        }
        Err(Refused::Request(error)) => answer::refused(error, media_type, id, &app.metrics),
        Err(Refused::Document(error)) => answer::refused_document(error, media_type, id, &app.metrics),
    }
}

/// Reads a request by its method.
async fn read(app: &Arc<App>, request: Request<Body>, request_id: &RequestId) -> Result<Read, ApiError> {
    let (parts, body) = request.into_parts();
    let by_get = parts.method == Method::GET;
    let parameters = match parts.method {
        Method::POST => {
            let reading = read_body(app, &parts.headers, body);
            let too_slow = || ApiError::new(ErrorCode::Timeout, "The body took too long to arrive.");
            tokio::time::timeout(app.config.http.request_timeout, reading).await.unwrap_or_else(|_| Err(too_slow()))?
        }
        Method::GET => {
            check_preflight(&parts.headers)?;
            read_query(&parts.uri)?
        }
        _ => return Err(ApiError::new(ErrorCode::MethodNotAllowed, "Use POST, or GET for queries.")),
    };
    let address = client_address(&parts.extensions, &parts.headers, &app.config.http.trusted_proxies);
    let origin = Origin { address, request_id: request_id.as_str().into() };
    let (sent, operation) = parameters.split()?;
    Ok(Read { app: Arc::clone(app), origin, headers: parts.headers, uri: parts.uri, by_get, sent, operation })
}

/// Refuses a GET that a web page of another origin could have a browser send unasked (CSRF). One of these headers makes
/// the browser ask first, and CORS answers.
fn check_preflight(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_preflighted =
        [header::AUTHORIZATION, X_TENANT, REQUIRE_PREFLIGHT].iter().any(|name| headers.contains_key(name))
            || headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if is_preflighted {
        return Ok(());
    }
    Err(ApiError::bad_request("Send the header `GraphQL-Require-Preflight: 1` with a GET, or use POST."))
}

/// Executes an operation of the tenants' API.
async fn run_tenant(read: Read) -> Result<GraphqlResponse, Refused> {
    let Read { app, origin, headers, uri, by_get, sent, mut operation } = read;
    let shop = admission::tenant(&app, &headers, &uri).await?;
    if let Some(shop) = &shop {
        tracing::Span::current().record("tenant.slug", shop.tenant().slug.as_str());
    }
    let hash = sent.hash.clone();
    let session = shop.as_ref().map(Shop::session);
    let place = shop.as_ref().map(Shop::tenant).map(|tenant| tenant.id).zip(session.as_deref());
    operation.query = app.documents.text(sent, place).await.map_err(Refused::Document)?;
    let cost = admit(&app, &app.tenant_costs, &mut operation, by_get).map_err(Refused::Document)?;
    if let (Some((tenant, _)), Some(hash)) = (place, hash) {
        app.documents.persist(tenant, hash, &operation.query);
    }
    Ok(with_cost(execute_tenant(app, origin, shop, operation).await, cost))
}

/// Executes an operation of the operators' API.
async fn run_admin(read: Read) -> Result<GraphqlResponse, Refused> {
    let Read { app, origin, headers, by_get, sent, mut operation, .. } = read;
    let operator = admission::admin(&app, &headers, &origin).await?;
    let missing = || Refused::Document(ApiError::bad_request("`query` is missing."));
    operation.query = sent.text.ok_or_else(missing)?;
    let cost = admit(&app, &app.admin_costs, &mut operation, by_get).map_err(Refused::Document)?;
    Ok(with_cost(execute_admin(app, origin, operator, operation).await, cost))
}

fn with_cost(mut response: GraphqlResponse, cost: u64) -> GraphqlResponse {
    let cost = async_graphql::value!({ "requested": cost, "limit": COST_MAX });
    response.extensions.insert("cost".to_owned(), cost);
    response
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
async fn supervise(app: &App, run: Running) -> Result<GraphqlResponse, Refused> {
    let bounded = tokio::time::timeout(app.config.http.request_timeout, run).in_current_span();
    match Outliving::new(AssertUnwindSafe(bounded).catch_unwind().boxed()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ApiError::new(ErrorCode::Timeout, "The operation took too long and was stopped.").into()),
        Err(_) => {
            tracing::error!("An operation panicked");
            Err(ApiError::internal().into())
        }
    }
}

async fn execute_tenant(
    app: Arc<App>,
    origin: Origin,
    shop: Option<Shop>,
    mut operation: GraphqlRequest,
) -> GraphqlResponse {
    let is_stranger = shop.as_ref().is_none_or(|shop| *shop.actor() == Actor::Anonymous);
    let is_closed = app.config.environment == Environment::Production && is_stranger;
    if is_closed {
        operation = operation.disable_introspection();
    }
    let request = Arc::new(RequestCtx::new(Arc::clone(&app.services), origin, shop));
    let mut response = app.tenant_schema.execute(operation.data(Arc::clone(&request))).await;
    if is_closed {
        answer::hide_suggestions(&mut response);
    }
    // A credential in the arguments may have named the shop only now.
    if let Some(session) = request.known_shop().map(Shop::session) {
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

async fn execute_admin(
    app: Arc<App>,
    origin: Origin,
    operator: Option<Operator>,
    mut operation: GraphqlRequest,
) -> GraphqlResponse {
    let is_closed = app.config.environment == Environment::Production && operator.is_none();
    if is_closed {
        operation = operation.disable_introspection();
    }
    let operation = operation.data(AdminRequest {
        control: app.control.clone(),
        owner: app.owner.clone(),
        services: Arc::clone(&app.services),
        origin,
        operator,
    });
    let mut response = app.admin_schema.execute(operation).await;
    if is_closed {
        answer::hide_suggestions(&mut response);
    }
    response
}

async fn read_body(app: &App, headers: &HeaderMap, body: Body) -> Result<Parameters, ApiError> {
    check_content_type(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // Who shows nothing has little to say. A large body is read only for a credential that looks right.
    let is_small = announced.is_some_and(|length| length <= STRANGER_BODY_BYTES_MAX);
    let limit = match headers.get(header::AUTHORIZATION) {
        Some(_) if !is_small => {
            admission::plausible(app, headers)?;
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
    serde_json::from_slice(&bytes).map_err(|error| {
        let is_batch = bytes.trim_ascii_start().starts_with(b"[");
        let message =
            if is_batch { "Send one operation; batches are not served.".to_owned() } else { json_error(&error) };
        ApiError::bad_request(message)
    })
}

/// What is wrong with a body, without quoting it.
fn json_error(error: &serde_json::Error) -> String {
    format!("The body is not a GraphQL request in JSON (line {}, column {}).", error.line(), error.column())
}

/// A query in the query string. A document that writes is refused: a link must not change anything.
fn read_query(uri: &Uri) -> Result<Parameters, ApiError> {
    let query = uri.query().unwrap_or_default();
    if query.len() > QUERY_STRING_BYTES_MAX {
        return Err(ApiError::new(ErrorCode::PayloadTooLarge, "The query string is too long; use POST."));
    }
    let mut parameters = Parameters { query: None, operation_name: None, variables: None, extensions: None };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "query" => parameters.query = Some(value.into_owned()),
            "operationName" => parameters.operation_name = Some(value.into_owned()),
            "variables" if !value.is_empty() => {
                let variables = serde_json::from_str(&value);
                parameters.variables =
                    variables.map_err(|_| ApiError::bad_request("`variables` is not a JSON object."))?;
            }
            "extensions" if !value.is_empty() => {
                let extensions = serde_json::from_str(&value);
                parameters.extensions =
                    extensions.map_err(|_| ApiError::bad_request("`extensions` is not a JSON object."))?;
            }
            _ => {}
        }
    }
    Ok(parameters)
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

impl Parameters {
    /// The document as it was sent, and the operation without it.
    fn split(self) -> Result<(Sent, GraphqlRequest), ApiError> {
        let persisted = self.extensions.and_then(|extensions| extensions.persisted_query);
        if persisted.as_ref().is_some_and(|persisted| persisted.version != 1) {
            return Err(ApiError::bad_request("Persisted queries are served in version 1."));
        }
        let hash = persisted.map(|persisted| persisted.sha256_hash.to_ascii_lowercase());
        let text = self.query.filter(|query| !query.trim().is_empty());
        if text.is_none() && hash.is_none() {
            return Err(ApiError::bad_request("`query` is missing."));
        }
        let mut operation = GraphqlRequest::new("");
        if let Some(name) = self.operation_name.filter(|name| !name.is_empty()) {
            operation = operation.operation_name(name);
        }
        if let Some(variables) = self.variables {
            operation = operation.variables(Variables::from_json(serde_json::Value::Object(variables)));
        }
        Ok((Sent { text, hash }, operation))
    }
}
