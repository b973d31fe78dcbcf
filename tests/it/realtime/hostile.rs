//! Frames that are meant to hurt, and clients that do not read.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::news::{Bulletin, Told};

use super::ORDER;
use crate::graphql_helpers::book;
use crate::harness::cluster::psql_of;
use crate::harness::socket::Socket;
use crate::harness::world::world_with;
use crate::harness::{World, world};
use crate::orders::order;

/// Long for a computer. A test that waits for it has failed.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_no_message_closes_the_socket() {
    world(async |world| {
        for (text, code) in [
            ("".to_owned(), 4400),
            ("{".to_owned(), 4400),
            ("[]".to_owned(), 4400),
            (r#"{"type":"start"}"#.to_owned(), 4400),
            (r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#.to_owned(), 4400),
            (format!(r#"{{"type":"ping","payload":{{"a":[{}1]}}}}"#, "1,".repeat(20_000)), 4400),
            (format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)), 4400),
            ("x".repeat(64 * 1024 + 1), 1009),
        ] {
            let mut socket = Socket::of(world, &world.owner_token()).await;
            socket.say_text(&text).await;
            let (closed, reason) = socket.closed().await;
            assert_eq!(closed, code, "{reason}: {}", text.chars().take(60).collect::<String>());
        }
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.say_bytes(b"{\"type\":\"ping\"}").await;
        assert_eq!(socket.closed().await, (4400, "Messages are text".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn documents_of_the_corpus_are_refused_over_a_socket_too() {
    world(async |world| {
        let mut socket = Socket::of(world, &world.owner_token()).await;
        for (name, document, code) in crate::hostile::documents() {
            if document.len() > 60_000 {
                continue;
            }
            socket.subscribe("1", &document, json!({})).await;
            assert_eq!(socket.refusal_of("1").await, code, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_does_not_read_is_closed_and_forgotten() {
    world_with(&[("SOCKET_SLOW_TIMEOUT_MS", "200")], async |world| {
        for number in 0..20 {
            book(&world.owner(), json!({ "title": format!("{number} {}", "x".repeat(490)) })).await;
        }
        let mut socket = Socket::of(world, &world.owner_token()).await;
        // More than the connection holds, in fewer operations than a socket may have.
        let titles: String = (0..20).map(|number| format!("t{number}: title ")).collect();
        let query = format!("{{ books(first: 20) {{ nodes {{ {titles} }} }} }}");
        for number in 0..49 {
            socket.subscribe(&number.to_string(), &query, json!({})).await;
        }
        let gone = async {
            while world.app.live.taken() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, gone).await.expect("it is closed");
        let closed = &world.app.metrics.live.closed;
        assert_eq!(closed.with_label_values(&["1013", "slow"]).get(), 1);
    })
    .await;
}

#[tokio::test]
async fn strangers_who_say_nothing_keep_nobody_out() {
    world_with(&[("SOCKETS_MAX", "2"), ("TRUSTED_PROXIES", "127.0.0.0/8")], async |world| {
        let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
        let from = |address| ("x-forwarded-for", address);
        let mut silent = Vec::new();
        for _ in 0..32 {
            silent.push(Socket::open(world, "/graphql/ws", &[protocol, from("192.0.2.1")]).await);
        }
        assert_eq!(Socket::refused(world, &[from("192.0.2.1")]).await, 503);
        let mut socket = Socket::open(world, "/graphql/ws", &[protocol, from("192.0.2.2")]).await;
        socket.init(&world.owner_token()).await;
        assert_eq!(socket.hears().await, json!({ "type": "connection_ack" }));
        // Nor does a stranger's stream, whose body does not come.
        let asked = world.http.post(format!("{}/graphql/stream", world.base_url)).header("accept", "text/event-stream");
        let body = reqwest::Body::wrap_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let asked = asked.header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(asked.status(), 401);
        let mut second = Socket::of(world, &world.owner_token()).await;
        second.hears_nothing().await;
        // All seats are taken: who waits is told so, and who comes does not wait.
        silent[0].init(&world.owner_token()).await;
        assert_eq!(silent[0].closed().await, (1013, "There is no room for another socket".to_owned()));
        assert_eq!(Socket::refused(world, &[from("192.0.2.2")]).await, 503);
    })
    .await;
}

#[tokio::test]
async fn what_was_ended_counts_for_as_long_as_it_goes_on() {
    let (world, name) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let id = order(&world.owner(), &[]).await;
    let psql = psql_of(&name).await;
    let mut socket = Socket::of(&world, &world.owner_token()).await;
    let table = format!("\"{}\".users", world.a.schema);
    psql.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    world.app.live.on_news(Bulletin::Of(world.a.id, &Told::Anything));
    let waiting = format!("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    while psql.query(&waiting, &[]).await.unwrap().is_empty() {}
    // Each waits for who it is from now on, and is ended at once.
    for number in 0..60 {
        socket.subscribe(&number.to_string(), ORDER, json!({ "id": id })).await;
        socket.complete(&number.to_string()).await;
    }
    for number in 50..60 {
        assert_eq!(socket.refusal_of(&number.to_string()).await, "RATE_LIMITED");
    }
    socket.hears_nothing().await;
    psql.batch_execute("ROLLBACK").await.unwrap();
    // A server that stops waits for what goes on.
    let (closed, ()) = tokio::join!(socket.closed(), world.end());
    assert_eq!(closed.0, 1001);
}
