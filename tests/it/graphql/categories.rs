//! `category`, `categories`, `categoryCreate`, `categoryUpdate`, `categoryArchive`, `categoryUnarchive`

use serde_json::{Value, json};

use super::shelf::{book, book_create, category, codes};
use crate::harness::{Client, world};

async fn update(client: &Client<'_>, id: &str, version: i32, input: Value) -> Value {
    let query = "mutation($id: ID!, $version: Int!, $input: CategoryUpdateInput!) {
        categoryUpdate(id: $id, version: $version, input: $input) {
            category { name depth version parent { name } } userErrors { code } } }";
    client.data(query, json!({ "id": id, "version": version, "input": input })).await["categoryUpdate"].clone()
}

#[tokio::test]
async fn a_new_shop_has_the_default_categories() {
    world(async |world| {
        let data = world
            .owner()
            .data("{ categories { totalCount nodes { name parent { name } children { name } } } }", json!({}))
            .await;
        assert_eq!(data["categories"]["totalCount"], 7);
        assert_eq!(data["categories"]["nodes"][0], json!({ "name": "Audio", "parent": null, "children": [] }));
    })
    .await;
}

#[tokio::test]
async fn a_subtree_moves_as_a_whole() {
    world(async |world| {
        let owner = world.owner();
        let (a, x) = (category(&owner, "Top A", None).await, category(&owner, "Top X", None).await);
        let b = category(&owner, "Mid", Some(&a)).await;
        let c = category(&owner, "Leaf", Some(&b)).await;
        book(&owner, json!({ "title": "Deep", "categoryId": c })).await;

        let moved = update(&owner, &b, 1, json!({ "parentId": x })).await;

        assert_eq!(moved["category"]["parent"]["name"], "Top X");
        let query = "query($a: ID!, $x: ID!, $c: ID!) {
            a: books(filter: { categoryId: $a }) { totalCount } x: books(filter: { categoryId: $x }) { totalCount }
            category(id: $c) { depth parent { name parent { name } } }
            categories(filter: { withinId: $x }) { nodes { name } } }";
        let data = owner.data(query, json!({ "a": a, "x": x, "c": c })).await;
        assert_eq!((&data["a"]["totalCount"], &data["x"]["totalCount"]), (&json!(0), &json!(1)));
        assert_eq!(data["category"], json!({ "depth": 2, "parent": { "name": "Mid", "parent": { "name": "Top X" } } }));
        assert_eq!(data["categories"]["nodes"], json!([{ "name": "Leaf" }, { "name": "Mid" }, { "name": "Top X" }]));

        let root = update(&owner, &b, 2, json!({ "parentId": null })).await;
        assert_eq!(root["category"], json!({ "name": "Mid", "depth": 0, "version": 3, "parent": null }));
    })
    .await;
}

#[tokio::test]
async fn no_circle_no_deep_tree_no_name_twice() {
    world(async |world| {
        let owner = world.owner();
        let a = category(&owner, "A", None).await;
        let b = category(&owner, "B", Some(&a)).await;
        assert_eq!(codes(&update(&owner, &a, 1, json!({ "parentId": b })).await), ["CATEGORY_CYCLE"]);
        assert_eq!(codes(&update(&owner, &a, 1, json!({ "parentId": a })).await), ["CATEGORY_CYCLE"]);
        assert_eq!(codes(&update(&owner, &a, 1, json!({ "name": "fiction" })).await), ["CATEGORY_NAME_TAKEN"]);
        assert_eq!(codes(&update(&owner, &a, 9, json!({ "name": "C" })).await), ["VERSION_CONFLICT"]);
        assert_eq!(codes(&update(&owner, &a, 1, json!({ "name": " " })).await), ["NAME_INVALID"]);

        let mut parent = b.clone();
        for depth in 3..=8 {
            parent = category(&owner, &format!("Level {depth}"), Some(&parent)).await;
        }
        let query = "mutation($parent: ID!) { categoryCreate(input: { name: \"Level 9\", parentId: $parent }) { category { id } userErrors { code } } }";
        assert_eq!(codes(&owner.data(query, json!({ "parent": parent })).await["categoryCreate"]), ["CATEGORY_TOO_DEEP"]);
        let x = category(&owner, "X", None).await;
        assert_eq!(codes(&update(&owner, &a, 1, json!({ "parentId": x })).await), ["CATEGORY_TOO_DEEP"]);
    })
    .await;
}

#[tokio::test]
async fn moves_that_pass_each_other_make_no_circle() {
    world(async |world| {
        let owner = world.owner();
        let (a, b) = (category(&owner, "A", None).await, category(&owner, "B", None).await);
        let (first, second) = tokio::join!(
            update(&owner, &a, 1, json!({ "parentId": b })),
            update(&owner, &b, 1, json!({ "parentId": a }))
        );
        let outcomes = [codes(&first), codes(&second)];
        assert!(outcomes.contains(&vec![]) && outcomes.contains(&vec!["CATEGORY_CYCLE"]), "{outcomes:?}");
    })
    .await;
}

#[tokio::test]
async fn an_archived_category_keeps_its_books_and_takes_no_new_ones() {
    world(async |world| {
        let owner = world.owner();
        let id = category(&owner, "Old", None).await;
        let kept = book(&owner, json!({ "title": "Kept", "categoryId": id })).await;
        let query = "mutation($id: ID!) { categoryArchive(id: $id) { category { archivedAt } userErrors { code } } }";
        assert!(owner.data(query, json!({ "id": id })).await["categoryArchive"]["category"]["archivedAt"].is_string());
        assert_eq!(codes(&book_create(&owner, json!({ "title": "New", "categoryId": id })).await), ["CATEGORY_NOT_FOUND"]);
        let data = owner.data("query($id: ID!) { book(id: $id) { category { name } } }", json!({ "id": kept })).await;
        assert_eq!(data["book"]["category"]["name"], "Old");
        let query = "mutation($id: ID!) { categoryUnarchive(id: $id, version: 2) { category { archivedAt } userErrors { code } } }";
        assert_eq!(owner.data(query, json!({ "id": id })).await["categoryUnarchive"]["category"]["archivedAt"], json!(null));
    })
    .await;
}
