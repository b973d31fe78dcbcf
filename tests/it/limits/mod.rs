//! Plans and limits: what tenants may use, and what becomes of those who want more.

mod claims;
mod command;
mod limiter;
mod pages;
mod plans;
mod rates;
mod replicas;
mod stored;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shelfwise::kernel::clock::{Clock, SystemClock};
use shelfwise::kernel::limits::LimitKind;
use uuid::Uuid;

use crate::harness::{Client, World};

/// A clock that stands still until a test moves it, so that nothing flows back by itself.
pub struct StandingClock(AtomicI64);

impl StandingClock {
    /// Stands at the present moment.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(SystemClock.now().timestamp_millis())))
    }

    /// Moves it.
    pub fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn new_id(&self) -> Uuid {
        SystemClock.new_id()
    }

    fn secret(&self) -> [u8; 32] {
        SystemClock.secret()
    }
}

/// Agrees to a limit.
pub const OVERRIDE: &str =
    "mutation($slug: String!, $limit: LimitKind!, $value: Int!, $endsAt: DateTime!, $reason: String!) {
    tenantLimitOverride(slug: $slug, limit: $limit, value: $value, endsAt: $endsAt, reason: $reason) {
        limitOverride { limit value endsAt reason madeBy } userErrors { code path } } }";

/// The arguments of one that is right in every field.
pub fn agreed(world: &World, limit: LimitKind, value: u32) -> Value {
    json!({
        "slug": world.a.slug.as_str(), "limit": limit.as_str().to_uppercase(), "value": value,
        "endsAt": SystemClock.now() + TimeDelta::days(1), "reason": "A test."
    })
}

/// Agrees to a limit of shop A's, and waits until the server knows.
pub async fn limit(world: &World, kind: LimitKind, value: u32) {
    let data = world.admin().data(OVERRIDE, agreed(world, kind, value)).await;
    assert_eq!(data["tenantLimitOverride"]["userErrors"], json!([]));
    world.context_when(|context| context.limits.get(kind) == value).await;
}

/// Does nothing, at a point.
pub async fn nothing(client: &Client<'_>) -> crate::harness::GqlResponse {
    client.gql("{ __typename }", json!({})).await
}

/// A header's text; empty where there is none.
pub fn field<'a>(response: &'a crate::harness::GqlResponse, name: &str) -> &'a str {
    response.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}
