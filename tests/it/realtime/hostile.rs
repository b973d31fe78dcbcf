//! Frames that are meant to hurt, and clients that do not read.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::graphql_helpers::book;
use crate::harness::socket::Socket;
use crate::harness::world;
use crate::harness::world::world_with;

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
            book(&world.owner(), json!({ "title": format!("{number} {}", "x".repeat(200)) })).await;
        }
        let mut socket = Socket::of(world, &world.owner_token()).await;
        let query = "{ books(first: 20) { nodes { id title createdAt updatedAt } } }";
        let fields: String =
            (0..10).map(|number| format!("a{number}: books(first: 20) {{ nodes {{ id title }} }} ")).collect();
        let payload = |query: &str| json!({ "query": query });
        // Sends until the server closes, and reads nothing.
        let mut number = 0;
        let sent = async {
            loop {
                number += 1;
                let query = if number % 2 == 0 { query.to_owned() } else { format!("{{ {fields} }}") };
                let message: Value =
                    json!({ "id": number.to_string(), "type": "subscribe", "payload": payload(&query) });
                if socket.stream().send(Message::text(message.to_string())).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let gone = async {
            while world.app.live.taken() > 0 {
                tokio::task::yield_now().await;
            }
        };
        let both = futures_util::future::select(Box::pin(gone), Box::pin(sent));
        tokio::time::timeout(LONG, both).await.expect("it is closed");
        while world.app.live.taken() > 0 {
            tokio::task::yield_now().await;
        }
        let closed = &world.app.metrics.live.closed;
        assert_eq!(closed.with_label_values(&["1013", "slow"]).get(), 1);
    })
    .await;
}
