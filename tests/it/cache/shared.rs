//! What servers share in Redis, and what they do without it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use redis::AsyncCommands as _;
use serde_json::json;
use shelfwise::cache::keys::Name;
use shelfwise::kernel::ids::{BookId, base32_encode};

use super::{cache, counts, keeping, retitle, retitle_by_hand, settled, title, twin_of, until};
use crate::graphql_helpers::book;
use crate::harness::World;
use crate::harness::redis::RedisServer;

/// A connection to a Redis, to look at what is in it.
async fn look(redis: &RedisServer) -> redis::aio::MultiplexedConnection {
    redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Where a book of shop A is kept.
fn place(world: &World, id: &str) -> String {
    let id: BookId = id.parse().unwrap();
    format!("shelfwise:cache:{}:book:1:{:x}", base32_encode(world.a.id.0), id.0.as_u128())
}

/// Waits until a book of shop A is there.
async fn kept(redis: &RedisServer, place: &str) {
    let line = look(redis).await;
    until("it is kept", async || line.clone().exists(place).await.unwrap()).await;
}

#[tokio::test]
async fn what_one_has_read_another_need_not() {
    let redis = RedisServer::start().await;
    let (one, _) = keeping(&[("REDIS_URL", &redis.url())]).await;
    let other = twin_of(&one).await;
    let id = book(&one.owner(), json!({ "title": "Emma", "isbn": "9780141439587" })).await;
    settled(&other).await;
    assert_eq!(title(&one.owner(), &id).await.0, "Emma");
    kept(&redis, &place(&one, &id)).await;
    assert_eq!(title(&other.owner(), &id).await, (json!("Emma"), 0));
    assert_eq!((counts(&one, Name::Book), counts(&other, Name::Book)), ((0, 0, 1), (0, 1, 0)));
    assert_eq!(title(&other.owner(), &id).await, (json!("Emma"), 0));
    assert_eq!(counts(&other, Name::Book), (1, 1, 0), "it is known here as well now");

    // The other shop's key is another one, and that there is nothing is not shared.
    assert_eq!(title(&other.other_owner(), &id).await, (json!(null), 1));
    assert_eq!(title(&one.other_owner(), &id).await, (json!(null), 1));
    other.end().await;
    one.end().await;
}

#[tokio::test]
async fn a_change_removes_it_for_all() {
    let redis = RedisServer::start().await;
    let (one, _) = keeping(&[("REDIS_URL", &redis.url())]).await;
    let other = twin_of(&one).await;
    let id = book(&one.owner(), json!({ "title": "Old" })).await;
    settled(&other).await;
    title(&one.owner(), &id).await;
    kept(&redis, &place(&one, &id)).await;
    retitle(&other.owner(), &id, 1, "New").await;
    assert_eq!(title(&other.owner(), &id).await.0, "New", "who writes reads it at once");
    until("it has heard", async || title(&one.owner(), &id).await.0 == "New").await;
    other.end().await;
    one.end().await;
}

#[tokio::test]
async fn what_is_there_when_a_server_comes_is_outdated() {
    let redis = RedisServer::start().await;
    let (one, database) = keeping(&[("REDIS_URL", &redis.url())]).await;
    let id = book(&one.owner(), json!({ "title": "Old" })).await;
    settled(&one).await;
    title(&one.owner(), &id).await;
    kept(&redis, &place(&one, &id)).await;
    // As by a server that died before it could tell anybody, with nobody there to miss it.
    retitle_by_hand(&one, &database, &id, "New").await;
    let newcomer = twin_of(&one).await;
    assert_eq!(title(&newcomer.owner(), &id).await.0, "New");
    newcomer.end().await;
    one.end().await;
}

#[tokio::test]
async fn nonsense_in_redis_is_nothing() {
    let redis = RedisServer::start().await;
    let (world, _) = keeping(&[("REDIS_URL", &redis.url())]).await;
    let owner = world.owner();
    let mut line = look(&redis).await;
    let nonsense = ["", "\n", "600000", "600000\n", "600000\n{}", "x\nnull", "-1\nnull", "600000\n{\"id\":\"book_1\"}"];
    let ids = async |index: usize| book(&owner, json!({ "title": format!("Emma {index}") })).await;
    let ids = join_all((0..nonsense.len()).map(ids)).await;
    settled(&world).await;
    // The tenant's sign is made when it is first needed.
    title(&owner, &book(&owner, json!({ "title": "Another" })).await).await;
    let tenant = format!("shelfwise:cache:{}:sign", base32_encode(world.a.id.0));
    let signs: (String, String) = line.mget(&["shelfwise:cache:sign", &tenant]).await.unwrap();
    for (index, nonsense) in nonsense.iter().enumerate() {
        let text = format!("{}{}{nonsense}", signs.0, signs.1);
        let _: () = line.pset_ex(place(&world, &ids[index]), text, 500_000).await.unwrap();
        assert_eq!(title(&owner, &ids[index]).await, (json!(format!("Emma {index}")), 1), "{nonsense:?}");
    }
    assert_eq!(counts(&world, Name::Book).1, 0);
    world.end().await;
}

#[tokio::test]
async fn nobody_fails_when_redis_is_killed_under_load() {
    const REQUESTS: usize = 400;
    let mut redis = RedisServer::start().await;
    let (world, _) = keeping(&[("REDIS_URL", &redis.url())]).await;
    let owner = world.owner();
    let ids = join_all((0..4).map(|index| book(&owner, json!({ "title": format!("{index}"), "stock": 0 })))).await;
    let (done, is_killed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let update = "mutation($id: ID!, $version: Int!, $stock: Int!) {
        bookUpdate(id: $id, version: $version, input: { stock: $stock }) { book { stock } userErrors { code } } }";
    let client = async |index: usize| {
        let id = &ids[index];
        let mut stock = 0;
        while done.fetch_add(1, Ordering::Relaxed) < REQUESTS {
            let data = owner.data("query($id: ID!) { book(id: $id) { stock } }", json!({ "id": id })).await;
            assert_eq!(data["book"]["stock"], stock, "who has written reads it");
            if stock % 3 == 0 || is_killed.load(Ordering::Relaxed) {
                let variables = json!({ "id": id, "version": stock + 1, "stock": stock + 1 });
                let data = owner.data(update, variables).await;
                stock += 1;
                assert_eq!(data["bookUpdate"]["book"]["stock"], stock, "{data}");
            } else {
                title(&owner, id).await;
            }
        }
    };
    let chaos = async {
        for at in [REQUESTS / 4, REQUESTS / 2] {
            until("requests are answered", async || done.load(Ordering::Relaxed) > at).await;
            is_killed.store(true, Ordering::Relaxed);
            redis.kill();
            until("requests are answered without", async || done.load(Ordering::Relaxed) > at + REQUESTS / 8).await;
            redis.restart().await;
        }
    };
    tokio::join!(join_all((0..4).map(client)), chaos);
    until("it settles", async || cache(&world).is_settled()).await;
    world.assert_nothing_borrowed().await;
    world.end().await;
}
