//! The operations of `tests/load`, which is built apart: that they are what the server takes, and what they do.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::world;
use crate::orders::stocked;

/// The text of an operation.
fn operation(name: &str) -> String {
    let path = format!("{}/tests/load/operations/{name}.graphql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn every_operation_of_the_load_is_answered_without_an_error() {
    world(async |world| {
        let (owner, admin) = (world.owner(), world.admin());
        let emma = stocked(&owner, "Emma", 5).await;
        let mut tried = BTreeSet::new();
        let mut ask = async |name: &'static str, variables: Value| {
            tried.insert(name.to_owned());
            let client = if name.starts_with("admin_") { &admin } else { &owner };
            client.data(&operation(name), variables).await
        };
        ask("floor", json!({})).await;
        let page = ask("browse_page", json!({ "after": null })).await;
        assert_eq!(page["books"]["nodes"][0]["id"], json!(emma));
        assert_eq!(ask("browse_book", json!({ "id": emma })).await["book"]["title"], "Emma");
        assert_eq!(ask("search", json!({ "text": "emma" })).await["books"]["nodes"][0]["id"], json!(emma));
        let created = ask("order_create", json!({ "book": emma })).await;
        let placed = ask("order_place", json!({ "id": created["orderCreate"]["order"]["id"] })).await;
        assert_eq!(placed["orderPlace"]["order"]["status"], "PLACED", "{placed}");
        let orders = ask("order_list", json!({})).await;
        assert_eq!(orders["orders"]["nodes"][0]["lines"]["nodes"][0]["book"]["title"], "Emma");
        ask("admin_tenants", json!({})).await;
        ask("admin_jobs", json!({})).await;

        let folder = format!("{}/tests/load/operations", env!("CARGO_MANIFEST_DIR"));
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let names: BTreeSet<String> =
            names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(tried, names, "an operation that nobody tries");
    })
    .await;
}
