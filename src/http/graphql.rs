//! The two GraphQL endpoints.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::parser::types::{OperationDefinition, OperationType};
use async_graphql::{Request as GraphqlRequest, Response as GraphqlResponse, Variables};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, Uri};
use chrono::NaiveDate;
use futures_util::future::{BoxFuture, FutureExt as _};
use tracing::Instrument as _;

use super::accept::{MediaType, negotiate};
use super::admission::Admitted;
use super::answer::not_allowed;
use super::client_address::client_address;
use super::compress::{self, accepts_gzip};
use super::conditional::{self, Conditional};
use super::deprecation::Uses;
use super::documents::{Found, Place, Sent};
use super::limits::Toll;
use super::observe::{self, RequestId};
use super::outliving::Outliving;
use super::parameters::{QUERY_STRING_BYTES_MAX, check_preflight, read_body, read_query};
use super::refused::Refused;
use super::{admission, answer, deprecation, page, uncached};
use crate::app::App;
use crate::config::Environment;
use crate::config::http::TrustedDocuments;
use crate::control::audit::Operator;
use crate::graphql::asked::{asked, meant};
use crate::graphql::connection::PAGE_SIZE_MAX;
use crate::graphql::cost::{COST_MAX, Cost, Costs};
use crate::graphql::guard::{Guarded, Unfit};
use crate::graphql::{
    AdminRequest, ApiError, ErrorCode, IdempotencyKey, Origin, Request as RequestCtx, RequestKey, Shop, Uncached,
};
use crate::kernel::actor::Actor;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::operations::{Outcome, Plane, Tally};
use crate::telemetry::traces;
use crate::tenant::idempotency::key::hash;

/// Bytes that the values of variables may come to, each counted once for every place where it is used.
const VARIABLE_COPIES_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The header by which a request may be repeated.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request that has been read: where it comes from, what it says of itself, and its operation.
pub(super) struct Read {
    pub(super) app: Arc<App>,
    pub(super) origin: Origin,
    pub(super) headers: HeaderMap,
    pub(super) uri: Uri,
    pub(super) by_get: bool,
    /// What its variables are no larger than.
    pub(super) body_bytes: usize,
    pub(super) sent: Sent,
    /// The operation, whose text is yet to be found.
    pub(super) operation: GraphqlRequest,
}

/// An operation under way. Boxed where it is made: it is large, and is handed on several times before it runs.
pub(super) type Running = BoxFuture<'static, Result<GraphqlResponse, Refused>>;

/// `/graphql`: the tenants' API.
pub async fn tenant(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    if page::is_wanted(&request) {
        return page::index(&app);
    }
    answer(app, request, Plane::Tenant, |read| run_tenant(read).boxed()).await
}

/// `/admin/graphql`: the operators' API.
pub async fn admin(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    if page::is_wanted(&request) {
        return page::index(&app);
    }
    answer(app, request, Plane::Admin, |read| run_admin(read).boxed()).await
}

/// What both endpoints have in common: media types, the body, the deadline, the status.
async fn answer(
    app: Arc<App>,
    request: Request<Body>,
    plane: Plane,
    run: impl FnOnce(Read) -> Running,
) -> Response<Body> {
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let media_type = match negotiate(request.headers()) {
        Ok(media_type) => media_type,
        Err(error) => {
            app.operations.begin(plane).end(answer::outcome_of(error.code));
            return answer::refused(error, MediaType::Json, request_id.as_str(), &app.metrics);
        }
    };
    let takes_gzip = accepts_gzip(request.headers());
    let (result, conditional) = match read(&app, request, &request_id).await {
        Ok(read) => {
            let conditional = (read.by_get && read.sent.hash.is_some()).then(|| Conditional::of(&read.headers));
            (supervise(&app, run(read)).await, conditional)
        }
        Err(error) => {
            app.operations.begin(plane).end(outcome_of_unread(&error));
            (Err(Refused::Request(error)), None)
        }
    };
    let id = request_id.as_str();
    match result {
        Ok(response) => {
            let tag = conditional.as_ref().and_then(|_| conditional::tag(&response, media_type));
            let mut answer = answer::executed(response, media_type, id, &app.metrics);
            if let Some(conditional) = conditional {
                answer = conditional.answer(tag, answer);
            }
            compress::compress(answer, takes_gzip).await
        }
        Err(refused) => refuse(refused, media_type, id, &app.metrics),
    }
}

/// The answer to an operation that was not executed.
fn refuse(refused: Refused, media_type: MediaType, id: &str, metrics: &Metrics) -> Response<Body> {
    match refused {
        Refused::Request(error) | Refused::Document(error) if error.code == ErrorCode::MethodNotAllowed => {
            not_allowed(error, media_type, id, metrics)
        }
        Refused::Syntax(error) => {
            answer::executed(GraphqlResponse::from_errors(vec![error.into()]), media_type, id, metrics)
        }
        Refused::Limited(response) => answer::not_now(*response, media_type, id, metrics),
        Refused::Request(error) => answer::refused(error, media_type, id, metrics),
        Refused::Document(error) => answer::refused_document(error, media_type, id, metrics),
        Refused::Paid(refused, fields) => {
            let mut answer = refuse(*refused, media_type, id, metrics);
            answer.headers_mut().extend(fields);
            answer
        }
    }
}

/// What an operation counts as that could not be [read].
pub(super) fn outcome_of_unread(error: &ApiError) -> Outcome {
    // A body that does not come is its sender's doing.
    if error.code == ErrorCode::Timeout { Outcome::Refused } else { answer::outcome_of(error.code) }
}

/// Reads a request by its method.
pub(super) async fn read(app: &Arc<App>, request: Request<Body>, request_id: &RequestId) -> Result<Read, ApiError> {
    let (parts, body) = request.into_parts();
    let by_get = parts.method == Method::GET;
    let (parameters, body_bytes) = match parts.method {
        Method::POST => {
            let reading = read_body(app, &parts.headers, body);
            let too_slow = || ApiError::new(ErrorCode::Timeout, "The body took too long to arrive.");
            tokio::time::timeout(app.config.http.request_timeout, reading).await.unwrap_or_else(|_| Err(too_slow()))?
        }
        Method::GET => {
            check_preflight(&parts.headers)?;
            (read_query(&parts.uri)?, QUERY_STRING_BYTES_MAX)
        }
        _ => return Err(ApiError::new(ErrorCode::MethodNotAllowed, "Use POST, or GET for queries.")),
    };
    let address = client_address(&parts.extensions, &parts.headers, &app.config.http.trusted_proxies);
    let origin = Origin { address, request_id: request_id.shared() };
    let (sent, operation) = parameters.split()?;
    Ok(Read {
        app: Arc::clone(app),
        origin,
        headers: parts.headers,
        uri: parts.uri,
        by_get,
        body_bytes,
        sent,
        operation,
    })
}

/// Executes an operation of the tenants' API, and counts it.
pub(super) async fn run_tenant(read: Read) -> Result<GraphqlResponse, Refused> {
    let mut tally = read.app.operations.begin(Plane::Tenant);
    let result = tenants_operation(read, &mut tally).await;
    tally.end(outcome(&result));
    result
}

/// What an operation counts as.
pub(super) fn outcome(result: &Result<GraphqlResponse, Refused>) -> Outcome {
    match result {
        Ok(response) => answer::outcome(response),
        Err(refused) => refused.outcome(),
    }
}

async fn tenants_operation(read: Read, tally: &mut Tally) -> Result<GraphqlResponse, Refused> {
    let Read { app, origin, headers, uri, by_get, body_bytes, sent, mut operation } = read;
    let Admitted { named, shop } = admission::tenant(&app, &headers, &uri, &origin).await?;
    let hash = sent.hash.clone();
    let session = shop.as_ref().map(Shop::session);
    let passing =
        pass(&app, shop.as_ref(), (&headers, &uri), sent, (&mut operation, (by_get, body_bytes)), tally).boxed();
    let Passed { guarded, key, day, toll } = match passing.await {
        Ok(passed) => passed,
        Err(refused) => {
            if let Some(session) = session {
                session.finish().await;
            }
            return Err(refused);
        }
    };
    let uses = Uses::of(&app, (&guarded, &mut operation), shop.as_ref(), &headers, day);
    if let Some(mut refusal) = uses.refusal() {
        if let Some(session) = session {
            session.finish().await;
        }
        toll.settle(&mut refusal).boxed().await;
        return Ok(refusal);
    }
    if let (Some(shop), Some(hash)) = (&shop, hash) {
        app.documents.persist(shop.tenant().id, hash, &operation.query);
    }
    if uncached::is_wanted(&headers) {
        operation = operation.data(Uncached);
    }
    // Boxed: as a part of this future it would be moved with it, several times, before it runs.
    let mut response = execute_tenant(app, (origin, named, shop, key), operation).boxed().await;
    uses.tell(&mut response);
    toll.settle(&mut response).boxed().await;
    Ok(response)
}

/// An operation that may be executed and has paid.
struct Passed {
    guarded: Arc<Guarded>,
    key: Option<RequestKey>,
    day: NaiveDate,
    toll: Toll,
}

/// Lets an operation pass and has it pay.
async fn pass(
    app: &App,
    shop: Option<&Shop>,
    (headers, uri): (&HeaderMap, &Uri),
    sent: Sent,
    (operation, how): (&mut GraphqlRequest, (bool, usize)),
    tally: &mut Tally,
) -> Result<Passed, Refused> {
    let mut paid = None;
    let prepared = async {
        let (cost, guarded, day) =
            prepare(app, shop, (headers, uri), sent, (operation, how), (&mut paid, tally)).await?;
        Ok::<_, Refused>((cost, guarded, day, request_key(headers, operation)?))
    };
    let (cost, guarded, day, key) = match prepared.await {
        Ok(prepared) => prepared,
        Err(refused) => return Err(refused.charged(app, shop, paid).boxed().await),
    };
    let toll = match paid {
        Some(toll) => toll.raise(app, cost).boxed().await,
        None => Toll::pay(app, shop, cost).boxed().await,
    };
    Ok(Passed { guarded, key, day, toll: toll.map_err(Refused::Limited)? })
}

/// Finds an operation's document, lets it pass the guard, and reads the day that it asks about. Answers what it costs, what was
/// parsed, and the day. Where something was paid on the way, `paid` is that.
pub(super) async fn prepare(
    app: &App,
    shop: Option<&Shop>,
    (headers, uri): (&HeaderMap, &Uri),
    sent: Sent,
    (operation, how): (&mut GraphqlRequest, (bool, usize)),
    (paid, tally): (&mut Option<Toll>, &mut Tally),
) -> Result<(Cost, Arc<Guarded>, NaiveDate), Refused> {
    operation.query = find(app, shop, sent, paid).await?;
    let page_size_max = shop.map_or(PAGE_SIZE_MAX, |shop| shop.tenant().limits.page_size as usize);
    let (cost, guarded) = admit(app, (&app.tenant_costs, page_size_max), operation, how, tally).await?;
    let day = deprecation::day(headers, uri, app.services.clock.now().date_naive())?;
    Ok((cost, guarded, day))
}

/// The text of what was sent. Where the shop's table has to be asked for it, a request is paid for before, and is under way.
async fn find(app: &App, shop: Option<&Shop>, sent: Sent, paid: &mut Option<Toll>) -> Result<String, Refused> {
    let session = shop.map(Shop::session);
    // A stranger's hash costs a connection only where every document must be known.
    let is_asked =
        |shop: &Shop| *shop.actor() != Actor::Anonymous || app.config.http.trusted_documents != TrustedDocuments::Off;
    let table = session.as_deref().filter(|_| shop.is_some_and(is_asked));
    let place = shop.map(|shop| Place { tenant: shop.tenant().id, table });
    match (app.documents.find(sent, place).map_err(Refused::Document)?, place) {
        (Found::Text(text), _) => Ok(text),
        (Found::Unknown(question), Some(place)) => {
            *paid = Some(Toll::pay(app, shop, Cost::LEAST).boxed().await.map_err(Refused::Limited)?);
            app.documents.ask(question, place).boxed().await.map_err(Refused::Document)
        }
        (Found::Unknown(_), None) => Err(ApiError::internal().into()),
    }
}

/// Executes an operation of the operators' API, and counts it.
pub(super) async fn run_admin(read: Read) -> Result<GraphqlResponse, Refused> {
    let mut tally = read.app.operations.begin(Plane::Admin);
    let result = operators_operation(read, &mut tally).await;
    tally.end(outcome(&result));
    result
}

async fn operators_operation(read: Read, tally: &mut Tally) -> Result<GraphqlResponse, Refused> {
    let Read { app, origin, headers, by_get, body_bytes, sent, mut operation, .. } = read;
    let operator = admission::admin(&app, &headers, &origin).await?;
    let missing = || Refused::Document(ApiError::bad_request("`query` is missing."));
    operation.query = sent.text.ok_or_else(missing)?;
    let costs = (&app.admin_costs, PAGE_SIZE_MAX);
    let (cost, _) = admit(&app, costs, &mut operation, (by_get, body_bytes), tally).await?;
    Ok(with_cost(execute_admin(app, origin, operator, operation).await, cost))
}

fn with_cost(mut response: GraphqlResponse, cost: Cost) -> GraphqlResponse {
    let cost = async_graphql::value!({ "requested": cost.points, "limit": COST_MAX });
    response.extensions.insert("cost".to_owned(), cost);
    response
}

/// Lets an operation pass: the guard, the variables that it requires, its cost. Answers the cost, and what was parsed. Its tally is
/// told what it asks for.
pub(super) async fn admit(
    app: &App,
    costs: (&Costs, usize),
    request: &mut GraphqlRequest,
    (by_get, body_bytes): (bool, usize),
    tally: &mut Tally,
) -> Result<(Cost, Arc<Guarded>), Refused> {
    let guarded = app.documents.admit(request).await.map_err(|unfit| match unfit {
        Unfit::Excess(excess) => Refused::Document(excess.into()),
        Unfit::Syntax(error) => Refused::Syntax(error),
    })?;
    tally.asks(asked(&guarded.document, request.operation_name.as_deref()));
    let cost = check(costs, request, &guarded, (by_get, body_bytes)).map_err(Refused::Document)?;
    Ok((cost, guarded))
}

/// What is asked of an operation once its document has passed.
fn check(
    (costs, page_size_max): (&Costs, usize),
    request: &GraphqlRequest,
    guarded: &Guarded,
    (by_get, body_bytes): (bool, usize),
) -> Result<Cost, ApiError> {
    let document = &guarded.document;
    if guarded.variable_uses.saturating_mul(body_bytes as u64) > VARIABLE_COPIES_BYTES_MAX {
        return Err(ApiError::new(ErrorCode::QueryTooComplex, "Variables this large are used less often."));
    }
    // Which operation is meant may not be clear, or it may not exist: the executor says so.
    let Some((name, operation)) = meant(document, request.operation_name.as_deref()) else { return Ok(Cost::LEAST) };
    observe::note_operation(name, operation);
    // A subscription changes nothing, and is served as events.
    if by_get && operation.ty == OperationType::Mutation {
        return Err(ApiError::new(ErrorCode::MethodNotAllowed, "Only queries may be sent by GET."));
    }
    check_variables(operation, &request.variables)?;
    costs.check(document, operation, &request.variables, page_size_max)
}

/// Runs an operation up to its deadline, to its end even if the client goes away. Ending it at the deadline drops its
/// session, whose connection is rolled back and, if the server is still busy, cancelled.
pub(super) async fn supervise<T: Send + 'static>(
    app: &App,
    run: BoxFuture<'static, Result<T, Refused>>,
) -> Result<T, Refused> {
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
    (origin, named, shop, key): (Origin, Option<String>, Option<Shop>, Option<RequestKey>),
    mut operation: GraphqlRequest,
) -> GraphqlResponse {
    let is_stranger = shop.as_ref().is_none_or(|shop| *shop.actor() == Actor::Anonymous);
    let is_closed = app.config.environment != Environment::Development && is_stranger;
    if is_closed {
        operation = operation.disable_introspection();
    }
    let request = Arc::new(RequestCtx::new(Arc::clone(&app.services), origin, named, shop, key));
    let may_be_compressed = compress::allows(&mut operation);
    let span = observe::execution();
    let executing = app.tenant_schema.execute(operation.data(Arc::clone(&request)));
    let mut response = executing.instrument(span.clone()).await;
    observe::executed(&span, &response);
    may_be_compressed.note(&mut response);
    if is_closed {
        answer::hide_suggestions(&mut response);
    }
    let replayed = request.replayed();
    if !replayed.is_empty() {
        let replayed = async_graphql::value!({ "replayed": replayed });
        response.extensions.insert("idempotency".to_owned(), replayed);
    }
    // A credential in the arguments may have named the shop only now.
    if let Some(session) = request.known_shop().map(Shop::session) {
        session.finish().await;
        // Where there was no room nothing was done, and the whole request may be sent again.
        if let Some(error) = session.refused() {
            return answer::turned_away(error.clone().into());
        }
        let meter = session.meter();
        traces::note(&span, "shelfwise.sql.statements", i64::from(meter.statements()));
        traces::note(&span, "shelfwise.sql.round_trips", i64::from(meter.round_trips()));
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
    let is_closed = app.config.environment != Environment::Development && operator.is_none();
    if is_closed {
        operation = operation.disable_introspection();
    }
    let may_be_compressed = compress::allows(&mut operation);
    let operation = operation.data(admin_data(&app, origin, operator));
    let span = observe::execution();
    let mut response = app.admin_schema.execute(operation).instrument(span.clone()).await;
    observe::executed(&span, &response);
    may_be_compressed.note(&mut response);
    if is_closed {
        answer::hide_suggestions(&mut response);
    }
    response
}

/// What an operation of the operators' API finds in its context.
pub(super) fn admin_data(app: &App, origin: Origin, operator: Option<Operator>) -> AdminRequest {
    AdminRequest {
        control: app.control.clone(),
        owner: app.owner.clone(),
        services: Arc::clone(&app.services),
        origin,
        operator,
    }
}

/// The key in the header of a request, with the hash of what it is for.
///
/// The IETF's draft has a quoted string; most clients send a bare one, so both are taken.
fn request_key(headers: &HeaderMap, operation: &GraphqlRequest) -> Result<Option<RequestKey>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let key: IdempotencyKey =
        text.parse().map_err(|problem| ApiError::bad_request(format!("`Idempotency-Key`: {problem}.")))?;
    let variables = serde_json::to_string(&operation.variables).map_err(|_| ApiError::internal())?;
    let name = operation.operation_name.as_deref().unwrap_or_default();
    let fingerprint = hash(&[text.as_bytes(), operation.query.as_bytes(), name.as_bytes(), variables.as_bytes()]);
    Ok(Some(RequestKey { key, fingerprint }))
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
