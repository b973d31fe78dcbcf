//! What goes away: on its day, before it, and who is told and counted.

mod command;
mod extensions;
mod notices;
mod removal;
mod usage;

use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::Clock as _;
use shelfwise::kernel::tenant::TenantCtx;

use crate::harness::clock::TestClock;
use crate::harness::world::user_claims;
use crate::harness::{Client, World};

/// A document that uses a part which goes away on 1 July 2027.
pub const OLD: &str = "query Till { books { nodes { priceCents } } }";

/// Puts a clock forward to the beginning of a day.
pub fn advance_to(clock: &TestClock, day: &str) {
    let day: NaiveDate = day.parse().unwrap();
    let start = day.and_hms_opt(0, 0, 0).unwrap().and_utc();
    clock.advance(start - clock.now() + TimeDelta::milliseconds(1));
}

/// Somebody with a role in a shop, whose token is good when the clock stands where it does.
pub fn user_at<'a>(world: &'a World, clock: &TestClock, shop: &TenantCtx, role: Role) -> Client<'a> {
    let claims = user_claims(shop, role);
    let token = world.app.services.tokens.mint(&claims, clock.now(), Duration::from_secs(3600)).unwrap();
    world.owner().with_token(&token)
}

/// Gives a shop more time by the operators' API, and answers the payload.
pub async fn extend(admin: &Client<'_>, shop: &TenantCtx, part: &str, until: &str) -> Value {
    let query = "mutation($slug: String!, $part: String!, $until: Date!) {
        deprecationExtensionSet(slug: $slug, part: $part, until: $until, reason: \"their till is late\") {
            extension { tenantSlug part until reason madeBy } userErrors { code path } } }";
    let variables = json!({ "slug": shop.slug.as_str(), "part": part, "until": until });
    admin.data(query, variables).await["deprecationExtensionSet"].clone()
}
