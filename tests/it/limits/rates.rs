//! Rates on one server without Redis, with a clock that stands still: every count is exact.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use shelfwise::db::TenantTx;
use shelfwise::kernel::actor::{Permissions, Principal, Via};
use shelfwise::kernel::limits::LimitKind;
use shelfwise::limits::Caller;
use shelfwise::tenant::documents::service::documents_trust;

use super::{StandingClock, field, limit, nothing};
use crate::graphql_helpers::book;
use crate::harness::cluster::psql_of;
use crate::harness::socket::Socket;
use crate::harness::world::user_id;
use crate::harness::{Client, World};
use crate::http::documents::{assert_unknown, by_hash};
use crate::realtime::{ORDER, told};

/// A shop's page of books, at 102 points.
const BOOKS: &str = "{ books(first: 100) { nodes { title } } }";

/// A program of shop A's.
async fn program<'a>(world: &'a World, name: &str) -> Client<'a> {
    let query = "mutation($name: String!) {
        apiKeyCreate(input: { name: $name, permissions: [CATALOG_READ] }) { secret userErrors { code } } }";
    let data = world.owner().data(query, json!({ "name": name })).await;
    world.stranger().with_token(data["apiKeyCreate"]["secret"].as_str().unwrap())
}

#[tokio::test]
async fn a_shop_spends_a_minutes_requests_at_once_and_no_more_and_gets_them_back_evenly() {
    let clock = StandingClock::new();
    let (world, _) = World::start_alone(clock.clone(), &[]).await;
    limit(&world, LimitKind::RequestsPerMinute, 5).await;
    for left in (0..5).rev() {
        let response = nothing(&world.owner()).await;
        assert_eq!(response.status, 200);
        assert!(field(&response, "ratelimit").contains(&format!("\"requests\";r={left};t={}", (5 - left) * 12)));
        assert!(field(&response, "ratelimit-policy").contains("\"requests\";q=5;w=60"));
    }
    let refused = nothing(&world.owner()).await;
    refused.assert_refused(429, "RATE_LIMITED");
    assert_eq!(field(&refused, "retry-after"), "12");
    let extensions = &refused.body["errors"][0]["extensions"];
    assert_eq!((&extensions["limit"], &extensions["retryAfterSeconds"]), (&json!("REQUESTS_PER_MINUTE"), &json!(12)));
    assert!(refused.body["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"].is_u64(), "{}", refused.body);
    // Before execution, so the older media type is told by status too.
    let plain = world.owner().request("{ __typename }", json!({})).header("accept", "application/json");
    let plain = world.http.execute(plain.build().unwrap()).await.unwrap();
    assert_eq!(plain.status().as_u16(), 429);

    assert_eq!(nothing(&world.other_owner()).await.status, 200, "another shop has its own");
    clock.advance(TimeDelta::seconds(12));
    assert_eq!(nothing(&world.owner()).await.status, 200);
    nothing(&world.owner()).await.assert_refused(429, "RATE_LIMITED");
    let metrics = world.http.get(format!("{}/metrics", world.base_url)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("shelfwise_rate_limited_total{limit=\"requests_per_minute\"} 3"), "{metrics}");
    world.end().await;
}

#[tokio::test]
async fn points_that_were_not_needed_are_put_back_and_failing_is_not_cheaper() {
    let (world, _) = World::start_alone(StandingClock::new(), &[]).await;
    book(&world.owner(), json!({ "title": "One" })).await;
    limit(&world, LimitKind::PointsPerMinute, 250).await;
    // That mutation took some of the greater bucket; so much of this one is in use.
    let before = 250 - left(&nothing(&world.owner()).await);
    let response = world.owner().gql(BOOKS, json!({})).await;
    let cost = &response.body["extensions"]["cost"];
    assert_eq!((&cost["requested"], &cost["actual"], &cost["limit"]), (&json!(102), &json!(3), &json!(20_000)));
    let available = 250 - before - 3;
    assert_eq!(
        (&cost["throttleStatus"]["maximumAvailable"], &cost["throttleStatus"]["currentlyAvailable"]),
        (&json!(250), &json!(available))
    );
    assert_eq!(left(&response), available);

    let failing = "{ books(first: 100) { nodes { title } } node(id: \"nonsense\") { id } }";
    let response = world.owner().gql(failing, json!({})).await;
    assert_eq!(response.code(), "BAD_REQUEST");
    assert_eq!(left(&response), available - 104, "it pays what it might have cost");

    let invalid = world.owner().gql("{ books(first: 100) { nodes { nothing } } }", json!({})).await;
    assert_eq!((invalid.status, left(&invalid)), (400, available - 105), "what was never executed costs a point");
    world.end().await;
}

/// Points that an answer says are left.
fn left(response: &crate::harness::GqlResponse) -> i64 {
    let points = field(response, "ratelimit").split(", ").find(|item| item.starts_with("\"points\"")).unwrap();
    points.split(";r=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_may_cost_more_than_is_left_does_not_run_and_what_never_fits_is_told_so() {
    let clock = StandingClock::new();
    let (world, _) = World::start_alone(clock.clone(), &[]).await;
    limit(&world, LimitKind::PointsPerMinute, 120).await;
    assert_eq!(world.owner().gql(BOOKS, json!({})).await.status, 200);
    let twice = "{ a: books(first: 50) { nodes { title } } b: books(first: 50) { nodes { title stock } } }";
    let response = world.owner().gql(twice, json!({})).await;
    response.assert_refused(400, "QUERY_TOO_COMPLEX");
    assert_eq!(field(&response, "retry-after"), "", "waiting would not help");
    // Of 120 two are gone, and a point of what was tried: it was a request.
    for _ in 0..16 {
        assert_eq!(nothing(&world.owner()).await.status, 200);
    }
    let response = world.owner().gql(BOOKS, json!({})).await;
    response.assert_refused(429, "RATE_LIMITED");
    assert_eq!(field(&response, "retry-after"), "1", "one point is missing, at two a second");
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(world.owner().gql(BOOKS, json!({})).await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn mutations_are_counted_by_their_fields_and_a_refused_document_writes_nothing() {
    let (world, name) = World::start_alone(StandingClock::new(), &[]).await;
    limit(&world, LimitKind::MutationsPerMinute, 3).await;
    let two = "mutation { ...Two } fragment Two on Mutation {
        a: authorCreate(input: { name: \"Ann\" }) { userErrors { code } }
        b: authorCreate(input: { name: \"Bo\" }) { userErrors { code } } }";
    assert_eq!(world.owner().gql(two, json!({})).await.status, 200);
    let refused = world.owner().gql(&two.replace("Ann", "Cy").replace("Bo", "Di"), json!({})).await;
    refused.assert_refused(429, "RATE_LIMITED");
    assert_eq!(refused.body["errors"][0]["extensions"]["limit"], "MUTATIONS_PER_MINUTE");
    let one = "mutation { authorCreate(input: { name: \"Ed\" }) { userErrors { code } } }";
    assert_eq!(world.owner().gql(one, json!({})).await.status, 200, "one was left");
    assert_eq!(nothing(&world.owner()).await.status, 200, "reading goes on");
    let names = format!("SELECT string_agg(name, ',' ORDER BY name) FROM \"{}\".authors", world.a.schema);
    assert_eq!(psql_of(&name).await.query_one(&names, &[]).await.unwrap().get::<_, String>(0), "Ann,Bo,Ed");
    world.end().await;
}

#[tokio::test]
async fn a_key_has_half_of_its_shops_rates_and_an_operator_takes_nothing_of_them() {
    let (world, _) = World::start_alone(StandingClock::new(), &[]).await;
    let (one, two, three) =
        (program(&world, "One").await, program(&world, "Two").await, program(&world, "Three").await);
    limit(&world, LimitKind::RequestsPerMinute, 6).await;
    for _ in 0..3 {
        let response = nothing(&one).await;
        assert_eq!(response.status, 200);
        assert!(field(&response, "ratelimit-policy").contains("\"key-requests\";q=3;w=60"));
    }
    let refused = nothing(&one).await;
    refused.assert_refused(429, "RATE_LIMITED");
    assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("this API key"), "{}", refused.body);
    for _ in 0..3 {
        assert_eq!(nothing(&two).await.status, 200);
    }
    let refused = nothing(&three).await;
    refused.assert_refused(429, "RATE_LIMITED");
    assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("this shop"), "{}", refused.body);
    // Who was let in by an operator has as much beside: three keys were made on it.
    for _ in 0..3 {
        assert_eq!(nothing(&world.owner()).await.status, 200);
    }
    world.end().await;
}

#[tokio::test]
async fn a_document_that_does_not_pass_is_a_request_too_and_strangers_have_bounds_of_their_own() {
    let (world, _) = World::start_alone(StandingClock::new(), &[]).await;
    limit(&world, LimitKind::RequestsPerMinute, 2).await;
    for (left, document) in [
        (1, "{"),
        (
            0,
            "{ books(first: 100) { nodes { authors(first: 100) { nodes { books(first: 100) { nodes { title } } } } } } }",
        ),
    ] {
        let response = world.owner().gql(document, json!({})).await;
        assert_eq!(response.status, 400);
        assert!(field(&response, "ratelimit").contains(&format!("\"requests\";r={left};")), "{:?}", response.headers);
    }
    world.owner().gql("{", json!({})).await.assert_refused(429, "RATE_LIMITED");
    let stranger = world.stranger().with_header("x-tenant", world.a.slug.as_str());
    let response = nothing(&stranger).await;
    assert_eq!((response.status, field(&response, "ratelimit")), (200, ""));
    world.end().await;
}

#[tokio::test]
async fn no_more_operations_run_at_a_time_than_the_plan_says_and_one_that_ends_makes_room() {
    let (world, name) = World::start_alone(StandingClock::new(), &[]).await;
    limit(&world, LimitKind::ConcurrentOperations, 1).await;
    let psql = psql_of(&name).await;
    let lock = format!("BEGIN; LOCK TABLE \"{}\".books IN ACCESS EXCLUSIVE MODE", world.a.schema);
    psql.batch_execute(&lock).await.unwrap();
    let principal = Principal {
        user: user_id(&world.a, shelfwise::kernel::actor::Role::Owner),
        permissions: Permissions::ALL,
        via: Via::Operator,
    };
    let caller = Caller::new(world.a.id, world.a.limits, &principal);
    let limiter = &world.app.services.limiter;
    let owner = world.owner();
    let held = async {
        let response = owner.gql("{ books { totalCount } }", json!({})).await;
        assert_eq!(response.status, 200);
    };
    let other = async {
        while limiter.running(&caller) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = nothing(&owner).await;
        refused.assert_refused(429, "RATE_LIMITED");
        assert_eq!(refused.body["errors"][0]["extensions"]["limit"], "CONCURRENT_OPERATIONS");
        assert_eq!(field(&refused, "retry-after"), "1");
        assert_eq!(nothing(&world.other_owner()).await.status, 200);
        psql.batch_execute("ROLLBACK").await.unwrap();
    };
    tokio::join!(held, other);
    assert_eq!((limiter.running(&caller), nothing(&owner).await.status), (0, 200));
    world.end().await;
}

#[tokio::test]
async fn who_looks_on_takes_nothing_from_those_who_work_and_no_more_than_as_much() {
    let (world, _) = World::start_alone(StandingClock::new(), &[]).await;
    let owner = world.owner();
    let id = crate::orders::order(&owner, &[]).await;
    limit(&world, LimitKind::RequestsPerMinute, 40).await;
    let left = async || {
        let response = nothing(&owner).await;
        let (_, rest) = field(&response, "ratelimit").split_once("\"requests\";r=").unwrap();
        rest.split_once(';').unwrap().0.parse::<u32>().unwrap()
    };
    let before = left().await;
    let mut socket = Socket::of(&world, &world.owner_token()).await;
    for number in 0..40 {
        socket.subscribe(&number.to_string(), ORDER, json!({ "id": id })).await;
        assert_eq!(socket.next_of(&number.to_string()).await, told(&id, "DRAFT"));
    }
    socket.subscribe("one more", ORDER, json!({ "id": id })).await;
    assert_eq!(socket.refusal_of("one more").await, "RATE_LIMITED");
    assert_eq!(left().await, before - 1);
    world.end().await;
}

#[tokio::test]
async fn a_hash_is_looked_up_for_who_has_paid_and_an_operation_found_by_it_is_one_request() {
    let (world, _) = World::start_alone(StandingClock::new(), &[("DB_POOL_MAX", "1")]).await;
    let owner = world.owner();
    limit(&world, LimitKind::RequestsPerMinute, 4).await;
    limit(&world, LimitKind::PointsPerMinute, 250).await;
    let bodies = vec![BOOKS.to_owned()];
    let session = world.app.services.tenants.session(Arc::clone(&world.a));
    let clock = &*world.app.services.clock;
    let trust = async |tx: &mut TenantTx| documents_trust(tx, clock, &bodies, false).await;
    assert_eq!(session.write(trust).await.unwrap(), 1);
    session.finish().await;

    // Found in the table: it pays what it may cost, in one request.
    let found = by_hash(&owner, BOOKS).await;
    assert_eq!((found.status, &found.body["extensions"]["cost"]["requested"]), (200, &json!(102)), "{}", found.body);
    assert!(field(&found, "ratelimit").contains("\"requests\";r=3;"), "{}", field(&found, "ratelimit"));
    for number in 0..3 {
        assert_unknown(&by_hash(&owner, &format!("{{ books{number} }}")).await);
    }
    // Whose requests are used up has nothing looked up: it would wait for the only connection.
    let held = world.app.services.tenants.session(Arc::clone(&world.b));
    drop(held.read().await.unwrap());
    for number in 3..6 {
        by_hash(&owner, &format!("{{ books{number} }}")).await.assert_refused(429, "RATE_LIMITED");
    }
    held.finish().await;
    world.end().await;
}

#[tokio::test]
async fn a_request_whose_day_is_wrong_is_paid_for() {
    let (world, _) = World::start_alone(StandingClock::new(), &[]).await;
    limit(&world, LimitKind::RequestsPerMinute, 2).await;
    let owner = world.owner().with_header("x-as-of", "tomorrow");
    for _ in 0..2 {
        nothing(&owner).await.assert_refused(400, "BAD_REQUEST");
    }
    nothing(&owner).await.assert_refused(429, "RATE_LIMITED");
    world.end().await;
}
