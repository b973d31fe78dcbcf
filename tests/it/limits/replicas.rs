//! Rates over several servers: with Redis, without, and with one that comes and goes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use shelfwise::kernel::limits::LimitKind;
use shelfwise::limits::{Account, Caller};

use super::{field, limit, nothing};
use crate::harness::World;
use crate::harness::redis::RedisServer;

/// How soon a Redis that is back is found to be.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

/// Sends as many requests to each server at once, and answers how many were let in.
async fn let_in(worlds: &[&World], each: usize) -> usize {
    let requests = worlds.iter().flat_map(|world| (0..each).map(|_| async { nothing(&world.owner()).await.status }));
    let statuses = join_all(requests).await;
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    statuses.into_iter().filter(|status| *status == 200).count()
}

/// Has a server know of a limit that was agreed to through another.
async fn known(world: &World, kind: LimitKind, value: u32) {
    world.context_when(|context| context.limits.get(kind) == value).await;
}

/// Has a server find that Redis is back. It asks for nothing meanwhile.
async fn found_by(world: &World) {
    let caller = Caller { tenant: world.a.id, limits: world.a.limits, account: Account::Shop };
    let found = async {
        loop {
            world.app.services.limiter.standings(&caller).await;
            if world.app.services.redis.as_ref().unwrap().is_up() {
                break;
            }
        }
    };
    tokio::time::timeout(FOUND_WITHIN, found).await.expect("Redis is found to be back");
}

#[tokio::test]
async fn two_servers_with_one_redis_grant_what_one_would() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let one = World::start(&[("REDIS_URL", &url)]).await;
    let two = World::beside_with(&one, &[("REDIS_URL", &url)]).await;
    limit(&one, LimitKind::RequestsPerMinute, 6).await;
    known(&two, LimitKind::RequestsPerMinute, 6).await;
    let started = Instant::now();
    let granted = let_in(&[&one, &two], 12).await;
    // One flows back every ten seconds.
    let flowed = usize::try_from(started.elapsed().as_secs() / 10).unwrap();
    assert!((6..=6 + flowed).contains(&granted), "{granted} were let in");
    assert_eq!(nothing(&one.other_owner()).await.status, 200);
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn points_are_put_back_for_all_servers() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let one = World::start(&[("REDIS_URL", &url)]).await;
    let two = World::beside_with(&one, &[("REDIS_URL", &url)]).await;
    limit(&one, LimitKind::PointsPerMinute, 110).await;
    known(&two, LimitKind::PointsPerMinute, 110).await;
    // Each takes 102 at first, and needs two.
    for world in [&one, &two, &one, &two] {
        let response = world.owner().gql("{ books(first: 100) { nodes { title } } }", json!({})).await;
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(response.body["extensions"]["cost"]["actual"], 2);
    }
    assert!(field(&nothing(&two.owner()).await, "ratelimit").starts_with("\"points\";r=10"));
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn servers_without_redis_grant_their_shares() {
    let one = World::start(&[("REPLICAS", "3")]).await;
    limit(&one, LimitKind::RequestsPerMinute, 18).await;
    let started = Instant::now();
    let granted = let_in(&[&one], 20).await;
    let flowed = usize::try_from(started.elapsed().as_secs() / 10).unwrap();
    assert!((6..=6 + flowed).contains(&granted), "{granted} were let in");
    one.end().await;
}

#[tokio::test]
async fn what_was_spent_stays_spent_when_redis_is_killed_and_when_it_comes_back_empty() {
    let mut redis = RedisServer::start().await;
    let clock = super::StandingClock::new();
    let (world, _) = World::start_alone(clock, &[("REDIS_URL", &redis.url())]).await;
    limit(&world, LimitKind::RequestsPerMinute, 6).await;
    let started = Instant::now();
    assert_eq!(let_in(&[&world], 4).await, 4, "by Redis");
    let decided = async |by: &str, count: u32| {
        let metrics = world.http.get(format!("{}/metrics", world.base_url)).send().await.unwrap().text().await.unwrap();
        let line = format!("shelfwise_rate_decisions_total{{by=\"{by}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    };
    decided("redis", 4).await;
    redis.kill();
    // The server's own clock stands, so nothing flows back while it decides.
    assert_eq!(let_in(&[&world], 6).await, 2, "by itself");
    decided("replica", 6).await;
    redis.restart().await;
    let is_up = || world.app.services.redis.as_ref().unwrap().is_up();
    let mut granted = 0;
    let found = async {
        while !is_up() {
            granted += let_in(&[&world], 1).await;
        }
        granted += let_in(&[&world], 6).await;
    };
    tokio::time::timeout(FOUND_WITHIN, found).await.expect("Redis is found to be back");
    let flowed = usize::try_from(started.elapsed().as_secs() / 10).unwrap();
    assert!(granted <= flowed, "{granted} were let in");
    assert_eq!(nothing(&world.other_owner()).await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn what_was_spent_through_one_server_stays_spent_when_another_is_first_at_an_empty_redis() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    let one = World::start(&[("REDIS_URL", &url)]).await;
    let two = World::beside_with(&one, &[("REDIS_URL", &url)]).await;
    limit(&one, LimitKind::RequestsPerMinute, 6).await;
    known(&two, LimitKind::RequestsPerMinute, 6).await;
    let started = Instant::now();
    assert_eq!(let_in(&[&one], 4).await, 4);
    redis.restart().await;
    found_by(&two).await;
    assert_eq!(let_in(&[&two], 1).await, 1);
    found_by(&one).await;
    let granted = let_in(&[&one], 6).await;
    let flowed = usize::try_from(started.elapsed().as_secs() / 10).unwrap();
    assert!((2..=2 + flowed).contains(&granted), "{granted} were let in");
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn what_is_dearer_than_a_servers_share_is_paid_for() {
    let clock = super::StandingClock::new();
    let (world, _) = World::start_alone(clock.clone(), &[("REPLICAS", "4")]).await;
    limit(&world, LimitKind::PointsPerMinute, 110).await;
    // It may cost 102, of which a share has a fourth, and needs two.
    let books = "{ books(first: 100) { nodes { title } } }";
    let response = world.owner().gql(books, json!({})).await;
    let cost = &response.body["extensions"]["cost"];
    assert_eq!((response.status, &cost["actual"]), (200, &json!(2)));
    // Of the whole there are 102.
    assert_eq!(cost["throttleStatus"]["currentlyAvailable"], 25);
    assert!(field(&response, "ratelimit").starts_with("\"points\";r=25;"), "{:?}", response.headers);
    let refused = world.owner().gql(books, json!({})).await;
    refused.assert_refused(429, "RATE_LIMITED");
    assert_eq!(field(&refused, "retry-after"), "5", "two points of 27");
    clock.advance(chrono::TimeDelta::seconds(5));
    assert_eq!(world.owner().gql(books, json!({})).await.status, 200);
    world.end().await;
}
