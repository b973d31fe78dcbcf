//! One operation as it comes over a connection that lasts: answered once, or again and again.
//!
//! A query or mutation goes the way that it goes over HTTP. A subscription is let in as they are, and then asked at its beginning
//! and whenever something has happened, each time as an operation of its own: the credential is asked for again, and the
//! connection is given back. What fails for a moment is tried again, because nobody else would find out what was missed.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use async_graphql::{Name, Request as GraphqlRequest, Response as GraphqlResponse, Value, Variables};
use axum::http::{HeaderMap, Uri};
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument as _, Span};

use super::admission::{self, Admitted};
use super::deprecation::{self, Uses};
use super::documents::Sent;
use super::graphql::{Read, admin_data, admit, outcome, prepare, run_admin, run_tenant, supervise};
use super::limits::Toll;
use super::refused::Refused;
use super::{answer, credentials, observe};
use crate::app::App;
use crate::graphql::asked::asked;
use crate::graphql::connection::PAGE_SIZE_MAX;
use crate::graphql::cost::{COST_MAX, Cost};
use crate::graphql::guard::Guarded;
use crate::graphql::watch::{Happened, Watch};
use crate::graphql::{ApiError, ErrorCode, Origin, Request as RequestCtx, Shop, Uncached};
use crate::kernel::actor::Actor;
use crate::kernel::ids::TenantId;
use crate::telemetry::frames;
pub(super) use crate::telemetry::operations::Plane;
use crate::telemetry::operations::Tally;

/// How often a look that failed for a moment is tried again, unless it is the shop's rates that it waits for.
const RETRIES_MAX: u32 = 5;

/// The pause before the first of these; each is twice as long as the one before, up to 16 seconds.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The longest text of a document with a subscription, in bytes: it is kept for as long as the subscription lasts.
const SUBSCRIPTION_BYTES_MAX: usize = 8 * 1024;

/// Who asks, and where from: what every look is admitted by.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) app: Arc<App>,
    pub(super) plane: Plane,
    pub(super) origin: Origin,
    /// The credential, the host and `X-Tenant`, and what else is [kept](super::credentials).
    pub(super) headers: HeaderMap,
    pub(super) uri: Uri,
    /// The operation's place among those of its socket, kept by all that is done for it.
    pub(super) place: Option<Arc<OwnedSemaphorePermit>>,
}

/// What an operation came to when it was let in.
pub(super) enum Opened {
    /// Its one answer.
    Once(GraphqlResponse),
    /// A subscription, and what it begins with, if anything.
    Watched(Box<Watched>, Option<GraphqlResponse>),
}

/// What was understood of a subscription.
struct Subscription {
    /// As it came.
    guarded: Arc<Guarded>,
    /// As the watching schema reads it.
    document: ExecutableDocument,
    /// What each look may cost.
    cost: Cost,
    /// The shop that it is about.
    tenant: Option<TenantId>,
}

/// A subscription that was let in.
pub(super) struct Watched {
    asker: Asker,
    subscription: Arc<Subscription>,
    /// The operation that is meant, where there are names.
    name: Option<String>,
    variables: Variables,
    watch: Arc<Watch>,
    /// What has happened and was not looked at.
    waiting: VecDeque<Happened>,
    is_over: bool,
    failures: u32,
}

impl Asker {
    /// Lets an operation in, which came by GET or not, in so many bytes. What is refused before anything was executed is `Err`.
    pub(super) async fn open(
        &self,
        sent: Sent,
        operation: GraphqlRequest,
        how: (bool, usize),
    ) -> Result<Opened, Refused> {
        let admitting = self.clone().admitted(sent, operation, how).boxed();
        let (sent, operation, subscription) = self.supervise(admitting).await?;
        let Some(subscription) = subscription else {
            let read = self.read(sent, operation, how);
            let running = match self.plane {
                Plane::Tenant => run_tenant(read).boxed(),
                Plane::Admin => run_admin(read).boxed(),
            };
            return self.supervise(running).await.map(Opened::Once);
        };
        let mut watched = Box::new(Watched {
            asker: Self { headers: credentials::kept(&self.headers), ..self.clone() },
            variables: declared(&subscription.document, operation.variables),
            subscription: Arc::new(subscription),
            name: operation.operation_name,
            watch: Arc::new(Watch::new(self.app.live.clone())),
            waiting: VecDeque::new(),
            is_over: false,
            failures: 0,
        });
        let begun = tokio::select! {
            begun = watched.look(Happened::Begun) => begun?,
            // Whoever looks on does so no more.
            () = self.app.live.stopping() => None,
        };
        Ok(Opened::Watched(watched, begun))
    }

    /// Does something to its end, and has a place for as long, be it that nobody waits for it any more.
    async fn supervise<T: Send + 'static>(&self, work: BoxFuture<'static, Result<T, Refused>>) -> Result<T, Refused> {
        let place = self.place.clone();
        let work = async move {
            let _place = place;
            work.await
        };
        supervise(&self.app, work.boxed()).await
    }

    /// What every operation passes: the credential, the text of the document, the guard, the cost. Answers what is to be
    /// executed, and what was understood of a subscription.
    async fn admitted(
        self,
        sent: Sent,
        operation: GraphqlRequest,
        how: (bool, usize),
    ) -> Result<(Sent, GraphqlRequest, Option<Subscription>), Refused> {
        let mut tally = self.app.operations.begin(self.plane);
        let result = self.pass(sent, operation, how, &mut tally).await;
        match &result {
            // What is admitted is counted when it is executed.
            Ok(_) => tally.hand_on(),
            Err(refused) => tally.end(refused.outcome()),
        }
        result
    }

    async fn pass(
        self,
        sent: Sent,
        mut operation: GraphqlRequest,
        how: (bool, usize),
        tally: &mut Tally,
    ) -> Result<(Sent, GraphqlRequest, Option<Subscription>), Refused> {
        let Self { app, plane, origin, headers, uri, .. } = self;
        let mut tenant = None;
        let (cost, guarded) = match plane {
            Plane::Admin => {
                admission::admin(&app, &headers, &origin).await?.ok_or_else(ApiError::unauthenticated)?;
                let missing = || Refused::Document(ApiError::bad_request("`query` is missing."));
                operation.query = sent.text.ok_or_else(missing)?;
                admit(&app, (&app.admin_costs, PAGE_SIZE_MAX), &mut operation, how, tally).await?
            }
            Plane::Tenant => {
                let Admitted { shop, .. } = admission::tenant(&app, &headers, &uri, &origin).await?;
                let shop = known(shop)?;
                tenant = Some(shop.tenant().id);
                let (mut paid, asked) = (None, (&headers, &uri));
                let hash = sent.hash.clone();
                let prepared = prepare(&app, Some(&shop), asked, sent, (&mut operation, how), (&mut paid, tally)).await;
                shop.session().finish().await;
                let (cost, guarded, _) = match prepared {
                    Ok(prepared) => prepared,
                    Err(refused) => return Err(refused.charged(&app, Some(&shop), paid).boxed().await),
                };
                if let Some(hash) = hash {
                    app.documents.persist(shop.tenant().id, hash, &operation.query);
                }
                (cost, guarded)
            }
        };
        let document = as_query(guarded.document.clone(), operation.operation_name.as_deref());
        if document.is_some() && operation.query.len() > SUBSCRIPTION_BYTES_MAX {
            let message = format!("A document with a subscription has at most {SUBSCRIPTION_BYTES_MAX} bytes.");
            return Err(ApiError::new(ErrorCode::QueryTooComplex, message).into());
        }
        let subscription = document.map(|document| Subscription { guarded, document, cost, tenant });
        let text = Some(operation.query.clone());
        Ok((Sent { text, hash: None }, operation, subscription))
    }

    fn read(&self, sent: Sent, operation: GraphqlRequest, (by_get, body_bytes): (bool, usize)) -> Read {
        let Self { app, origin, headers, uri, .. } = self.clone();
        Read { app, origin, headers, uri, by_get, body_bytes, sent, operation }
    }
}

/// A shop, and somebody who belongs there: nobody else looks on.
fn known(shop: Option<Shop>) -> Result<Shop, ApiError> {
    shop.filter(|shop| *shop.actor() != Actor::Anonymous).ok_or_else(ApiError::unauthenticated)
}

/// A document without all but the subscription that is meant, as a query; nothing where another operation is meant.
fn as_query(mut document: ExecutableDocument, name: Option<&str>) -> Option<ExecutableDocument> {
    let is_meant = |known: &Name| name.is_none_or(|name| known == name);
    let operation = match &mut document.operations {
        DocumentOperations::Single(operation) => Some(operation).filter(|_| name.is_none()),
        DocumentOperations::Multiple(operations) => {
            operations.retain(|known, _| is_meant(known));
            let is_clear = operations.len() == 1;
            operations.values_mut().next().filter(|_| is_clear)
        }
    };
    let operation = operation.filter(|operation| operation.node.ty == OperationType::Subscription)?;
    operation.node.ty = OperationType::Query;
    Some(document)
}

/// Those of the variables that the one operation of a document declares. What it does not is not kept.
fn declared(document: &ExecutableDocument, mut variables: Variables) -> Variables {
    let is_declared = |name: &Name| {
        let mut definitions = document.operations.iter().flat_map(|(_, it)| &it.node.variable_definitions);
        definitions.any(|definition| definition.node.name.node == *name)
    };
    variables.retain(|name, _| is_declared(name));
    variables
}

impl Watched {
    /// The next answer; nothing after the last. What is refused is the last as well. A call that is given up loses what it was
    /// about.
    pub(super) async fn next(&mut self) -> Option<Result<GraphqlResponse, Refused>> {
        while !self.is_over {
            let Some(happened) = self.waiting.pop_front() else {
                self.waiting.extend(self.watch.next().await);
                continue;
            };
            match self.look(happened).await {
                Ok(None) => {}
                Ok(Some(response)) => return Some(Ok(response)),
                Err(refused) => return Some(Err(refused)),
            }
        }
        None
    }

    /// Asks how things are. Answers nothing where the client need not be told.
    async fn look(&mut self, happened: Happened) -> Result<Option<GraphqlResponse>, Refused> {
        loop {
            let turn = match self.subscription.tenant {
                Some(tenant) => self.asker.app.live.turn(tenant).await,
                None => None,
            };
            self.watch.begin(happened);
            let looking = look(self.asker.clone(), self.request(), Arc::clone(&self.subscription)).boxed();
            // The first belongs to the request, which waits for it.
            let frame = if happened == Happened::Begun { Span::current() } else { frames::look() };
            let result = self.asker.supervise(looking).instrument(frame).await;
            drop(turn);
            let code = match &result {
                Ok(response) => root_failure(response),
                Err(refused) => refused.code(),
            };
            // Who has just asked is told at once of rates that are used up, and may ask again.
            if self.may_try_again(code) && (happened != Happened::Begun || code != Some(ErrorCode::RateLimited)) {
                tokio::time::sleep(spread(RETRY_PAUSE * 2_u32.pow(self.failures.min(RETRIES_MAX)))).await;
                self.failures += 1;
                continue;
            }
            let verdict = self.watch.verdict();
            self.is_over |= verdict.is_last || result.as_ref().map_or(true, has_failed);
            self.failures = 0;
            return result.map(|response| Some(response).filter(|response| verdict.is_told || has_failed(response)));
        }
    }

    /// Whether what failed may well succeed in a moment. A shop that has used up its rates is told later, not never.
    fn may_try_again(&self, code: Option<ErrorCode>) -> bool {
        match code {
            Some(ErrorCode::RateLimited) => true,
            Some(ErrorCode::ServiceUnavailable | ErrorCode::Timeout) => self.failures < RETRIES_MAX,
            _ => false,
        }
    }

    fn request(&self) -> GraphqlRequest {
        let mut request = GraphqlRequest::new("").variables(self.variables.clone()).disable_introspection();
        request.operation_name.clone_from(&self.name);
        request.set_parsed_query(self.subscription.document.clone());
        // What is told has changed just now, maybe at another replica.
        request.data(Arc::clone(&self.watch)).data(Uncached)
    }
}

/// A pause that is half as long to half as long again, so that many who wait do not all come back at once.
fn spread(pause: Duration) -> Duration {
    pause / 2 + pause * u32::try_from(RandomState::new().hash_one(()) % 1_000).unwrap_or(0) / 1_000
}

/// One look, which counts as an operation.
async fn look(
    asker: Asker,
    request: GraphqlRequest,
    subscription: Arc<Subscription>,
) -> Result<GraphqlResponse, Refused> {
    let mut tally = asker.app.operations.begin(asker.plane);
    tally.asks(asked(&subscription.document, request.operation_name.as_deref()));
    let result = looked(asker, request, subscription).await;
    tally.end(outcome(&result));
    result
}

/// What one look comes to. It pays as a query does, from what the shop has for looks.
async fn looked(
    asker: Asker,
    mut request: GraphqlRequest,
    subscription: Arc<Subscription>,
) -> Result<GraphqlResponse, Refused> {
    let cost = subscription.cost;
    let Asker { app, plane, origin, headers, uri, .. } = asker;
    match plane {
        Plane::Admin => {
            let operator = admission::admin(&app, &headers, &origin).await?.ok_or_else(ApiError::unauthenticated)?;
            let request = request.data(admin_data(&app, origin, Some(operator)));
            let mut response = app.admin_watch_schema.execute(request).instrument(observe::execution()).await;
            let cost = async_graphql::value!({ "requested": cost.points, "limit": COST_MAX });
            response.extensions.insert("cost".to_owned(), cost);
            Ok(response)
        }
        Plane::Tenant => {
            // It was right when the subscription was let in.
            let day = deprecation::day(&headers, &uri, app.services.clock.now().date_naive())?;
            let Admitted { named, shop } = admission::tenant(&app, &headers, &uri, &origin).await?;
            let shop = known(shop)?;
            let session = shop.session();
            let toll = match Toll::pay_look(&app, &shop, cost).boxed().await {
                Ok(toll) => toll,
                Err(limited) => {
                    session.finish().await;
                    return Err(Refused::Limited(limited));
                }
            };
            let uses = Uses::of(&app, (&subscription.guarded, &mut request), Some(&shop), &headers, day);
            if let Some(mut refusal) = uses.refusal() {
                session.finish().await;
                toll.settle(&mut refusal).boxed().await;
                return Ok(refusal);
            }
            let context = Arc::new(RequestCtx::new(Arc::clone(&app.services), origin, named, Some(shop), None));
            let executing = app.watch_schema.execute(request.data(context));
            let mut response = executing.instrument(observe::execution()).await;
            session.finish().await;
            if let Some(error) = session.refused() {
                // Nothing was done, which costs a point.
                toll.settle(&mut GraphqlResponse::default()).boxed().await;
                return Err(ApiError::from(error.clone()).into());
            }
            uses.tell(&mut response);
            toll.settle(&mut response).boxed().await;
            let meter = session.meter();
            app.metrics.sql_statements.observe(f64::from(meter.statements()));
            app.metrics.sql_round_trips.observe(f64::from(meter.round_trips()));
            Ok(response)
        }
    }
}

/// Whether the field of the root has no answer but an error.
fn has_failed(response: &GraphqlResponse) -> bool {
    let is_null = match &response.data {
        Value::Object(fields) => fields.values().all(|value| *value == Value::Null),
        _ => true,
    };
    is_null && !response.errors.is_empty()
}

/// The code of the error that the field of the root has instead of an answer.
fn root_failure(response: &GraphqlResponse) -> Option<ErrorCode> {
    Some(response).filter(|response| has_failed(response)).and_then(answer::code)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn of_a_document_the_subscription_that_is_meant_is_left() {
        let check = |text: &str, name: Option<&str>, expected: Option<&[&str]>| {
            let document = as_query(parse_query(text).unwrap(), name);
            let variables = Variables::from_json(serde_json::json!({ "a": 1, "b": 2, "c": [3] }));
            let kept = document.map(|document| {
                assert!(document.operations.iter().all(|(_, it)| it.node.ty == OperationType::Query));
                declared(&document, variables).keys().map(ToString::to_string).collect::<Vec<_>>()
            });
            assert_eq!(kept, expected.map(|names| names.iter().map(ToString::to_string).collect()), "{text}");
        };
        check("subscription { x }", None, Some(&[]));
        check("subscription S($a: Int) { x(a: $a) }", None, Some(&["a"]));
        check("subscription S($a: Int) { x(a: $a) } query Q($b: Int) { y(b: $b) }", Some("S"), Some(&["a"]));
        check("subscription S { x } subscription T($b: Int) { x(b: $b) }", Some("T"), Some(&["b"]));
        check("subscription S { x } query Q { y }", Some("Q"), None);
        check("subscription S { x } query Q { y }", None, None);
        check("subscription S { x }", Some("T"), None);
        check("subscription { x }", Some("S"), None);
        check("{ y }", None, None);
    }

    #[test]
    fn pauses_are_spread_about_what_they_are() {
        let pauses: Vec<Duration> = (0..100).map(|_| spread(Duration::from_secs(2))).collect();
        assert!(pauses.iter().all(|pause| (Duration::from_secs(1)..Duration::from_secs(3)).contains(pause)));
        assert!(pauses.iter().max() > pauses.iter().min());
    }
}
