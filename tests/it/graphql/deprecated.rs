//! What goes away works as it always has, up to its date.

use serde_json::json;

use super::shelf::{book, codes};
use crate::harness::world;
use crate::harness::world::fingerprint;
use crate::orders::{order, stocked};

#[tokio::test]
async fn the_old_price_and_total_say_what_the_new_ones_say() {
    world(async |world| {
        let owner = world.owner();
        let emma =
            book(&owner, json!({ "title": "Emma", "stock": 9, "price": { "amount": "12.90", "currency": "EUR" } }))
                .await;
        let data = owner.data("query($id: ID!) { book(id: $id) { priceCents } }", json!({ "id": emma })).await;
        assert_eq!(data["book"]["priceCents"], 1290);
        let gift = book(&owner, json!({ "title": "Gift" })).await;
        let data = owner.data("query($id: ID!) { book(id: $id) { priceCents } }", json!({ "id": gift })).await;
        assert_eq!(data["book"]["priceCents"], json!(null));

        let id = order(&owner, &[(&emma, 3)]).await;
        let data =
            owner.data("query($id: ID!) { order(id: $id) { total totalPrice { amount } } }", json!({ "id": id })).await;
        assert_eq!(data["order"], json!({ "total": 38.7, "totalPrice": { "amount": "38.70" } }));
    })
    .await;
}

#[tokio::test]
async fn books_are_priced_in_cents_and_never_in_two_ways() {
    world(async |world| {
        let owner = world.owner();
        let create = "mutation($input: BookCreateInput!) {
            bookCreate(input: $input) { book { id price { amount } } userErrors { code path } } }";
        let payload = owner.data(create, json!({ "input": { "title": "Emma", "priceCents": 905 } })).await;
        assert_eq!(payload["bookCreate"]["book"]["price"]["amount"], "9.05");
        let id = payload["bookCreate"]["book"]["id"].as_str().unwrap();

        let update = "mutation($id: ID!, $version: Int!, $input: BookUpdateInput!) {
            bookUpdate(id: $id, version: $version, input: $input) { book { priceCents } userErrors { code path } } }";
        let change = async |version: i32, input: serde_json::Value| {
            owner.data(update, json!({ "id": id, "version": version, "input": input })).await["bookUpdate"].clone()
        };
        assert_eq!(change(1, json!({ "priceCents": 800 })).await["book"]["priceCents"], 800);
        assert_eq!(change(2, json!({ "title": "Emma again" })).await["book"]["priceCents"], 800);
        assert_eq!(change(3, json!({ "priceCents": null })).await["book"]["priceCents"], json!(null));

        let before = fingerprint(&world.a).await;
        let payload = change(4, json!({ "priceCents": -1 })).await;
        assert_eq!(codes(&payload), ["PRICE_INVALID"]);
        assert_eq!(payload["userErrors"][0]["path"], json!(["input", "priceCents"]));
        let both = json!({ "title": "Two", "priceCents": 1, "price": { "amount": "1", "currency": "EUR" } });
        let answer = owner.gql(create, json!({ "input": both })).await;
        assert_eq!((answer.status, answer.code()), (200, "BAD_REQUEST"), "{}", answer.body);
        assert_eq!(fingerprint(&world.a).await, before);
    })
    .await;
}

#[tokio::test]
async fn an_old_argument_and_an_old_value_ask_what_the_new_ones_ask() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 50).await;
        book(&owner, json!({ "title": "Persuasion" })).await;
        let titles = async |arguments: &str| {
            owner.data(&format!("{{ books({arguments}) {{ nodes {{ title }} }} }}"), json!({})).await["books"]["nodes"]
                .clone()
        };
        assert_eq!(titles(r#"query: "emm""#).await, json!([{ "title": "Emma" }]));
        assert_eq!(titles(r#"query: "emm""#).await, titles(r#"search: "emm""#).await);
        assert_eq!(titles(r#"query: """#).await, json!([]));
        let both = owner.gql(r#"{ books(query: "a", search: "b") { totalCount } }"#, json!({})).await;
        assert_eq!(both.code(), "BAD_REQUEST");

        for copies in [2, 1, 3] {
            order(&owner, &[(&emma, copies)]).await;
        }
        let page = async |field: &str, after: &str| {
            let query = format!(
                "{{ orders(first: 2{after}, sort: {{ field: {field} }}) {{ nodes {{ number }} pageInfo {{ endCursor }} }} }}"
            );
            owner.data(&query, json!({})).await["orders"].clone()
        };
        let first = page("TOTAL", "").await;
        assert_eq!(first["nodes"], json!([{ "number": "2" }, { "number": "1" }]));
        // A list begun in the old words goes on in the new ones.
        let after = format!(", after: {}", first["pageInfo"]["endCursor"]);
        assert_eq!(page("TOTAL_PRICE", &after).await["nodes"], json!([{ "number": "3" }]));
        assert_eq!(page("TOTAL", "").await, page("TOTAL_PRICE", "").await);
    })
    .await;
}
