//! `/graphql/stream`: GraphQL over server-sent events, in distinct connections mode.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::{Clock as _, SystemClock};

use super::{ORDER, key, told};
use crate::harness::socket::Socket;
use crate::harness::world::{user_claims, world_with};
use crate::harness::{Client, GqlResponse, World, world};
use crate::orders::{act, order, stocked};

/// Events as they come.
struct Events {
    bytes: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Events {
    async fn of(client: &Client<'_>, query: &str, variables: Value) -> Self {
        Self::in_answer(client.stream(query, variables).send().await.unwrap())
    }

    fn in_answer(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(response.headers()["cache-control"], "private, no-store");
        Self { bytes: Box::pin(response.bytes_stream()), text: String::new() }
    }

    /// The next event and its data; nothing at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        let next = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.text = rest;
                    let Some((name, data)) = event.split_once('\n') else { continue };
                    let data = data.strip_prefix("data: ").unwrap();
                    let data = serde_json::from_str(data).unwrap_or_default();
                    return Some((name.strip_prefix("event: ").unwrap().to_owned(), data));
                }
                self.text.push_str(std::str::from_utf8(&self.bytes.next().await?.ok()?).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("something happens")
    }

    async fn data(&mut self) -> Value {
        let (name, data) = self.next().await.expect("an event");
        assert_eq!(name, "next", "{data}");
        data["data"].clone()
    }

    async fn completes(&mut self) {
        assert_eq!(self.next().await, Some(("complete".to_owned(), Value::Null)));
        assert_eq!(self.next().await, None);
    }
}

#[tokio::test]
async fn a_subscription_is_events_until_it_is_complete() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 2)]).await;
        let mut events = Events::of(&owner, ORDER, json!({ "id": id })).await;
        assert_eq!(events.data().await, told(&id, "DRAFT"));
        world.assert_nothing_borrowed().await;
        act(&owner, "orderPlace", &id, "").await;
        assert_eq!(events.data().await, told(&id, "PLACED"));
        act(&owner, "orderCancel", &id, ", reason: FRAUD").await;
        assert_eq!(events.data().await, told(&id, "CANCELED"));
        events.completes().await;
    })
    .await;
}

#[tokio::test]
async fn a_query_is_one_event_and_what_is_refused_is_none() {
    world(async |world| {
        let owner = world.owner();
        let mut events = Events::of(&owner, "{ books { totalCount } }", json!({})).await;
        assert_eq!(events.data().await, json!({ "books": { "totalCount": 0 } }));
        events.completes().await;

        let refused = async |client: &Client<'_>, query: &str, status: u16, code: &str| {
            let response = client.stream(query, json!({})).send().await.unwrap();
            GqlResponse::read(response).await.assert_refused(status, code);
        };
        refused(&world.stranger(), ORDER, 401, "UNAUTHENTICATED").await;
        refused(&owner, "subscription {", 400, "BAD_REQUEST").await;
        refused(&owner, ORDER, 400, "BAD_REQUEST").await;
        let plain = owner.request("{ books { totalCount } }", json!({}));
        let plain = plain.build().unwrap();
        let mut wrong = reqwest::Request::new(plain.method().clone(), plain.url().join("/graphql/stream").unwrap());
        *wrong.headers_mut() = plain.headers().clone();
        let answer = GqlResponse::read(world.http.execute(wrong).await.unwrap()).await;
        answer.assert_refused(406, "NOT_ACCEPTABLE");
        let (status, events) = owner.events("subscription { nothing }", json!({})).await;
        assert_eq!((status, &events[0]["errors"][0]["extensions"]["code"]), (400, &json!("BAD_REQUEST")));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_a_restart_breaks_off_is_not_complete() {
    let world = World::start(&[]).await;
    let id = order(&world.owner(), &[]).await;
    let mut events = Events::of(&world.owner(), ORDER, json!({ "id": id })).await;
    assert_eq!(events.data().await, told(&id, "DRAFT"));
    let (next, ()) = tokio::join!(events.next(), world.end());
    assert_eq!(next, None, "so that its client asks again");
}

#[tokio::test]
async fn a_revoked_key_ends_its_stream_and_says_why() {
    world(async |world| {
        let owner = world.owner();
        let id = order(&owner, &[]).await;
        let (secret, key_id) = key(&owner, &["ORDERS_READ"]).await;
        let mut events = Events::of(&Client::new(world, "/graphql", Some(secret)), ORDER, json!({ "id": id })).await;
        assert_eq!(events.data().await, told(&id, "DRAFT"));
        let revoke = "mutation($id: ID!) { apiKeyRevoke(id: $id) { userErrors { code } } }";
        owner.data(revoke, json!({ "id": key_id })).await;
        let (name, last) = events.next().await.expect("the reason");
        assert_eq!((name.as_str(), &last["errors"][0]["extensions"]["code"]), ("next", &json!("UNAUTHENTICATED")));
        assert_eq!(events.next().await, None, "it is not complete");
        while world.app.live.taken() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_look_that_is_refused_for_its_credential_does_not_complete_its_stream() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 1)]).await;
        let (secret, key_id) = key(&owner, &["ORDERS_READ"]).await;
        let program = Client::new(world, "/graphql", Some(secret));
        let mut events = Events::of(&program, ORDER, json!({ "id": id })).await;
        assert_eq!(events.data().await, told(&id, "DRAFT"));
        let revoke = "mutation($id: ID!) { apiKeyRevoke(id: $id) { userErrors { code } } }";
        owner.data(revoke, json!({ "id": key_id })).await;
        // Until the answer of before is forgotten, after which the key is asked for a moment later.
        let look = "query($id: ID!) { order(id: $id) { id } }";
        while program.gql(look, json!({ "id": id })).await.code() != "UNAUTHENTICATED" {}
        act(&owner, "orderPlace", &id, "").await;
        let (_, last) = events.next().await.expect("the reason");
        assert_eq!(last["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{last}");
        assert_eq!(events.next().await, None, "so that its client asks again with another credential");
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    world(async |world| {
        let id = order(&world.owner(), &[]).await;
        let claims = user_claims(&world.a, Role::Owner);
        let token = world.app.services.tokens.mint(&claims, SystemClock.now(), Duration::from_secs(3)).unwrap();
        let mut events = Events::of(&Client::new(world, "/graphql", Some(token)), ORDER, json!({ "id": id })).await;
        assert_eq!(events.data().await, told(&id, "DRAFT"));
        assert_eq!(events.next().await, None, "it is not complete");
        while world.app.live.taken() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_asked_for_by_get_too_and_a_mutation_is_not() {
    world(async |world| {
        let id = order(&world.owner(), &[]).await;
        let get = |query: &str| {
            let parameters = [("query", query.to_owned()), ("variables", json!({ "id": id }).to_string())];
            let url = format!("{}/graphql/stream", world.base_url);
            let request = world.http.get(reqwest::Url::parse_with_params(&url, parameters).unwrap());
            request.header("accept", "text/event-stream").bearer_auth(world.owner_token()).send()
        };
        let mut events = Events::in_answer(get(ORDER).await.unwrap());
        assert_eq!(events.data().await, told(&id, "DRAFT"));
        let cancel = "mutation($id: ID!) { orderCancel(id: $id, version: 1, reason: FRAUD) { userErrors { code } } }";
        GqlResponse::read(get(cancel).await.unwrap()).await.assert_refused(405, "METHOD_NOT_ALLOWED");
    })
    .await;
}

#[tokio::test]
async fn a_server_has_so_many_seats() {
    world_with(&[("SOCKETS_MAX", "1")], async |world| {
        let id = order(&world.owner(), &[]).await;
        let mut events = Events::of(&world.owner(), ORDER, json!({ "id": id })).await;
        events.data().await;
        let response = world.owner().stream(ORDER, json!({ "id": id })).send().await.unwrap();
        GqlResponse::read(response).await.assert_refused(503, "SERVICE_UNAVAILABLE");
        assert_eq!(Socket::refused(world, &[]).await, 503);
        let no_socket = world.http.get(format!("{}/graphql/ws", world.base_url)).send().await.unwrap();
        GqlResponse::read(no_socket).await.assert_refused(400, "BAD_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn a_reader_who_leaves_gives_up_the_seat() {
    world(async |world| {
        let id = order(&world.owner(), &[]).await;
        let mut events = Events::of(&world.owner(), ORDER, json!({ "id": id })).await;
        events.data().await;
        assert_eq!((world.app.live.taken(), world.app.metrics.live.streams.get()), (1, 1));
        drop(events);
        while world.app.live.taken() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.app.metrics.live.streams.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn who_does_not_read_is_told_no_more_and_gives_up_the_seat() {
    world_with(&[("SOCKET_SLOW_TIMEOUT_MS", "200")], async |world| {
        let owner = world.owner();
        let id = stocked(&owner, &"x".repeat(490), 5).await;
        // Events of 30 KiB, of which a connection holds some.
        let titles: String = (0..60).map(|number| format!("t{number}: title ")).collect();
        let query = format!("subscription($id: ID) {{ stockChanged(bookId: $id) {{ book {{ {titles} }} }} }}");
        let unread = owner.stream(&query, json!({ "id": id })).send().await.unwrap();
        assert_eq!(unread.status(), 200);
        let mut version = 1;
        while world.app.live.taken() > 0 {
            let set = "mutation($id: ID!, $version: Int!) {
                bookUpdate(id: $id, version: $version, input: { stock: $version }) { userErrors { code } } }";
            let data = owner.data(set, json!({ "id": id, "version": version })).await;
            assert_eq!(data["bookUpdate"]["userErrors"], json!([]));
            version += 1;
            assert!(version < 2_000, "it ends");
        }
        assert_eq!(world.app.metrics.live.streams.get(), 0);
        drop(unread);
    })
    .await;
}

#[tokio::test]
async fn a_mutation_that_comes_again_with_its_key_is_done_once() {
    world(async |world| {
        let owner = world.owner();
        let create = "mutation { bookCreate(input: { title: \"Emma\" }) { book { id } userErrors { code } } }";
        let mut seen = Vec::new();
        for _ in 0..2 {
            let request = owner.stream(create, json!({})).header("idempotency-key", "\"emma-1\"");
            seen.push(request.send().await.unwrap().text().await.unwrap());
        }
        assert!(seen[0].contains("book_") && !seen[0].contains("replayed"), "{seen:?}");
        assert!(seen[1].contains("\"replayed\":[\"bookCreate\"]"), "{seen:?}");
        assert_eq!(owner.data("{ books { totalCount } }", json!({})).await["books"]["totalCount"], 1);
    })
    .await;
}
