//! Statements do not depend on the number of rows, round trips are the dependent levels of data.

use serde_json::json;

use super::shelf::{author, book, category};
use crate::harness::{Client, world};

/// Fills a shop so that every list has at least so many items, with no two books alike.
async fn fill(client: &Client<'_>, from: usize, to: usize) {
    for index in from..to {
        let (one, two) = (author(client, &format!("One {index}")).await, author(client, &format!("Two {index}")).await);
        let parent = category(client, &format!("Shelf {index}"), None).await;
        let child = category(client, &format!("Sub {index}"), Some(&parent)).await;
        book(client, json!({ "title": format!("Book {index}"), "authorIds": [one, two], "categoryId": child })).await;
    }
}

/// Each list of the API with everything below it: the query, its statements and its round trips.
///
/// A `totalCount` may be answered before the loads beside it are sent, or after: one trip more or less is a race that
/// nobody waits for, so its queries are here with statements alone.
const QUERIES: &[(&str, u64, u64)] = &[
    ("{ books(first: 100) { nodes { title price { amount } } } }", 1, 1),
    ("{ books(first: 100) { nodes { title authors { nodes { name } } category { name } } } }", 3, 2),
    ("{ books(first: 100) { totalCount nodes { title authors { nodes { name } } category { name } } } }", 4, 2),
    ("{ books(first: 100) { nodes { category { parent { name children { name } } } } } }", 4, 4),
    ("{ books(first: 100, search: \"book\") { nodes { authors { nodes { name } } } } }", 2, 2),
    ("{ authors(first: 100) { totalCount nodes { name } } }", 2, 2),
    ("{ categories(first: 100) { nodes { name parent { name } children { name } } } }", 3, 2),
    ("{ a: books(first: 50) { nodes { category { name } } } b: authors(first: 50) { nodes { name } } }", 3, 2),
    (
        "{ a: books(first: 9) { nodes { authors { nodes { name } } } } b: books(last: 9) { nodes { authors { nodes { name } } } } }",
        3,
        2,
    ),
    ("{ __typename }", 0, 0),
];

#[tokio::test]
async fn no_list_costs_more_for_more_rows() {
    world(async |world| {
        let owner = world.owner();
        fill(&owner, 0, 2).await;
        for rows in [2, 15] {
            if rows > 2 {
                fill(&owner, 2, rows).await;
            }
            for (query, statements, round_trips) in QUERIES {
                // The first run prepares statements on its connection; counts are of a warm one.
                let first = owner.gql(query, json!({})).await;
                let warm = owner.gql(query, json!({})).await;
                assert_eq!(first.body["data"], warm.body["data"]);
                let (found, trips) = warm.sql();
                assert_eq!(found, *statements, "{rows} rows: {query}");
                assert!(trips == *round_trips || query.contains("totalCount"), "{trips} trips, {rows} rows: {query}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_payload_reads_what_was_written_on_the_same_connection() {
    world(async |world| {
        let owner = world.owner();
        let ann = author(&owner, "Ann").await;
        let id = book(&owner, json!({ "title": "Old", "authorIds": [ann] })).await;
        let query = "mutation($id: ID!) {
            one: bookUpdate(id: $id, version: 1, input: { title: \"New\" }) { book { title authors { nodes { name } } } }
            two: bookUpdate(id: $id, version: 2, input: { authorIds: [] }) { book { title authors { nodes { name } } } } }";
        let response = owner.gql(query, json!({ "id": id })).await;
        assert_eq!(response["/one/book"], json!({ "title": "New", "authors": { "nodes": [{ "name": "Ann" }] } }));
        assert_eq!(response["/two/book"], json!({ "title": "New", "authors": { "nodes": [] } }));
        assert_eq!(world.app.services.tenants.connections_created(), 1, "one operation, one connection");
    })
    .await;
}
