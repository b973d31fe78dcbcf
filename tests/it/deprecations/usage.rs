//! Who uses what goes away, and how often.

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::worker::handlers;

use super::OLD;
use crate::harness::cluster::{psql, psql_of};
use crate::harness::world::dump;
use crate::harness::{Client, World, world};
use crate::jobs::queue::Queue;

const LIST: &str = "query($first: Int, $after: String, $filter: DeprecatedUsageFilterInput) {
    deprecatedUsage(first: $first, after: $after, filter: $filter) {
        nodes { part operationName clientName credential apiKey { name } operationCount deprecation { removalOn } }
        pageInfo { hasNextPage endCursor } } }";

/// What a shop is shown of its use.
async fn listed(client: &Client<'_>, filter: Value) -> Vec<Value> {
    let data = client.data(LIST, json!({ "filter": filter })).await;
    data["deprecatedUsage"]["nodes"].as_array().unwrap().clone()
}

/// An API key of shop A, as its token and its id.
async fn api_key(client: &Client<'_>) -> (String, String) {
    let query = "mutation { apiKeyCreate(input: { name: \"Till\", permissions: [CATALOG_READ] }) {
        secret apiKey { id } userErrors { code } } }";
    let data = client.data(query, json!({})).await;
    let payload = &data["apiKeyCreate"];
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{payload}")).to_owned();
    (text(&payload["secret"]), text(&payload["apiKey"]["id"]))
}

#[tokio::test]
async fn use_is_counted_by_part_operation_credential_and_client() {
    world(async |world| {
        let owner = world.owner().with_header("user-agent", "Till/2.1");
        let (secret, key) = api_key(&world.owner()).await;
        let program = world.owner().with_token(&secret).with_header("graphql-client-name", "Sync of Ann");
        for _ in 0..3 {
            program.data(OLD, json!({})).await;
        }
        owner.data(OLD, json!({})).await;
        owner.data("{ books(query: \"x\") { nodes { priceCents } } }", json!({})).await;
        // Neither what is refused nor what uses nothing counts.
        owner
            .gql("query Till { books { nodes { priceCents nothing } } }", json!({}))
            .await
            .assert_refused(400, "BAD_REQUEST");
        world
            .owner()
            .with_header("x-as-of", "2027-07-01")
            .gql(OLD, json!({}))
            .await
            .assert_refused(400, "FIELD_REMOVED");
        owner.data("{ books { totalCount } }", json!({})).await;
        assert_eq!(listed(&owner, json!({})).await, Vec::<Value>::new());
        world.app.services.usage.flush().await;

        let row =
            |part: &str, operation: Value, client: &str, credential: &str, key: Value, count: i32, removal: &str| {
                json!({ "part": part, "operationName": operation, "clientName": client, "credential": credential,
                    "apiKey": key, "operationCount": count, "deprecation": { "removalOn": removal } })
            };
        let of_key =
            row("Book.priceCents", json!("Till"), "Sync of Ann", "API_KEY", json!({ "name": "Till" }), 3, "2027-07-01");
        let expected = [
            row("Book.priceCents", json!(null), "Till", "OPERATOR", json!(null), 1, "2027-07-01"),
            of_key.clone(),
            row("Book.priceCents", json!("Till"), "Till", "OPERATOR", json!(null), 1, "2027-07-01"),
            row("Query.books(query:)", json!(null), "Till", "OPERATOR", json!(null), 1, "2027-10-01"),
        ];
        assert_eq!(listed(&owner, json!({})).await, expected);
        assert_eq!(listed(&owner, json!({ "apiKeyId": key })).await, [of_key]);
        assert_eq!(listed(&owner, json!({ "part": "Query.books(query:)" })).await.len(), 1);
        assert_eq!(listed(&owner, json!({ "usedSince": "2999-01-01T00:00:00Z" })).await, Vec::<Value>::new());

        // Nothing was counted twice, and more is added to it; by another server too.
        let beside = World::beside(world).await;
        world.owner().with_token(&secret).with_header("graphql-client-name", "Sync of Ann").data(OLD, json!({})).await;
        let other_server =
            Client::new(&beside, "/graphql", Some(secret)).with_header("graphql-client-name", "Sync of Ann");
        other_server.data(OLD, json!({})).await;
        world.app.services.usage.flush().await;
        beside.app.services.usage.flush().await;
        world.app.services.usage.flush().await;
        assert_eq!(listed(&owner, json!({ "apiKeyId": key })).await[0]["operationCount"], 5);
        beside.end().await;
    })
    .await;
}

#[tokio::test]
async fn pages_of_use_meet_without_gap_or_overlap() {
    world(async |world| {
        let owner = world.owner();
        for name in ["A", "B", "C", "D", "E"] {
            owner.data(&OLD.replace("Till", name), json!({})).await;
        }
        world.app.services.usage.flush().await;
        let (mut names, mut after) = (Vec::new(), json!(null));
        loop {
            let data = owner.data(LIST, json!({ "first": 2, "after": after })).await;
            let page = &data["deprecatedUsage"];
            names.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["operationName"].clone()));
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        assert_eq!(names, ["A", "B", "C", "D", "E"]);
        let query = "{ deprecatedUsage(last: 2) { nodes { operationName } pageInfo { hasPreviousPage } } }";
        assert_eq!(
            owner.data(query, json!({})).await["deprecatedUsage"],
            json!({ "nodes": [{ "operationName": "D" }, { "operationName": "E" }], "pageInfo": { "hasPreviousPage": true } })
        );
    })
    .await;
}

#[tokio::test]
async fn a_shop_sees_its_own_use_and_only_who_may() {
    world(async |world| {
        world.owner().data(OLD, json!({})).await;
        world.app.services.usage.flush().await;
        assert_eq!(listed(&world.owner(), json!({})).await.len(), 1);
        assert_eq!(listed(&world.other_owner(), json!({})).await.len(), 0);
        let manager = world.user(&world.a, Role::Manager);
        assert_eq!(listed(&manager, json!({})).await.len(), 1);
        let clerk = world.user(&world.a, Role::Clerk);
        assert_eq!(clerk.gql(LIST, json!({})).await.code(), "FORBIDDEN");
        assert_eq!(world.stranger().gql("{ deprecations { part } }", json!({})).await.code(), "UNAUTHENTICATED");
    })
    .await;
}

#[tokio::test]
async fn names_that_clients_choose_take_no_more_rows_than_there_may_be() {
    world(async |world| {
        let fill = format!(
            r#"INSERT INTO "{}".deprecated_usage
               SELECT 'Book.priceCents', 'Op' || n, 'operator', 'x', 1, now(), now() FROM generate_series(1, 999) n"#,
            world.a.schema
        );
        psql().await.execute(&fill, &[]).await.unwrap();
        for name in ["Op7", "New1", "New2", "New3"] {
            let client = world.owner().with_header("graphql-client-name", "x");
            client.data(&OLD.replace("Till", name), json!({})).await;
        }
        world.app.services.usage.flush().await;
        let query = format!(
            r#"SELECT operation, client, count FROM "{}".deprecated_usage
               WHERE operation !~ '^Op' OR count > 1 ORDER BY operation COLLATE "C""#,
            world.a.schema
        );
        let rows = psql().await.query(&query, &[]).await.unwrap();
        let rows: Vec<(String, String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let row = |operation: &str, client: &str, count| (operation.to_owned(), client.to_owned(), count);
        assert_eq!(rows, [row("(other)", "(other)", 2), row("New1", "x", 1), row("Op7", "x", 2)]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stops_writes_down_what_it_has_counted() {
    let world = World::start(&[]).await;
    let before = dump(&world.a, "deprecated_usage").await;
    world.owner().data(OLD, json!({})).await;
    let (a, b) = (Arc::clone(&world.a), Arc::clone(&world.b));
    world.end().await;
    let count = async |schema: &str| -> i64 {
        let query = format!(r#"SELECT coalesce(sum(count), 0)::bigint FROM "{schema}".deprecated_usage"#);
        psql().await.query_one(&query, &[]).await.unwrap().get(0)
    };
    assert_eq!((count(a.schema.as_str()).await, count(b.schema.as_str()).await), (1, 0));
    // It is no change of the shop: no trail, no event.
    assert_eq!(dump(&a, "deprecated_usage").await, before);
}

#[tokio::test]
async fn operators_are_told_of_all_tenants_use_by_a_job() {
    let (world, database) = World::start_alone(Arc::new(SystemClock), &[]).await;
    world.owner().data(OLD, json!({})).await;
    world.other_owner().data("query Other { orders { nodes { total } } }", json!({})).await;
    world.app.services.usage.flush().await;
    // Two writings within a minute ask for it once.
    world.owner().data(OLD, json!({})).await;
    world.app.services.usage.flush().await;

    let psql = psql_of(&database).await;
    let jobs = "SELECT count(DISTINCT tenant_id) FROM control.jobs WHERE kind = 'deprecation.report'";
    assert_eq!(psql.query_one(jobs, &[]).await.unwrap().get::<_, i64>(0), 2);
    let queue = Queue::of(&world.app, psql);
    queue.pass_the_time().await;
    let worker = queue.work(handlers(&world.app));
    let unfinished = "SELECT count(*) FROM control.jobs WHERE kind = 'deprecation.report' AND state <> 'completed'";
    queue.until(unfinished, "0").await;
    worker.stop().await;

    let query = "query($slug: String) { deprecatedUsage(filter: { slug: $slug }) {
        nodes { tenantSlug part operationName credential operationCount } } }";
    let admin = world.admin();
    let all = admin.data(query, json!({})).await;
    let row = |slug: &str, part: &str, operation: &str, count: i32| {
        json!({ "tenantSlug": slug, "part": part, "operationName": operation, "credential": "operator",
                "operationCount": count })
    };
    let (of_a, of_b) = (
        row(world.a.slug.as_str(), "Book.priceCents", "Till", 2),
        row(world.b.slug.as_str(), "Order.total", "Other", 1),
    );
    assert_eq!(all["deprecatedUsage"]["nodes"], json!([of_a, of_b]));
    let one = admin.data(query, json!({ "slug": world.b.slug.as_str() })).await;
    assert_eq!(one["deprecatedUsage"]["nodes"], json!([of_b]));
    let parts = admin.data("{ deprecations { part instead tenantCount extendableUntil } }", json!({})).await;
    let part =
        json!({ "part": "Book.priceCents", "instead": "price", "tenantCount": 1, "extendableUntil": "2028-01-01" });
    assert!(parts["deprecations"].as_array().unwrap().contains(&part), "{parts}");
    world.end().await;
}
