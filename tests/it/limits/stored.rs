//! What is kept is counted: books and endpoints up to the plan's limit, however many add at a time.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use shelfwise::kernel::limits::LimitKind;

use super::limit;
use crate::graphql_helpers::{book_create, codes};
use crate::harness::cluster::psql;
use crate::harness::{Client, World, world};

const IMPORT: &str = "mutation($csv: String!) { bookImport(input: { csv: $csv, onConflict: UPDATE }) {
    import { counts { created updated rejected } rowErrors { nodes { line code } } } userErrors { code } } }";

/// How many rows a table of shop A's has.
async fn rows(world: &World, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM \"{}\".{table}", world.a.schema);
    psql().await.query_one(&query, &[]).await.unwrap().get(0)
}

async fn import(client: &Client<'_>, csv: &str) -> Value {
    client.data(IMPORT, json!({ "csv": csv })).await["bookImport"].clone()
}

#[tokio::test]
async fn a_shop_keeps_as_many_books_as_its_plan_allows_archived_ones_among_them() {
    world(async |world| {
        limit(world, LimitKind::Books, 2).await;
        let owner = world.owner();
        let first = book_create(&owner, json!({ "title": "One" })).await;
        book_create(&owner, json!({ "title": "Two" })).await;
        let archive = "mutation($id: ID!) { bookArchive(id: $id) { userErrors { code } } }";
        owner.data(archive, json!({ "id": first["book"]["id"] })).await;
        let refused = book_create(&owner, json!({ "title": "Three" })).await;
        assert_eq!((codes(&refused), &refused["book"]), (vec!["BOOK_LIMIT_REACHED"], &Value::Null));
        assert_eq!(rows(world, "books").await, 2);
        let used = "{ plan { code limits { kind limit used } } }";
        let plan = owner.data(used, json!({})).await["plan"].clone();
        let books = plan["limits"].as_array().unwrap().iter().find(|limit| limit["kind"] == "BOOKS").unwrap();
        assert_eq!((&plan["code"], &books["limit"], &books["used"]), (&json!("business"), &json!(2), &json!(2)));
        limit(world, LimitKind::Books, 3).await;
        assert_eq!(codes(&book_create(&owner, json!({ "title": "Three" })).await), Vec::<&str>::new());
        let theirs = world.other_owner().data(used, json!({})).await["plan"]["limits"].clone();
        assert!(theirs.as_array().unwrap().contains(&json!({ "kind": "BOOKS", "limit": 200_000, "used": 0 })));
    })
    .await;
}

#[tokio::test]
async fn those_who_add_at_once_add_no_more_than_there_is_room_for() {
    world(async |world| {
        limit(world, LimitKind::Books, 3).await;
        let owner = world.owner();
        let titles = ["A", "B", "C", "D", "E", "F"];
        let payloads = join_all(titles.map(|title| book_create(&owner, json!({ "title": title })))).await;
        let refused = payloads.iter().filter(|payload| codes(payload) == ["BOOK_LIMIT_REACHED"]).count();
        assert_eq!((refused, rows(world, "books").await), (3, 3));

        limit(world, LimitKind::WebhookEndpoints, 2).await;
        let create =
            "mutation { webhookEndpointCreate(input: { url: \"https://hooks.example/\" }) { userErrors { code } } }";
        let payloads = join_all((0..5).map(|_| owner.data(create, json!({})))).await;
        let refused =
            payloads.iter().filter(|data| codes(&data["webhookEndpointCreate"]) == ["ENDPOINT_LIMIT_REACHED"]).count();
        assert_eq!((refused, rows(world, "webhook_endpoints").await), (3, 2));
    })
    .await;
}

#[tokio::test]
async fn an_import_adds_what_there_is_room_for_and_reports_the_rest() {
    world(async |world| {
        limit(world, LimitKind::Books, 3).await;
        let owner = world.owner();
        let csv = "title,stock\nOne,1\nTwo,1\nThree,1\n,1\nFour,1\nOne,5\n";
        let report = import(&owner, csv).await;
        assert_eq!(report["import"]["counts"], json!({ "created": 3, "updated": 0, "rejected": 2 }));
        let errors = json!([{ "line": 5, "code": "TITLE_INVALID" }, { "line": 6, "code": "BOOK_LIMIT_REACHED" }]);
        assert_eq!(report["import"]["rowErrors"]["nodes"], errors);
        // What is there may be changed.
        let report = import(&owner, "title,stock\nTwo,7\nFive,1\n").await;
        assert_eq!(report["import"]["counts"], json!({ "created": 0, "updated": 1, "rejected": 1 }));
        assert_eq!(rows(world, "books").await, 3);
    })
    .await;
}

#[tokio::test]
async fn an_import_and_those_who_add_beside_it_stay_within_the_limit_together() {
    world(async |world| {
        limit(world, LimitKind::Books, 4).await;
        let owner = world.owner();
        let titles = ["A", "B", "C"];
        let adding = join_all(titles.map(|title| book_create(&owner, json!({ "title": title }))));
        join(import(&owner, "title\nOne\nTwo\nThree\n"), adding).await;
        assert_eq!(rows(world, "books").await, 4);
    })
    .await;
}
