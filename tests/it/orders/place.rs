//! `orderPlace`

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{act, copies, events, order, stocked};
use crate::graphql_helpers::codes;
use crate::harness::{Client, world};

async fn place(client: &Client<'_>, id: &str) -> Value {
    act(client, "orderPlace", id, "").await
}

#[tokio::test]
async fn placing_reserves_copies_and_freezes_prices() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let id = order(&owner, &[(&emma, 2)]).await;
        let price = "mutation($id: ID!, $amount: Decimal!) { bookUpdate(id: $id, version: 1, input: {
            title: \"Emma\", price: { amount: $amount, currency: \"EUR\" } }) { userErrors { code } } }";
        owner.data(price, json!({ "id": emma, "amount": "12" })).await;

        let placed = place(&owner, &id).await;

        assert_eq!(placed["order"]["status"], "PLACED");
        assert_eq!(placed["order"]["totalPrice"]["amount"], "24.00", "the price of the moment of placing");
        assert_eq!(copies(&world.a, "Emma").await, (3, 2, 0));
        let dearer = price.replace("version: 1", "version: 3");
        let changed = owner.data(&dearer, json!({ "id": emma, "amount": "99" })).await;
        assert_eq!(codes(&changed["bookUpdate"]), Vec::<&str>::new());
        let query =
            "query($id: ID!) { order(id: $id) { totalPrice { amount } lines { nodes { unitPrice { amount } } } } }";
        let frozen = owner.data(query, json!({ "id": id })).await;
        assert_eq!(frozen["order"]["totalPrice"]["amount"], "24.00");
        assert_eq!(frozen["order"]["lines"]["nodes"][0]["unitPrice"]["amount"], "12.00");
    })
    .await;
}

#[tokio::test]
async fn too_few_copies_are_told_by_book_and_nothing_is_reserved() {
    world(async |world| {
        let owner = world.owner();
        let (emma, persuasion) = (stocked(&owner, "Emma", 5).await, stocked(&owner, "Persuasion", 1).await);
        let id = order(&owner, &[(&emma, 2), (&persuasion, 2)]).await;

        let refused = place(&owner, &id).await;

        assert_eq!(codes(&refused), ["INSUFFICIENT_STOCK"]);
        assert_eq!(refused["userErrors"][0]["bookId"], json!(persuasion));
        assert_eq!(refused["userErrors"][0]["available"], 1);
        assert_eq!(copies(&world.a, "Emma").await, (5, 0, 0));
        assert_eq!(events(&world.a).await, ["order.created"]);
    })
    .await;
}

#[tokio::test]
async fn an_empty_order_and_a_book_that_is_gone_are_refused() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let (empty, id) = (order(&owner, &[]).await, order(&owner, &[(&emma, 2)]).await);
        owner.data("mutation($id: ID!) { bookArchive(id: $id) { book { id } } }", json!({ "id": emma })).await;

        assert_eq!(codes(&place(&owner, &empty).await), ["ORDER_EMPTY"]);
        assert_eq!(codes(&place(&owner, &id).await), ["BOOK_NOT_FOR_SALE"]);
        assert_eq!(codes(&place(&owner, "order_01h455vb4pex5vsknk084sn02q").await), ["ORDER_NOT_FOUND"]);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_want_the_last_copies_as_many_get_them() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 5).await;
        let mut orders = Vec::new();
        for _ in 0..20 {
            orders.push(order(&owner, &[(&emma, 1)]).await);
        }

        let answers = join_all(orders.iter().map(|id| place(&owner, id))).await;

        let refused: Vec<&Value> = answers.iter().filter(|answer| answer["order"].is_null()).collect();
        assert_eq!(answers.len() - refused.len(), 5);
        for answer in refused {
            assert_eq!(codes(answer), ["INSUFFICIENT_STOCK"]);
            assert_eq!(answer["userErrors"][0]["available"], 0);
        }
        assert_eq!(copies(&world.a, "Emma").await, (0, 5, 0));
    })
    .await;
}

#[tokio::test]
async fn orders_of_the_same_books_never_wait_for_each_other_in_a_circle() {
    world(async |world| {
        let owner = world.owner();
        let mut books = Vec::new();
        for index in 0..6 {
            books.push(stocked(&owner, &format!("Book {index}"), 1_000).await);
        }
        let mut orders = Vec::new();
        for round in 0..24 {
            // Each order names the books in another order.
            let mut lines: Vec<(&str, i32)> = books.iter().map(|book| (book.as_str(), 1)).collect();
            lines.rotate_left(round % 6);
            if round % 2 == 0 {
                lines.reverse();
            }
            orders.push(order(&owner, &lines).await);
        }

        let answers = join_all(orders.iter().map(|id| place(&owner, id))).await;

        for answer in answers {
            assert_eq!(answer["order"]["status"], "PLACED", "{answer}");
        }
        assert_eq!(copies(&world.a, "Book 3").await, (1_000 - 24, 24, 0));
    })
    .await;
}

#[tokio::test]
async fn drafts_moves_changes_and_an_import_of_one_book_never_wait_in_a_circle() {
    world(async |world| {
        // Whose plan allows as many operations at a time.
        let change = "mutation($slug: String!) {
            tenantPlanChange(slug: $slug, plan: \"enterprise\") { userErrors { code } } }";
        world.admin().data(change, json!({ "slug": world.a.slug.as_str() })).await;
        world.context_when(|context| context.plan == "enterprise").await;
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 1_000).await;
        let mut orders = Vec::new();
        for _ in 0..12 {
            orders.push(order(&owner, &[(&emma, 1)]).await);
        }
        let line = [(emma.as_str(), 1)];
        let creating = join_all((0..12).map(|_| order(&owner, &line)));
        let placing = join_all(orders.iter().map(|id| place(&owner, id)));
        let csv = format!("title,stock\nEmma,1000\n{}", (0..400).map(|n| format!("Book {n},1\n")).collect::<String>());
        let import = "mutation($csv: String!) { bookImport(input: { csv: $csv, onConflict: UPDATE }) {
            import { id } userErrors { code } } }";
        let importing = join_all((0..3).map(|_| owner.gql(import, json!({ "csv": csv.clone() }))));
        let rename = "mutation($id: ID!) { bookArchive(id: $id, version: 0) { userErrors { code } } }";
        let changing = join_all((0..12).map(|_| owner.gql(rename, json!({ "id": emma }))));

        let (_, placed, imported, changed) = tokio::join!(creating, placing, importing, changing);

        for answer in placed {
            assert_eq!(codes(&answer), Vec::<&str>::new(), "{answer}");
        }
        for answer in imported.iter().chain(&changed) {
            assert_eq!(answer.code(), "", "{}", answer.body);
        }
    })
    .await;
}

#[tokio::test]
async fn few_copies_left_are_told_once() {
    world(async |world| {
        let owner = world.owner();
        let emma = stocked(&owner, "Emma", 4).await;
        for _ in 0..3 {
            let id = order(&owner, &[(&emma, 1)]).await;
            place(&owner, &id).await;
        }
        let low: Vec<String> = events(&world.a).await.into_iter().filter(|kind| kind == "book.stock_low").collect();
        assert_eq!(low.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn placing_costs_five_round_trips_with_a_key_and_without() {
    world(async |world| {
        let owner = world.owner();
        let (emma, persuasion) = (stocked(&owner, "Emma", 100).await, stocked(&owner, "Persuasion", 100).await);
        let query = "mutation($id: ID!, $key: IdempotencyKey) {
            orderPlace(id: $id, idempotencyKey: $key) { order { id status } userErrors { code } } }";
        let mut trips = Vec::new();
        for round in 0..4 {
            let id = order(&owner, &[(&emma, 1), (&persuasion, 1)]).await;
            let key = (round % 2 == 1).then(|| format!("k-{round}"));
            let response = owner.gql(query, json!({ "id": id, "key": key })).await;
            assert_eq!(response["/orderPlace/order/status"], "PLACED", "{}", response.body);
            trips.push(response.sql().1);
        }
        // The first two prepare their statements.
        assert!(trips[2..].iter().all(|trips| *trips <= 5), "{trips:?}");
    })
    .await;
}
