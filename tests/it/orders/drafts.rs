//! `orderCreate`, `orderLineSet`

use serde_json::{Value, json};

use super::{act, create_with, events, order, order_create, stocked};
use crate::graphql_helpers::{book, codes};
use crate::harness::{Client, world};

async fn line_set(client: &Client<'_>, id: &str, book: &str, quantity: i32) -> Value {
    act(client, "orderLineSet", id, &format!(", bookId: \"{book}\", quantity: {quantity}")).await
}

#[tokio::test]
async fn a_draft_has_a_number_a_customer_and_lines() {
    world(async |world| {
        let owner = world.owner();
        let (emma, persuasion) = (stocked(&owner, "Emma", 5).await, stocked(&owner, "Persuasion", 5).await);

        let mut payload = order_create(&owner, &[(&emma, 2), (&persuasion, 1)]).await;

        assert!(payload["order"]["id"].as_str().unwrap().starts_with("order_"));
        payload["order"]["id"] = json!("…");
        let line = |title: &str, quantity: i32, total: &str| {
            json!({ "title": title, "quantity": quantity, "unitPrice": { "amount": "10.00" },
                    "totalPrice": { "amount": total }, "book": { "title": title } })
        };
        assert_eq!(
            payload,
            json!({
                "order": {
                    "id": "…", "number": "1", "status": "DRAFT", "version": 1,
                    "totalPrice": { "amount": "30.00", "currency": "EUR" },
                    "customer": { "name": "Ann Example", "email": "ann@customers.example",
                                  "address": "1 High Street", "isErased": false },
                    "lines": { "nodes": [line("Emma", 2, "20.00"), line("Persuasion", 1, "10.00")] },
                },
                "userErrors": [],
            })
        );
        assert_eq!(events(&world.a).await, ["order.created"]);
    })
    .await;
}

#[tokio::test]
async fn each_defect_has_its_code_and_nothing_is_kept() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let free = book(&owner, json!({ "title": "Not for sale" })).await;
        let input = |name: &str, email: &str, lines: Value| {
            json!({ "customer": { "name": name, "email": email }, "lines": lines })
        };
        let line = |book: &str, quantity: i32| json!({ "bookId": book, "quantity": quantity });
        let nobody = "book_01h455vb4pex5vsknk084sn02q";
        let check = async |input: Value, expected: &[&str]| {
            let payload = create_with(&owner, input.clone()).await;
            assert_eq!(codes(&payload), expected, "{input}");
            assert_eq!(payload["order"], Value::Null);
        };
        check(input(" ", "nobody", json!([])), &["NAME_INVALID", "EMAIL_INVALID"]).await;
        check(input("Ann", "a@b.example", json!([line(&emma, 0)])), &["QUANTITY_INVALID"]).await;
        check(input("Ann", "a@b.example", json!([line(&emma, 10_001)])), &["QUANTITY_INVALID"]).await;
        check(input("Ann", "a@b.example", json!([line(&emma, 1), line(&emma, 2)])), &["QUANTITY_INVALID"]).await;
        check(
            input("Ann", "a@b.example", json!([line(&free, 1), line(nobody, 1)])),
            &["BOOK_NOT_FOR_SALE", "BOOK_NOT_FOUND"],
        )
        .await;
        let many: Vec<Value> = (0..101).map(|_| line(&emma, 1)).collect();
        check(input("Ann", "a@b.example", json!(many)), &["LINE_LIMIT_REACHED"]).await;
        let long = json!({ "customer": { "name": "Ann", "email": "a@b.example", "address": "x".repeat(1_001) } });
        check(long, &["ADDRESS_INVALID"]).await;

        assert_eq!(order_create(&owner, &[]).await["order"]["number"], "1", "a refusal takes no number");
        assert_eq!(events(&world.a).await, ["order.created"]);
    })
    .await;
}

#[tokio::test]
async fn lines_are_set_while_it_is_a_draft() {
    world(async |world| {
        let owner = world.owner();
        let (emma, persuasion) = (stocked(&owner, "Emma", 5).await, stocked(&owner, "Persuasion", 5).await);
        let id = order(&owner, &[(&emma, 1)]).await;

        assert_eq!(line_set(&owner, &id, &persuasion, 2).await["order"]["totalPrice"]["amount"], "30.00");
        assert_eq!(line_set(&owner, &id, &emma, 3).await["order"]["totalPrice"]["amount"], "50.00");
        let last = line_set(&owner, &id, &persuasion, 0).await;
        assert_eq!(last["order"]["totalPrice"]["amount"], "30.00");
        assert_eq!(last["order"]["version"], 4);
        assert_eq!(codes(&line_set(&owner, &id, &emma, -1).await), ["QUANTITY_INVALID"]);

        assert_eq!(codes(&act(&owner, "orderPlace", &id, "").await), Vec::<&str>::new());
        let refused = line_set(&owner, &id, &emma, 1).await;
        assert_eq!(codes(&refused), ["MOVE_NOT_ALLOWED"]);
        assert_eq!(refused["userErrors"][0]["allowedMoves"], json!(["PAY", "CANCEL"]));
    })
    .await;
}

#[tokio::test]
async fn a_page_of_lines_goes_on_where_a_line_was() {
    world(async |world| {
        let owner = world.owner();
        let mut books = Vec::new();
        for title in ["One", "Two", "Three", "Four"] {
            books.push(stocked(&owner, title, 5).await);
        }
        let lines: Vec<(&str, i32)> = books.iter().map(|book| (book.as_str(), 1)).collect();
        let id = order(&owner, &lines).await;
        let page = async |arguments: &str, cursor: &Value| {
            let query = format!(
                "query($id: ID!, $cursor: String) {{ order(id: $id) {{ lines({arguments}) {{
                    nodes {{ title }} pageInfo {{ startCursor endCursor hasNextPage hasPreviousPage }} }} }} }}"
            );
            owner.data(&query, json!({ "id": id, "cursor": cursor })).await["order"]["lines"].clone()
        };
        let first = page("first: 2, after: $cursor", &Value::Null).await;
        assert_eq!(first["nodes"], json!([{ "title": "One" }, { "title": "Two" }]));
        let cursor = &first["pageInfo"]["endCursor"];
        line_set(&owner, &id, &books[1], 0).await;

        let next = page("first: 2, after: $cursor", cursor).await;
        assert_eq!(next["nodes"], json!([{ "title": "Three" }, { "title": "Four" }]));
        let has = |page: &Value| (page["pageInfo"]["hasPreviousPage"].clone(), page["pageInfo"]["hasNextPage"].clone());
        assert_eq!(has(&next), (json!(true), json!(false)));
        let previous = page("last: 2, before: $cursor", cursor).await;
        assert_eq!(previous["nodes"], json!([{ "title": "One" }]));
        assert_eq!(has(&previous), (json!(false), json!(true)));
    })
    .await;
}

#[tokio::test]
async fn a_stale_version_is_told_the_current_one() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 1)]).await;
        line_set(&owner, &id, &emma, 2).await;

        for mutation in ["orderPlace", "orderCancel"] {
            let arguments = if mutation == "orderCancel" { ", version: 1, reason: OTHER" } else { ", version: 1" };
            let payload = act(&owner, mutation, &id, arguments).await;
            assert_eq!(codes(&payload), ["VERSION_CONFLICT"], "{mutation}");
            assert_eq!(payload["userErrors"][0]["currentVersion"], 2, "{mutation}");
        }
        assert_eq!(act(&owner, "orderPlace", &id, ", version: 2").await["order"]["status"], "PLACED");
    })
    .await;
}
