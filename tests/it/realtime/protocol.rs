//! `graphql-transport-ws`: what is said when, and the code of every way to end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::ORDER;
use crate::graphql_helpers::book;
use crate::harness::cluster::psql_of;
use crate::harness::socket::Socket;
use crate::harness::world::{user_claims, world_with};
use crate::harness::{World, world};
use crate::orders::order;
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::SystemClock;

/// A query that is answered.
const QUERY: &str = "{ books { totalCount } }";

#[tokio::test]
async fn a_socket_says_who_it_is_before_anything_else_and_once() {
    world(async |world| {
        let mut early = Socket::greet(world).await;
        early.subscribe("1", QUERY, json!({})).await;
        assert_eq!(early.closed().await, (4401, "Unauthorized".to_owned()));
        let mut twice = Socket::of(world, &world.owner_token()).await;
        twice.init(&world.owner_token()).await;
        assert_eq!(twice.closed().await, (4429, "Too many initialisation requests".to_owned()));
        let mut other = Socket::open(world, "/graphql/ws", &[]).await;
        assert_eq!(other.closed().await.0, 4406);
    })
    .await;
}

#[tokio::test]
async fn who_says_nothing_in_time_is_shut_out() {
    world_with(&[("SOCKET_INIT_TIMEOUT_MS", "50")], async |world| {
        let mut silent = Socket::greet(world).await;
        assert_eq!(silent.closed().await, (4408, "Connection initialisation timeout".to_owned()));
        // A ping is no word of who one is.
        let mut chatty = Socket::greet(world).await;
        chatty.hears_nothing().await;
        assert_eq!(chatty.closed().await.0, 4408);
    })
    .await;
}

#[tokio::test]
async fn a_credential_comes_by_header_or_message_and_is_asked_for() {
    world(async |world| {
        let bearer = format!("Bearer {}", world.owner_token());
        let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
        let mut by_header = Socket::open(world, "/graphql/ws", &[protocol, ("authorization", &bearer)]).await;
        by_header.say(json!({ "type": "connection_init" })).await;
        assert_eq!(by_header.hears().await, json!({ "type": "connection_ack" }));
        by_header.subscribe("1", QUERY, json!({})).await;
        assert_eq!(by_header.next_of("1").await, json!({ "books": { "totalCount": 0 } }));

        let refused = async |socket: &mut Socket| {
            let (code, reason) = socket.closed().await;
            assert_eq!(code, 4403, "{reason}");
            reason
        };
        let mut stranger = Socket::greet(world).await;
        stranger.say(json!({ "type": "connection_init" })).await;
        assert_eq!(refused(&mut stranger).await, "A valid credential is required");
        let mut forged = Socket::greet(world).await;
        forged.init("nonsense").await;
        assert_eq!(refused(&mut forged).await, "A valid credential is required");
        let mut torn = Socket::open(world, "/graphql/ws", &[protocol, ("authorization", &bearer)]).await;
        torn.init("nonsense").await;
        assert_eq!(refused(&mut torn).await, "Headers and payload differ");
        let mut astray = Socket::greet(world).await;
        let payload = json!({ "authorization": bearer, "x-tenant": world.b.slug.as_str() });
        astray.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(refused(&mut astray).await, "The credential and the address name different tenants");
        let admin = world.token(&crate::harness::world::admin_claims());
        let mut operator = Socket::greet(world).await;
        operator.init(&admin).await;
        refused(&mut operator).await;
        let mut tenant = Socket::open(world, "/admin/graphql/ws", &[protocol]).await;
        tenant.init(&world.owner_token()).await;
        refused(&mut tenant).await;
    })
    .await;
}

#[tokio::test]
async fn an_id_is_one_operations_until_it_has_ended() {
    world(async |world| {
        let id = crate::orders::order(&world.owner(), &[]).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("a", ORDER, json!({ "id": id })).await;
        socket.next_of("a").await;
        socket.complete("b").await;
        socket.subscribe("a", QUERY, json!({})).await;
        assert_eq!(socket.closed().await, (4409, "Subscriber for a already exists".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn a_ping_is_answered_with_what_it_brought() {
    world(async |world| {
        let mut socket = Socket::greet(world).await;
        socket.say(json!({ "type": "ping", "payload": { "a": 1 } })).await;
        assert_eq!(socket.hears().await, json!({ "type": "pong", "payload": { "a": 1 } }));
        socket.say(json!({ "type": "pong" })).await;
        socket.hears_nothing().await;
    })
    .await;
}

#[tokio::test]
async fn a_socket_has_so_many_operations_and_a_shop_so_many_sockets() {
    world_with(&[("SOCKETS_PER_TENANT_MAX", "2")], async |world| {
        let id = crate::orders::order(&world.owner(), &[]).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        for number in 0..50 {
            socket.subscribe(&number.to_string(), ORDER, json!({ "id": id })).await;
            socket.next_of(&number.to_string()).await;
        }
        socket.subscribe("one more", ORDER, json!({ "id": id })).await;
        assert_eq!(socket.refusal_of("one more").await, "RATE_LIMITED");
        socket.complete("0").await;
        socket.subscribe("one more", ORDER, json!({ "id": id })).await;
        socket.next_of("one more").await;

        let second = Socket::of(world, &world.owner_token()).await;
        let mut third = Socket::greet(world).await;
        third.init(&world.owner_token()).await;
        assert_eq!(third.closed().await, (1013, "There is no room for another socket".to_owned()));
        // Another shop has its own.
        Socket::of(world, &world.token(&user_claims(&world.b, Role::Owner))).await;
        drop(second);
        while world.app.live.taken() > 1 {
            tokio::task::yield_now().await;
        }
        Socket::of(world, &world.owner_token()).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let world = World::start(&[]).await;
    let id = crate::orders::order(&world.owner(), &[]).await;
    let mut socket = Socket::of(&world, &world.owner_token()).await;
    socket.subscribe("1", ORDER, json!({ "id": id })).await;
    socket.next_of("1").await;
    let app = std::sync::Arc::clone(&world.app);
    let (closed, ended) = tokio::join!(socket.closed(), tokio::time::timeout(Duration::from_secs(10), world.end()));
    ended.expect("it does not wait for who looks on");
    assert_eq!(closed, (1001, "The server is restarted".to_owned()));
    assert_eq!((app.live.taken(), app.metrics.live.sockets.get(), app.metrics.live.streams.get()), (0, 0, 0));
}

#[tokio::test]
async fn a_mutation_that_is_under_way_when_the_server_stops_is_answered() {
    let (world, name) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let (owner, psql) = (world.owner(), psql_of(&name).await);
    let (emma, id) = (book(&owner, json!({ "title": "Emma" })).await, order(&owner, &[]).await);
    let mut socket = Socket::of(&world, &world.owner_token()).await;
    socket.subscribe("looks on", ORDER, json!({ "id": id })).await;
    socket.next_of("looks on").await;
    let books = format!("\"{}\".books", world.a.schema);
    psql.batch_execute(&format!("BEGIN; SELECT FROM {books} FOR UPDATE")).await.unwrap();
    let update = "mutation($id: ID!) { bookUpdate(id: $id, version: 1, input: { title: \"Persuasion\" }) {
        book { title } userErrors { code } } }";
    socket.subscribe("writes", update, json!({ "id": emma })).await;
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while psql.query(waiting, &[]).await.unwrap().is_empty() {}
    let app = Arc::clone(&world.app);
    let answered = async {
        app.live.stopping().await;
        psql.batch_execute("ROLLBACK").await.unwrap();
        let answer = json!({ "bookUpdate": { "book": { "title": "Persuasion" }, "userErrors": [] } });
        assert_eq!(socket.next_of("writes").await, answer);
        socket.ends("writes").await;
        assert_eq!(socket.closed().await, (1001, "The server is restarted".to_owned()));
    };
    tokio::join!(world.end(), answered);
    let title = psql.query_one(&format!("SELECT title FROM {books}"), &[]).await.unwrap();
    assert_eq!((title.get::<_, String>(0).as_str(), app.live.taken()), ("Persuasion", 0));
}

#[tokio::test]
async fn a_client_that_asks_for_everything_at_once_gets_it_on_the_smallest_plan() {
    world_with(&[], async |world| {
        let slug = world.a.slug.as_str();
        let change =
            "mutation($slug: String!) { tenantPlanChange(slug: $slug, plan: \"free\") { userErrors { code } } }";
        let data = world.admin().data(change, json!({ "slug": slug })).await;
        assert_eq!(data["tenantPlanChange"]["userErrors"], json!([]));
        let id = crate::orders::order(&world.owner(), &[]).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        for number in 0..50 {
            socket.subscribe(&number.to_string(), ORDER, json!({ "id": id })).await;
        }
        let mut told = BTreeSet::new();
        while told.len() < 50 {
            let message = socket.hears().await;
            assert_eq!(message["type"], "next", "{message}");
            told.insert(message["id"].as_str().unwrap().to_owned());
        }
        let long = format!("{ORDER} # {}", "x".repeat(8 * 1024));
        socket.complete("0").await;
        socket.subscribe("long", &long, json!({ "id": id })).await;
        assert_eq!(socket.refusal_of("long").await, "QUERY_TOO_COMPLEX");
    })
    .await;
}
