//! Endpoints as people make, change and remove them.

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::{act, endpoint, endpoint_with, shown};
use crate::harness::cluster::psql;
use crate::harness::{Client, world};

const URL: &str = "https://hooks.example/a";

async fn create(client: &Client<'_>, input: Value) -> Value {
    let query = "mutation($input: WebhookEndpointCreateInput!) { webhookEndpointCreate(input: $input) {
        webhookEndpoint { id } secret userErrors { code message path } } }";
    client.data(query, json!({ "input": input })).await["webhookEndpointCreate"].clone()
}

async fn update(client: &Client<'_>, id: &str, version: i32, input: Value) -> Value {
    let query = "mutation($id: ID!, $version: Int!, $input: WebhookEndpointUpdateInput!) {
        webhookEndpointUpdate(id: $id, version: $version, input: $input) {
        webhookEndpoint { id url description eventTypes ordering headerNames version }
        userErrors { code message path currentVersion } } }";
    client.data(query, json!({ "id": id, "version": version, "input": input })).await["webhookEndpointUpdate"].clone()
}

#[tokio::test]
async fn an_endpoint_is_made_changed_and_removed() {
    world(async |world| {
        let owner = world.owner();
        let headers = json!([{ "name": "X-Shop", "value": "1" }]);
        let input = json!({ "url": URL, "description": " Stock ", "eventTypes": ["order.paid", "order.placed", "order.paid"],
            "ordering": "NONE", "headers": headers });
        let (id, secret) = endpoint_with(&owner, input).await;
        assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
        let endpoint = shown(&owner, &id).await;
        assert_eq!((&endpoint["url"], &endpoint["description"]), (&json!(URL), &json!("Stock")));
        assert_eq!(endpoint["eventTypes"], json!(["order.paid", "order.placed"]));
        assert_eq!((&endpoint["ordering"], &endpoint["headerNames"]), (&json!("NONE"), &json!(["X-Shop"])));
        assert_eq!((&endpoint["status"], &endpoint["backlogCount"]), (&json!("ACTIVE"), &json!(0)));
        assert_eq!(owner.data("query($id: ID!) { node(id: $id) { id __typename } }", json!({ "id": id })).await["node"],
            json!({ "id": id, "__typename": "WebhookEndpoint" }));

        let changed = update(&owner, &id, 1, json!({ "description": null, "eventTypes": null, "headers": null })).await;
        assert_eq!(changed["webhookEndpoint"], json!({ "id": id, "url": URL, "description": "", "eventTypes": [],
            "ordering": "NONE", "headerNames": [], "version": 2 }));
        let stale = update(&owner, &id, 1, json!({ "url": "https://b.example/" })).await;
        assert_eq!((&stale["userErrors"][0]["code"], &stale["userErrors"][0]["currentVersion"]),
            (&json!("VERSION_CONFLICT"), &json!(2)));

        // What is stored tells no secret.
        let query = format!(r#"SELECT t::text FROM "{}".webhook_endpoints t"#, world.a.schema);
        let stored: String = psql().await.query_one(&query, &[]).await.unwrap().get(0);
        assert!(!stored.contains(&secret[6..20]));

        let gone = owner.data("mutation($id: ID!) { webhookEndpointDelete(id: $id) { userErrors { code } } }", json!({ "id": id })).await;
        assert_eq!(gone["webhookEndpointDelete"]["userErrors"], json!([]));
        assert_eq!(shown(&owner, &id).await, json!(null));
        let entries = owner.data("{ auditLog(first: 3) { nodes { action entityId } } }", json!({})).await;
        let actions: Vec<_> = entries["auditLog"]["nodes"].as_array().unwrap().iter().map(|one| one["action"].clone()).collect();
        assert_eq!(actions, ["webhook_endpoint.delete", "webhook_endpoint.update", "webhook_endpoint.create"]);
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    world(async |world| {
        let owner = world.owner();
        let query = r#"mutation { webhookEndpointCreate(input: { url: "https://hooks.example/" }, idempotencyKey: "k1") {
            webhookEndpoint { id } secret } }"#;
        let first = owner.data(query, json!({})).await["webhookEndpointCreate"].clone();
        let second = owner.data(query, json!({})).await["webhookEndpointCreate"].clone();
        assert_eq!(first["webhookEndpoint"], second["webhookEndpoint"]);
        assert!(first["secret"].is_string() && second["secret"].is_null());
        let rotate = "mutation($id: ID!, $s: Int!) { webhookEndpointRotateSecret(id: $id, overlapSeconds: $s) {
            secret userErrors { code path } } }";
        let id = &first["webhookEndpoint"]["id"];
        let rotated = owner.data(rotate, json!({ "id": id, "s": 0 })).await;
        assert_ne!(rotated["webhookEndpointRotateSecret"]["secret"], first["secret"]);
        for seconds in [-1, 604_801] {
            let refused = owner.data(rotate, json!({ "id": id, "s": seconds })).await;
            assert_eq!(refused["webhookEndpointRotateSecret"]["userErrors"][0]["code"], "OVERLAP_INVALID");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_is_said_and_nothing_is_made() {
    world(async |world| {
        let owner = world.owner();
        let header = |name: &str, value: &str| json!([{ "name": name, "value": value }]);
        let cases = [
            (json!({ "url": "ftp://a.example/" }), "URL_INVALID", "url"),
            (json!({ "url": "https://10.0.0.1/" }), "URL_INVALID", "url"),
            (json!({ "url": "https://a.example:25/" }), "URL_INVALID", "url"),
            (json!({ "url": "https://ann:pw@a.example/" }), "URL_INVALID", "url"),
            (json!({ "url": URL, "description": "x".repeat(501) }), "DESCRIPTION_INVALID", "description"),
            (json!({ "url": URL, "description": "a\0b" }), "DESCRIPTION_INVALID", "description"),
            (json!({ "url": URL, "eventTypes": ["order.eaten"] }), "EVENT_TYPE_UNKNOWN", "eventTypes"),
            (json!({ "url": URL, "headers": header("webhook-id", "1") }), "HEADER_INVALID", "headers"),
            (json!({ "url": URL, "headers": header("host", "a.example") }), "HEADER_INVALID", "headers"),
            (json!({ "url": URL, "headers": header("x-a", "a\r\nb: c") }), "HEADER_INVALID", "headers"),
            (
                json!({ "url": URL, "headers": [{ "name": "x-a", "value": "1" }, { "name": "X-A", "value": "2" }] }),
                "HEADER_INVALID",
                "headers",
            ),
        ];
        for (input, code, field) in cases {
            let payload = create(&owner, input.clone()).await;
            let error = &payload["userErrors"][0];
            assert_eq!((&error["code"], &error["path"]), (&json!(code), &json!(["input", field])), "{input}");
            assert_eq!((&payload["webhookEndpoint"], &payload["secret"]), (&json!(null), &json!(null)));
        }
        let everything = create(&owner, json!({ "url": "", "description": "a\nb", "eventTypes": ["x"] })).await;
        assert_eq!(everything["userErrors"].as_array().unwrap().len(), 3);
        let (id, _) = endpoint(&owner, URL).await;
        let blank = act(&owner, "webhookEndpointSuspend", &id, r#", reason: " ""#).await;
        assert_eq!(blank["userErrors"][0]["code"], "REASON_INVALID");
        act(&owner, "webhookEndpointDisable", &id, r#", reason: "closed""#).await;
        assert_eq!(act(&owner, "webhookEndpointTest", &id, "").await["userErrors"][0]["code"], "ENDPOINT_NOT_ACTIVE");
        let others = world.other_owner();
        for mutation in ["webhookEndpointResume", "webhookEndpointTest"] {
            assert_eq!(act(&others, mutation, &id, "").await["userErrors"][0]["code"], "ENDPOINT_NOT_FOUND");
        }
        assert_eq!(update(&others, &id, 1, json!({})).await["userErrors"][0]["code"], "ENDPOINT_NOT_FOUND");
        assert_eq!(shown(&others, &id).await, json!(null));
        let all = owner.data("{ webhookEndpoints { id } }", json!({})).await;
        assert_eq!(all["webhookEndpoints"], json!([{ "id": id }]));
    })
    .await;
}

#[tokio::test]
async fn a_shop_has_at_most_twenty_endpoints() {
    world(async |world| {
        let owner = world.owner();
        for _ in 0..20 {
            endpoint(&owner, URL).await;
        }
        let payload = create(&owner, json!({ "url": URL })).await;
        assert_eq!(payload["userErrors"][0]["code"], "ENDPOINT_LIMIT_REACHED");
    })
    .await;
}

#[tokio::test]
async fn who_may_only_look_sees_neither_addresses_nor_buttons() {
    world(async |world| {
        let (owner, manager) = (world.owner(), world.user(&world.a, Role::Manager));
        let (id, _) = endpoint(&owner, "https://hooks.example/?token=t").await;
        let seen = shown(&manager, &id).await;
        assert_eq!((&seen["url"], &seen["viewerCanUpdate"]), (&json!(null), &json!(false)));
        let query = "mutation($id: ID!) { webhookEndpointResume(id: $id) { userErrors { code } } }";
        assert_eq!(manager.gql(query, json!({ "id": id })).await.code(), "FORBIDDEN");
        let clerk = world.user(&world.a, Role::Clerk);
        assert_eq!(clerk.gql("{ webhookEndpoints { id } }", json!({})).await.code(), "FORBIDDEN");
    })
    .await;
}
