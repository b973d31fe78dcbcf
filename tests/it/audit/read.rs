//! `auditLog`: who sees the trail, and which of it.

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use crate::graphql_helpers::{author, book};
use crate::harness::world::user_id;
use crate::harness::{Client, world};

const ENTRIES: &str = "query($filter: AuditLogFilterInput, $first: Int, $after: String, $last: Int) {
    auditLog(filter: $filter, first: $first, after: $after, last: $last) {
        nodes { sequence action entityId } pageInfo { endCursor hasNextPage hasPreviousPage } } }";

/// The numbers of the entries that a filter lets pass.
async fn sequences(client: &Client<'_>, filter: Value) -> Vec<String> {
    let data = client.data(ENTRIES, json!({ "filter": filter })).await;
    let nodes = data["auditLog"]["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["sequence"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_entry_tells_who_did_what_to_whom_and_how_they_came() {
    world(async |world| {
        let client = world.owner().with_header("x-request-id", "r-1");
        let id = author(&client, "Ann").await;
        let rename = "mutation($id: ID!) { authorUpdate(id: $id, version: 1, input: { name: \"Anne\" }) {
            userErrors { code } } }";
        client.data(rename, json!({ "id": id })).await;

        let query = "{ auditLog(first: 1) { nodes {
            sequence at actor { email } actorName via action entityId before after requestId address hash } } }";
        let mut entry = client.data(query, json!({})).await["auditLog"]["nodes"][0].take();

        let at = entry["at"].take();
        assert!(at.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{at}");
        let hash = entry["hash"].take();
        assert!(hash.as_str().is_some_and(|hash| hash.len() == 64), "{hash}");
        for (pointer, name) in [("/before", "Ann"), ("/after", "Anne")] {
            assert_eq!(entry.pointer_mut(pointer).unwrap().take()["name"], name);
        }
        let wanted = json!({
            "sequence": "2",
            "at": null,
            "actor": { "email": "owner@test.example" },
            "actorName": user_id(&world.a, Role::Owner).to_string(),
            "via": "operator",
            "action": "author.update",
            "entityId": id,
            "before": null,
            "after": null,
            "requestId": "r-1",
            "address": "127.0.0.1",
            "hash": null,
        });
        assert_eq!(entry, wanted);
    })
    .await;
}

#[tokio::test]
async fn the_newest_comes_first_and_pages_meet() {
    world(async |world| {
        let owner = world.owner();
        for index in 0..5 {
            author(&owner, &format!("Author {index}")).await;
        }

        let first = owner.data(ENTRIES, json!({ "first": 3 })).await["auditLog"].take();
        let after = &first["pageInfo"]["endCursor"];
        let second = owner.data(ENTRIES, json!({ "first": 3, "after": after })).await["auditLog"].take();
        let last = owner.data(ENTRIES, json!({ "last": 1 })).await["auditLog"].take();

        let numbers = |page: &Value| {
            let nodes = page["nodes"].as_array().unwrap();
            nodes.iter().map(|node| node["sequence"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (numbers(&first), &first["pageInfo"]["hasNextPage"]),
            (vec!["5".into(), "4".into(), "3".into()], &json!(true))
        );
        assert_eq!(
            (numbers(&second), &second["pageInfo"]["hasNextPage"]),
            (vec!["2".into(), "1".into()], &json!(false))
        );
        assert_eq!((numbers(&last), &last["pageInfo"]["hasPreviousPage"]), (vec!["1".into()], &json!(true)));
        let another = "{ auditLog(after: \"bm9uc2Vuc2U\") { nodes { sequence } } }";
        assert_eq!(owner.gql(another, json!({})).await.code(), "BAD_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn entries_are_found_by_what_who_and_when() {
    world(async |world| {
        let (owner, clerk) = (world.owner(), world.user(&world.a, Role::Clerk));
        let ann = author(&owner, "Ann").await;
        book(&clerk, json!({ "title": "Emma", "authorIds": [ann] })).await;
        let at = owner.data("{ auditLog(first: 1) { nodes { at } } }", json!({})).await;
        let at = at["auditLog"]["nodes"][0]["at"].clone();
        let clerk = user_id(&world.a, Role::Clerk).to_string();

        let none: [&str; 0] = [];
        assert_eq!(sequences(&owner, json!({ "entityId": ann })).await, ["1"]);
        assert_eq!(sequences(&owner, json!({ "action": "book.create" })).await, ["2"]);
        assert_eq!(sequences(&owner, json!({ "actorId": clerk })).await, ["2"]);
        assert_eq!(sequences(&owner, json!({ "actorId": clerk, "entityId": ann })).await, none);
        assert_eq!(sequences(&owner, json!({ "from": at })).await, ["2"]);
        assert_eq!(sequences(&owner, json!({ "to": at })).await, ["1"]);
        assert_eq!(
            sequences(&owner, json!({ "from": "0001-01-01T00:00:00Z", "to": "+200000-01-01T00:00:00Z" })).await,
            ["2", "1"]
        );
        assert_eq!(sequences(&owner, json!({ "entityId": "\u{0}", "action": "\u{0}" })).await, none);
        let malformed = owner.gql(ENTRIES, json!({ "filter": { "actorId": "author_x" } })).await;
        assert_eq!(malformed.code(), "BAD_REQUEST", "{}", malformed.body);
    })
    .await;
}

#[tokio::test]
async fn the_trail_is_for_those_who_may_read_it() {
    world(async |world| {
        author(&world.owner(), "Ann").await;
        let query = "{ auditLog { nodes { sequence actor { email } actorName } } }";
        for role in [Role::Manager, Role::Clerk, Role::ReadOnly] {
            assert_eq!(world.user(&world.a, role).gql(query, json!({})).await.code(), "FORBIDDEN", "{role}");
        }
        assert_eq!(world.stranger().gql(query, json!({})).await.code(), "UNAUTHENTICATED");
        let make = "mutation { apiKeyCreate(input: { name: \"Auditor\", permissions: [AUDIT_READ] }) { secret } }";
        let secret = world.owner().data(make, json!({})).await["apiKeyCreate"]["secret"].take();

        let entries = world.stranger().with_token(secret.as_str().unwrap()).data(query, json!({})).await;

        let owner = user_id(&world.a, Role::Owner).to_string();
        let entry = |sequence: &str| json!({ "sequence": sequence, "actor": null, "actorName": owner });
        assert_eq!(entries["auditLog"]["nodes"], json!([entry("2"), entry("1")]), "people take `users.read` as well");
    })
    .await;
}

#[tokio::test]
async fn a_page_with_its_people_takes_two_statements() {
    world(async |world| {
        let owner = world.owner();
        for index in 0..3 {
            author(&owner, &format!("Author {index}")).await;
            author(&world.user(&world.a, Role::Clerk), &format!("Writer {index}")).await;
        }
        let query = "{ auditLog { nodes { sequence actor { email } } } }";
        let _ = owner.gql(query, json!({})).await;
        assert_eq!(owner.gql(query, json!({})).await.sql(), (2, 2));
    })
    .await;
}
