//! Tenants' rates at the edge: what an operation takes before it runs, what it is given back, and what clients are told.
//!
//! An operation pays what it may cost before it is executed. What it did cost is counted off its answer: each entry of an
//! object is a point, so that a list costs what it has and not what it might have had; the rest is put back. One that fails
//! pays in full, or failing late would make everything free; one that nothing was executed of pays a point.
//!
//! Fields of answers are those of the IETF's draft on rate limits, where points are a policy of our own.

use async_graphql::{Response as GraphqlResponse, ServerError, Value, value};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::app::App;
use crate::graphql::cost::{COST_MAX, Cost};
use crate::graphql::{ApiError, ErrorCode, Shop};
use crate::kernel::actor::Actor;
use crate::kernel::limits::LimitKind;
use crate::limits::{Admission, Caller, Denied, Price, Standing, WINDOW_S};

/// What a tenant's rates are.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is left of them.
pub const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What an operation has paid; nothing where it is a stranger's, whose bounds are others.
pub struct Toll {
    cost: Cost,
    admission: Option<Admission>,
}

impl Toll {
    /// Takes what an operation may cost.
    ///
    /// # Errors
    /// The answer to one that may not run now: status 429, whatever media type.
    pub async fn pay(app: &App, shop: Option<&Shop>, cost: Cost) -> Result<Self, Box<GraphqlResponse>> {
        let Some((shop, Actor::User(principal))) = shop.map(|shop| (shop, shop.actor())) else {
            return Ok(Self { cost, admission: None });
        };
        let tenant = shop.tenant();
        Self::take(app, Caller::new(tenant.id, tenant.limits, principal), cost).await
    }

    /// Takes what a look of a subscription may cost, from what a shop has for looks alone.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn pay_look(app: &App, shop: &Shop, cost: Cost) -> Result<Self, Box<GraphqlResponse>> {
        let tenant = shop.tenant();
        Self::take(app, Caller::watching(tenant.id, tenant.limits), cost).await
    }

    async fn take(app: &App, caller: Caller, cost: Cost) -> Result<Self, Box<GraphqlResponse>> {
        let admitted = app.services.limiter.admit(caller, price(cost)).await;
        Self::of(app, cost, admitted)
    }

    /// Takes what is lacking of what an operation may cost, where it has paid before that was known.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn raise(self, app: &App, cost: Cost) -> Result<Self, Box<GraphqlResponse>> {
        let Some(admission) = self.admission else { return Ok(Self { cost, admission: None }) };
        let raised = admission.raise(price(cost)).await;
        Self::of(app, cost, raised)
    }

    fn of(app: &App, cost: Cost, admitted: Result<Admission, Denied>) -> Result<Self, Box<GraphqlResponse>> {
        if let Some(by) = admitted.as_ref().map_or_else(|denied| denied.by, |admission| Some(admission.by())) {
            app.metrics.rate_decisions.with_label_values(&[by.as_str()]).inc();
        }
        match admitted {
            Ok(admission) => Ok(Self { cost, admission: Some(admission) }),
            Err(denied) => {
                app.metrics.rate_limited.with_label_values(&[denied.kind.as_str()]).inc();
                Err(Box::new(refusal(&denied, cost)))
            }
        }
    }

    /// Ends an operation: what it did not need is put back, and the answer tells what is left.
    pub async fn settle(self, response: &mut GraphqlResponse) {
        let requested = self.cost.points;
        let Some(admission) = self.admission else {
            response.extensions.insert("cost".to_owned(), value!({ "requested": requested, "limit": COST_MAX }));
            return;
        };
        let actual = actual(response, admission.price().points);
        let standings = admission.settle(actual).await;
        let mut cost = value!({ "requested": requested, "actual": actual, "limit": COST_MAX });
        insert(&mut cost, "throttleStatus", throttle_status(&standings));
        response.extensions.insert("cost".to_owned(), cost);
        fields(&mut response.http_headers, &standings);
    }

    /// Ends an operation that did not pass and so was not executed: what it paid is spent. Answers the fields that tell what
    /// is left.
    pub async fn spend(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(admission) = self.admission {
            let paid = admission.price().points;
            fields(&mut headers, &admission.settle(paid).await);
        }
        headers
    }
}

/// What is taken for a cost.
fn price(cost: Cost) -> Price {
    Price { points: cost.points.max(1), mutations: cost.mutations }
}

/// What an operation has cost, at most what it paid.
fn actual(response: &GraphqlResponse, paid: u64) -> u64 {
    match response.errors.as_slice() {
        [] => entries(&response.data).clamp(1, paid),
        errors if response.data == Value::Null && errors.iter().all(|error| error.path.is_empty()) => 1,
        _ => paid,
    }
}

/// The entries of all objects of a value.
fn entries(value: &Value) -> u64 {
    match value {
        Value::Object(object) => object.values().fold(0, |sum: u64, value| sum.saturating_add(1 + entries(value))),
        Value::List(list) => list.iter().fold(0, |sum: u64, value| sum.saturating_add(entries(value))),
        _ => 0,
    }
}

/// The answer to an operation that may not run.
fn refusal(denied: &Denied, cost: Cost) -> GraphqlResponse {
    let whose = if denied.of_key { "this API key" } else { "this shop" };
    let kind = denied.kind.as_str().replace('_', " ");
    let (code, message) = match denied.retry_in {
        None => {
            let message = format!("The operation takes more {kind} than {whose} ever has. Ask for less.");
            (ErrorCode::QueryTooComplex, message)
        }
        Some(_) if denied.kind == LimitKind::ConcurrentOperations => {
            (ErrorCode::RateLimited, format!("Too many operations of {whose} are under way."))
        }
        Some(wait) => {
            let message = format!("The {kind} of {whose} are used up; try again in {} s.", whole_seconds(wait));
            (ErrorCode::RateLimited, message)
        }
    };
    let mut error = ServerError::new(message, None);
    let graphql_error: async_graphql::Error = ApiError::new(code, error.message.clone()).into();
    let mut extensions = graphql_error.extensions.unwrap_or_default();
    extensions.set("limit", denied.kind.as_str().to_uppercase());
    let mut response = GraphqlResponse::default();
    if let Some(wait) = denied.retry_in {
        extensions.set("retryAfterSeconds", whole_seconds(wait));
        response.http_headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    error.extensions = Some(extensions);
    response.errors.push(error);
    let mut told = value!({ "requested": cost.points, "limit": COST_MAX });
    insert(&mut told, "throttleStatus", throttle_status(&denied.standings));
    response.extensions.insert("cost".to_owned(), told);
    fields(&mut response.http_headers, &denied.standings);
    response
}

/// The points that are left, in the words that clients of other APIs know. With an API key, the scarcer of its own and the
/// shop's.
fn throttle_status(standings: &[Standing]) -> Value {
    let points = standings.iter().filter(|standing| standing.kind == LimitKind::PointsPerMinute);
    let Some(scarcest) = points.min_by_key(|standing| standing.here) else { return Value::Null };
    value!({
        "maximumAvailable": scarcest.limit,
        "currentlyAvailable": scarcest.here,
        "restoreRate": f64::from(scarcest.limit) / WINDOW_S as f64,
    })
}

/// Tells all rates and what is left of each, as far as this server grants it.
fn fields(headers: &mut HeaderMap, standings: &[Standing]) {
    let (mut policies, mut lefts) = (Vec::new(), Vec::new());
    for standing in standings {
        let name = name(standing);
        policies.push(format!("\"{name}\";q={};w={WINDOW_S}", standing.limit));
        lefts.push(format!("\"{name}\";r={};t={}", standing.here, whole_seconds(standing.full_in)));
    }
    for (header, items) in [(POLICY, policies), (LEFT, lefts)] {
        if let Ok(value) = HeaderValue::from_str(&items.join(", ")) {
            headers.insert(header, value);
        }
    }
}

/// A policy's name.
fn name(standing: &Standing) -> &'static str {
    match (standing.kind, standing.of_key) {
        (LimitKind::PointsPerMinute, false) => "points",
        (LimitKind::RequestsPerMinute, false) => "requests",
        (LimitKind::PointsPerMinute, true) => "key-points",
        (LimitKind::RequestsPerMinute, true) => "key-requests",
        (_, false) => "mutations",
        (_, true) => "key-mutations",
    }
}

/// Seconds, at least as long.
fn whole_seconds(wait: std::time::Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(async_graphql::Name::new(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(data: Value, paths: &[&[&str]]) -> GraphqlResponse {
        let error = |path: &&[&str]| {
            let path = path.iter().map(|name| async_graphql::PathSegment::Field((*name).to_owned())).collect();
            ServerError { path, ..ServerError::new("No.", None) }
        };
        let mut response = GraphqlResponse::new(data);
        response.errors = paths.iter().map(error).collect();
        response
    }

    #[test]
    fn an_operation_costs_the_entries_of_its_answer() {
        let check = |data, paths: &[&[&str]], expected| assert_eq!(actual(&answer(data, paths), 100), expected);
        check(value!({ "books": { "nodes": [{ "title": "A" }, { "title": "B" }] } }), &[], 4);
        check(value!({ "book": null }), &[], 1);
        check(value!({}), &[], 1);
        // What fails is no cheaper for it, and what was never begun costs a point.
        check(value!({ "book": null }), &[&["book"]], 100);
        check(Value::Null, &[&["book"]], 100);
        check(Value::Null, &[&[]], 1);
    }

    #[test]
    fn no_operation_costs_more_than_it_paid() {
        let data = value!({ "details": { "a": 1, "b": { "c": [{ "d": 2 }, { "e": 3 }] } } });
        assert_eq!(actual(&answer(data, &[]), 3), 3);
    }

    #[test]
    fn fields_are_structured_as_the_draft_has_them() {
        let standing = |kind, of_key, left| Standing {
            kind,
            of_key,
            limit: 600,
            left,
            here: left / 2,
            full_in: std::time::Duration::from_millis(1_001),
        };
        let standings =
            [standing(LimitKind::PointsPerMinute, false, 590), standing(LimitKind::RequestsPerMinute, true, 0)];
        let mut headers = HeaderMap::new();
        fields(&mut headers, &standings);
        assert_eq!(headers["ratelimit-policy"], "\"points\";q=600;w=60, \"key-requests\";q=600;w=60");
        assert_eq!(headers["ratelimit"], "\"points\";r=295;t=2, \"key-requests\";r=0;t=2");
    }
}
