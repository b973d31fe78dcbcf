//! A change at one replica is told at another, over whatever there is.

use std::time::Duration;

use serde_json::json;

use super::{ORDER, told};
use crate::harness::redis::RedisServer;
use crate::harness::socket::Socket;
use crate::harness::{World, world};
use crate::orders::{act, order, stocked};

/// Waits until a replica hears others, or does not.
async fn until_heard(world: &World, is_heard: bool) {
    let heard = async {
        while world.app.services.news.is_heard() != is_heard {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), heard).await.expect("the replica notices");
}

#[tokio::test]
async fn a_move_at_one_replica_is_told_at_another_by_postgresql() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 1)]).await;
        // Both sign tokens with keys of their own, so what is shown is a key of the shop's.
        let (key, _) = super::key(&owner, &["ORDERS_READ"]).await;
        let other = World::beside(world).await;
        until_heard(&other, true).await;
        let mut socket = Socket::of(&other, &key).await;
        socket.subscribe("1", ORDER, json!({ "id": id })).await;
        assert_eq!(socket.next_of("1").await, told(&id, "DRAFT"));
        act(&owner, "orderPlace", &id, "").await;
        assert_eq!(socket.next_of("1").await, told(&id, "PLACED"));
        other.end().await;
    })
    .await;
}

#[tokio::test]
async fn subscriptions_outlive_redis() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str())];
    let one = World::start(&settings).await;
    let other = World::beside_with(&one, &settings).await;
    until_heard(&one, true).await;
    until_heard(&other, true).await;
    let owner = one.owner();
    let emma = stocked(&owner, "Emma", 5).await;
    let id = order(&owner, &[(&emma, 1)]).await;
    let (key, _) = super::key(&owner, &["ORDERS_READ"]).await;
    let mut socket = Socket::of(&other, &key).await;
    socket.subscribe("1", ORDER, json!({ "id": id })).await;
    assert_eq!(socket.next_of("1").await, told(&id, "DRAFT"));

    act(&owner, "orderPlace", &id, "").await;
    assert_eq!(socket.next_of("1").await, told(&id, "PLACED"), "over Redis");
    redis.kill();
    crate::orders::make_paid(&one.a, &id).await;
    act(&owner, "orderFulfill", &id, "").await;
    assert_eq!(socket.next_of("1").await, told(&id, "FULFILLED"), "over PostgreSQL");
    until_heard(&other, false).await;
    redis.restart().await;
    until_heard(&other, true).await;
    act(&owner, "orderDeliver", &id, "").await;
    assert_eq!(socket.next_of("1").await, told(&id, "DELIVERED"), "over either");
    drop(socket);
    one.end().await;
    other.end().await;
}
