//! What queries answer of what is kept.

use serde_json::json;
use shelfwise::cache::keys::Name;

use super::{counts, keeping, retitle, retitle_by_hand, title, until};
use crate::graphql_helpers::{book, category};
use crate::harness::socket::Socket;
use crate::orders::{act, order, stocked};

#[tokio::test]
async fn what_is_known_costs_no_statement() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let parent = category(&owner, "Poetry", None).await;
    let child = category(&owner, "Sonnets", Some(&parent)).await;
    let id = book(&owner, json!({ "title": "Emma", "isbn": "9780141439587", "categoryId": child })).await;
    for query in [
        "query($id: ID!) { book(id: $id) { title category { name parent { name children { name } } } } }",
        "query($id: ID!) { node(id: $id) { id ... on Book { title } } }",
        "query { bookByIsbn(isbn: \"0141439580\") { title } category(id: \"CATEGORY\") { name } }",
    ] {
        let query = query.replace("CATEGORY", &child);
        let first = owner.gql(&query, json!({ "id": id })).await;
        assert_eq!(first.body.get("errors"), None);
        let second = owner.gql(&query, json!({ "id": id })).await;
        assert_eq!(first.body["data"], second.body["data"]);
        assert_eq!(second.sql(), (0, 0), "{query}");
    }
    assert_eq!(counts(&world, Name::Book), (4, 0, 1));
    world.assert_nothing_borrowed().await;
    world.end().await;
}

#[tokio::test]
async fn what_there_is_not_is_known_until_there_is() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let by_isbn = async |isbn: &str| {
        let answer = owner.gql("query($isbn: String!) { bookByIsbn(isbn: $isbn) { title } }", json!({ "isbn": isbn }));
        let answer = answer.await;
        (answer["/bookByIsbn/title"].clone(), answer.sql().0)
    };
    let (emma, other) = ("9780141439587", "9780306406157");
    assert_eq!(by_isbn(emma).await, (json!(null), 1));
    assert_eq!(by_isbn(emma).await, (json!(null), 0));
    let id = book(&owner, json!({ "title": "Emma", "isbn": emma })).await;
    assert_eq!(by_isbn(emma).await, (json!("Emma"), 1));

    // Another book gets the ISBN: which one has it is told by the book that had it.
    assert_eq!(by_isbn(emma).await.0, "Emma");
    let update = "mutation($id: ID!, $isbn: String) { bookUpdate(id: $id, version: 1, input: { isbn: $isbn }) {
        userErrors { code } } }";
    owner.data(update, json!({ "id": id, "isbn": other })).await;
    assert_eq!(by_isbn(emma).await.0, json!(null));
    book(&owner, json!({ "title": "Emma, annotated", "isbn": emma })).await;
    assert_eq!((by_isbn(emma).await.0, by_isbn(other).await.0), (json!("Emma, annotated"), json!("Emma")));
    world.end().await;
}

#[tokio::test]
async fn who_writes_reads_it_at_once() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let shelf = category(&owner, "Shelf", None).await;
    let id = book(&owner, json!({ "title": "0", "categoryId": shelf })).await;
    for version in 1..20 {
        assert_eq!(title(&owner, &id).await.0, (version - 1).to_string());
        retitle(&owner, &id, version, &version.to_string()).await;
    }
    let categories = "query($id: ID!) { book(id: $id) { category { name children { name } } } }";
    owner.data(categories, json!({ "id": id })).await;
    category(&owner, "Board", Some(&shelf)).await;
    let rename =
        "mutation($id: ID!) { categoryUpdate(id: $id, version: 1, input: { name: \"Case\" }) { userErrors { code } } }";
    owner.data(rename, json!({ "id": shelf })).await;
    let expected = json!({ "book": { "category": { "name": "Case", "children": [{ "name": "Board" }] } } });
    assert_eq!(owner.data(categories, json!({ "id": id })).await, expected);
    world.end().await;
}

#[tokio::test]
async fn an_order_that_takes_copies_is_seen_in_the_book() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let id = stocked(&owner, "Emma", 5).await;
    let stock = async || {
        let data = owner.data("query($id: ID!) { book(id: $id) { stock } }", json!({ "id": id })).await;
        data["book"]["stock"].as_i64().unwrap()
    };
    assert_eq!(stock().await, 5);
    let placed = order(&owner, &[(&id, 2)]).await;
    act(&owner, "orderPlace", &placed, "").await;
    assert_eq!(stock().await, 3);
    act(&owner, "orderCancel", &placed, ", reason: FRAUD").await;
    assert_eq!(stock().await, 5);
    world.end().await;
}

#[tokio::test]
async fn a_mutation_and_who_refuses_what_is_kept_are_answered_by_the_database() {
    let (world, database) = keeping(&[]).await;
    let owner = world.owner();
    let shelf = category(&owner, "Shelf", None).await;
    let id = book(&owner, json!({ "title": "Kept", "categoryId": shelf })).await;
    let kept = "query($id: ID!) { book(id: $id) { title category { name } } }";
    owner.data(kept, json!({ "id": id })).await;
    retitle_by_hand(&world, &database, &id, "Changed").await;
    assert_eq!(title(&owner, &id).await, (json!("Kept"), 0), "nobody was told");

    let author = "mutation($id: ID!) { bookUpdate(id: $id, version: 1, input: { stock: 2 }) { book { title category { name } } } }";
    let refusing = world.owner().with_header("cache-control", "no-cache");
    assert_eq!(title(&refusing, &id).await, (json!("Changed"), 1));
    assert_eq!(title(&owner, &id).await.0, "Kept", "nothing was kept of it");
    let data = owner.data(author, json!({ "id": id })).await;
    assert_eq!(data["bookUpdate"]["book"], json!({ "title": "Changed", "category": { "name": "Shelf" } }));
    assert_eq!(title(&owner, &id).await.0, "Changed");
    world.end().await;
}

#[tokio::test]
async fn who_refuses_what_is_kept_may_do_so_over_streams_and_sockets() {
    let (world, database) = keeping(&[]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Kept" })).await;
    title(&owner, &id).await;
    retitle_by_hand(&world, &database, &id, "Changed").await;
    let (query, variables) = ("query($id: ID!) { book(id: $id) { title } }", json!({ "id": id }));
    let refusing = world.owner().with_header("cache-control", "no-cache");
    for (client, expected) in [(&owner, "Kept"), (&refusing, "Changed")] {
        let (_, events) = client.events(query, variables.clone()).await;
        assert_eq!(events[0]["data"]["book"]["title"], expected);
    }
    // Browsers open all sockets so.
    let headers = [("sec-websocket-protocol", "graphql-transport-ws"), ("cache-control", "no-cache")];
    for (own, expected) in [(json!({}), "Kept"), (json!({ "Cache-Control": "no-cache" }), "Changed")] {
        let mut payload = own;
        payload["authorization"] = format!("Bearer {}", world.owner_token()).into();
        let mut socket = Socket::open(&world, "/graphql/ws", &headers).await;
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hears().await["type"], "connection_ack");
        socket.subscribe("1", query, variables.clone()).await;
        assert_eq!(socket.next_of("1").await["book"]["title"], expected);
    }
    world.end().await;
}

#[tokio::test]
async fn nobody_is_answered_what_they_may_not_read() {
    let (world, _) = keeping(&[]).await;
    let id = book(&world.owner(), json!({ "title": "Emma" })).await;
    assert_eq!(title(&world.owner(), &id).await.0, "Emma");
    assert_eq!(title(&world.other_owner(), &id).await.0, json!(null));
    assert_eq!(title(&world.other_owner(), &id).await, (json!(null), 0), "that is known as well");
    let stranger = world.stranger().with_header("x-tenant", world.a.slug.as_str());
    let answer = stranger.gql("query($id: ID!) { book(id: $id) { title } }", json!({ "id": id })).await;
    assert_eq!((answer.code(), &answer["/book"]), ("UNAUTHENTICATED", &json!(null)));
    world.end().await;
}

#[tokio::test]
async fn what_was_changed_by_hand_is_read_when_an_operator_says_so() {
    let (world, database) = keeping(&[]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Kept" })).await;
    title(&owner, &id).await;
    for (told, text) in [(Some(world.a.id), "Of the tenant"), (None, "Of all")] {
        retitle_by_hand(&world, &database, &id, text).await;
        assert_eq!(title(&owner, &id).await.1, 0);
        shelfwise::news::announce(&world.app.control, told).await.unwrap();
        until("it is read anew", async || title(&owner, &id).await.0 == text).await;
    }
    world.end().await;
}
