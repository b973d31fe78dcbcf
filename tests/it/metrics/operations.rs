//! What is counted of operations.

use serde_json::json;

use super::{scrape, scrape_when};
use crate::harness::cluster::psql;
use crate::harness::socket::Socket;
use crate::harness::world::world_with;
use crate::harness::{Client, world};
use crate::realtime::{ORDER, told};

/// A series of operations.
fn ended(plane: &str, operation: &str, outcome: &str) -> String {
    // In the order in which the format has labels.
    format!("shelfwise_operations_total{{operation=\"{operation}\",outcome=\"{outcome}\",plane=\"{plane}\"}}")
}

/// How many durations of an operation were told.
fn timed(plane: &str, operation: &str) -> String {
    format!("shelfwise_operation_duration_seconds_count{{operation=\"{operation}\",plane=\"{plane}\"}}")
}

#[tokio::test]
async fn an_operation_is_counted_once_by_its_first_field_and_by_whose_fault_it_was() {
    world(async |world| {
        let owner = world.owner();
        for _ in 0..2 {
            owner.data("{ __typename mine: books { totalCount } authors { totalCount } }", json!({})).await;
        }
        // What the caller must mend.
        assert_eq!(owner.gql("{ books(first: 5000) { totalCount } }", json!({})).await.code(), "BAD_REQUEST");
        assert_eq!(world.stranger().gql("{ books { totalCount } }", json!({})).await.status, 200);
        let insert = "mutation { bookCreate(input: { title: \"\" }) { book { id } userErrors { code } } }";
        owner.data(insert, json!({})).await;
        assert_eq!(world.stranger().gql(insert, json!({})).await.status, 200);
        // What is not understood as far as a field of the schema.
        for query in ["{ nope }", "{ books", ""] {
            assert_eq!(owner.gql(query, json!({})).await.code(), "BAD_REQUEST", "{query}");
        }
        owner
            .with_token("nonsense")
            .gql("{ books { totalCount } }", json!({}))
            .await
            .assert_refused(401, "UNAUTHENTICATED");
        let put = world.http.put(format!("{}/graphql", world.base_url)).send().await.unwrap();
        assert_eq!(put.status().as_u16(), 405);
        let html = world.http.post(format!("{}/graphql", world.base_url)).header("accept", "image/png");
        assert_eq!(html.send().await.unwrap().status().as_u16(), 406);
        world.owner().data("{ __schema { queryType { name } } }", json!({})).await;
        // The other plane.
        world.admin().data("{ tenants(first: 1) { nodes { slug } } }", json!({})).await;
        assert_eq!(world.admin().gql("{ nope }", json!({})).await.code(), "BAD_REQUEST");

        let scrape = scrape(world).await;
        let expected = [
            ("tenant", "books", "ok", 2.0),
            ("tenant", "books", "refused", 2.0),
            ("tenant", "books", "error", 0.0),
            ("tenant", "bookCreate", "ok", 1.0),
            ("tenant", "bookCreate", "refused", 1.0),
            ("tenant", "unknown", "refused", 6.0),
            ("tenant", "introspection", "ok", 1.0),
            ("admin", "tenants", "ok", 1.0),
            ("admin", "unknown", "refused", 1.0),
        ];
        let found = expected
            .map(|(plane, name, outcome, _)| (plane, name, outcome, scrape.value(&ended(plane, name, outcome))));
        assert_eq!(found, expected);
        assert_eq!(scrape.value(&timed("tenant", "books")), 4.0);
        let all = scrape.sum("shelfwise_operations_total");
        assert_eq!((all, scrape.sum("shelfwise_operation_duration_seconds_count")), (15.0, 15.0), "and nothing else");
        assert_eq!(scrape.get(&ended("tenant", "authors", "ok")), None, "the first field is the name");
    })
    .await;
}

#[tokio::test]
async fn what_fails_by_our_fault_is_an_error() {
    world_with(&[("REQUEST_TIMEOUT_MS", "500")], async |world| {
        let (owner, psql) = (world.owner(), psql().await);
        let schema = &world.a.schema;
        // One that takes too long, and is given up; and one that meets a defect.
        psql.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{schema}".books IN ACCESS EXCLUSIVE MODE"#)).await.unwrap();
        assert_eq!(owner.gql("{ books { totalCount } }", json!({})).await.code(), "TIMEOUT");
        psql.batch_execute("ROLLBACK").await.unwrap();
        let rename = async |from: &str, to: &str| {
            psql.batch_execute(&format!(r#"ALTER TABLE "{schema}".{from} RENAME TO {to}"#)).await.unwrap();
        };
        rename("authors", "gone").await;
        assert_eq!(owner.gql("{ authors { totalCount } }", json!({})).await.code(), "INTERNAL_ERROR");
        rename("gone", "authors").await;
        // An answer with errors of both kinds is ours.
        let scrape = scrape(world).await;
        scrape.assert(&[
            (&ended("tenant", "books", "error"), 1.0),
            (&ended("tenant", "books", "ok"), 0.0),
            (&ended("tenant", "authors", "error"), 1.0),
            (&timed("tenant", "books"), 1.0),
            ("shelfwise_graphql_errors_total{code=\"TIMEOUT\"}", 1.0),
            ("shelfwise_graphql_errors_total{code=\"INTERNAL_ERROR\"}", 1.0),
            ("shelfwise_graphql_errors_total{code=\"FORBIDDEN\"}", 0.0),
        ]);
        assert!(scrape.value("shelfwise_operation_duration_seconds_sum{operation=\"books\",plane=\"tenant\"}") >= 0.5);
    })
    .await;
}

#[tokio::test]
async fn a_look_is_an_operation_and_what_a_socket_asks_is_counted_once() {
    world(async |world| {
        let id = crate::orders::order(&world.owner(), &[]).await;
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("look", ORDER, json!({ "id": id })).await;
        assert_eq!(socket.next_of("look").await, told(&id, "DRAFT"));
        socket.subscribe("once", "{ authors { totalCount } }", json!({})).await;
        assert_eq!(socket.next_of("once").await["authors"]["totalCount"], 0);
        socket.subscribe("wrong", "{ nope }", json!({})).await;
        // The end of the one before comes first.
        while socket.hears().await["id"] != "wrong" {}

        scrape(world).await.assert(&[
            (&ended("tenant", "orderStatusChanged", "ok"), 1.0),
            (&ended("tenant", "authors", "ok"), 1.0),
            (&ended("tenant", "unknown", "refused"), 1.0),
            ("shelfwise_sockets", 1.0),
            ("shelfwise_subscriptions", 1.0),
        ]);
        socket.say_text("no message").await;
        let scrape = scrape_when(world, |scrape| scrape.value("shelfwise_sockets") == 0.0).await;
        assert_eq!(scrape.sum("shelfwise_sockets_closed_total"), 1.0);
        assert_eq!(scrape.value("shelfwise_subscriptions"), 0.0);
    })
    .await;
}

/// Looks on at all books.
const STOCK: &str = "subscription { stockChanged { book { id } } }";

#[tokio::test]
async fn what_is_refused_before_it_has_a_stream_is_counted_once_as_any_operation() {
    world_with(&[("SOCKETS_MAX", "2"), ("SOCKETS_PER_TENANT_MAX", "1")], async |world| {
        let (owner, other) = (world.owner(), world.other_owner());
        let id = crate::orders::order(&owner, &[]).await;
        let before = scrape(world).await.sum("shelfwise_operations_total");
        let ask = async |client: &Client<'_>, query: &str, id: &str, status: u16| {
            let response = client.stream(query, json!({ "id": id })).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{query}");
            response
        };
        // Who it is, what it takes, what it says.
        ask(&world.stranger(), ORDER, &id, 401).await;
        let plain = owner.stream(ORDER, json!({ "id": id })).build().unwrap();
        let sent = async |name: &'static str, value: &str, status: u16| {
            let mut request = plain.try_clone().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(world.http.execute(request).await.unwrap().status().as_u16(), status, "{name}");
        };
        sent("accept", "application/json", 406).await;
        sent("content-type", "text/plain", 415).await;
        ask(&owner, "subscription {", &id, 400).await;
        // The seats of a shop, and those of the server.
        let streams = [ask(&owner, ORDER, &id, 200).await, ask(&other, STOCK, "", 200).await];
        ask(&other, STOCK, "", 503).await;
        drop(streams);
        while world.app.live.taken() > 0 {
            tokio::task::yield_now().await;
        }
        let stream = ask(&owner, ORDER, &id, 200).await;
        ask(&owner, ORDER, &id, 429).await;
        drop(stream);

        let scrape = scrape(world).await;
        scrape.assert(&[
            (&ended("tenant", "unknown", "refused"), 5.0),
            (&ended("tenant", "unknown", "error"), 1.0),
            (&ended("tenant", "orderStatusChanged", "ok"), 2.0),
            (&ended("tenant", "stockChanged", "ok"), 1.0),
            (&timed("tenant", "unknown"), 6.0),
        ]);
        assert_eq!(scrape.sum("shelfwise_operations_total") - before, 9.0, "and nothing else");
    })
    .await;
}

#[tokio::test]
async fn the_use_of_what_goes_away_is_counted_by_part() {
    world(async |world| {
        for _ in 0..3 {
            world.owner().data(crate::deprecations::OLD, json!({})).await;
        }
        let late = world.owner().with_header("x-as-of", "2027-07-01");
        late.gql(crate::deprecations::OLD, json!({})).await.assert_refused(400, "FIELD_REMOVED");
        let scrape = scrape(world).await;
        scrape.assert(&[("shelfwise_deprecated_uses_total{part=\"Book.priceCents\"}", 3.0)]);
        assert_eq!(scrape.sum("shelfwise_deprecated_uses_total"), 3.0);
    })
    .await;
}

#[tokio::test]
async fn a_password_that_is_tried_is_counted() {
    world(async |world| {
        let login = "mutation { login(input: { email: \"nobody@acme.example\", password: \"wrong password\" }) {
            session { accessToken } userErrors { code } } }";
        let stranger = world.stranger().with_header("x-tenant", world.a.slug.as_str());
        stranger.data(login, json!({})).await;
        scrape(world).await.assert(&[("shelfwise_password_hashes", 1.0)]);
    })
    .await;
}
