//! Requests that are meant to hurt: each is refused with little processor time, and leaves the server fit.

use std::time::Duration;

use serde_json::{Value, json};
use shelfwise::graphql::guard;

use crate::harness::{World, world};

mod corpus;

pub use corpus::documents;
use corpus::requests;

/// Processor time that refusing one document may take in a build without optimisations; a fiftieth of a second with.
const BUDGET: Duration = Duration::from_millis(500);

/// Processor time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

async fn is_fit(world: &World) {
    let data = world.owner().data("{ books { totalCount } }", json!({})).await;
    assert_eq!(data["books"]["totalCount"], 0);
}

#[tokio::test]
async fn every_attack_of_the_corpus_is_refused_with_its_code() {
    world(async |world| {
        for (name, document, code) in documents() {
            let response = world.owner().gql(&document, json!({})).await;
            assert_eq!(
                response.code(),
                code,
                "{name}: {}",
                response.body.to_string().chars().take(300).collect::<String>()
            );
            assert_eq!(response.status, 400, "{name}");
        }
        for (name, body, code) in requests() {
            let request = world.http.post(format!("{}/graphql", world.base_url)).bearer_auth(world.owner_token());
            let request = request.header("content-type", "application/json").body(body);
            let response = crate::harness::GqlResponse::read(request.send().await.unwrap()).await;
            assert_eq!(response.code(), code, "{name}");
        }
        is_fit(world).await;
    })
    .await;
}

/// Tests run side by side in one process, so its clock shows more than the guard; the budget is for ten refusals.
#[test]
fn refusing_takes_time_in_proportion_to_the_bytes() {
    for (name, document, _) in documents() {
        let started = cpu();
        for _ in 0..10 {
            let _ = guard::parse(&document);
        }
        assert!(cpu() - started < 10 * BUDGET, "{name}: {:?} for {} bytes", cpu() - started, document.len());
    }
}

#[tokio::test]
async fn hostile_variables_are_refused() {
    world(async |world| {
        let query = "query($first: Int) { books(first: $first) { nodes { id } } }";
        for first in [
            json!(-1),
            json!(0),
            json!(101),
            json!(2_147_483_647_i64),
            json!(9_223_372_036_854_775_807_i64),
            json!(1.5),
            json!("1"),
            json!([1]),
            json!({}),
        ] {
            let response = world.owner().gql(query, json!({ "first": first })).await;
            assert_eq!(response.code(), "BAD_REQUEST", "{first}: {}", response.body);
        }
        let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let response = world.owner().gql("query($id: ID!) { book(id: $id) { id } }", json!({ "id": nested })).await;
        assert_eq!(response.code(), "BAD_REQUEST");
        let deep = format!(
            "{{\"query\":\"{{ __typename }}\",\"variables\":{}1{}}}",
            "{\"a\":".repeat(5_000),
            "}".repeat(5_000)
        );
        let response = world
            .http
            .post(format!("{}/graphql", world.base_url))
            .header("content-type", "application/json")
            .body(deep)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 400);
        is_fit(world).await;
    })
    .await;
}

#[tokio::test]
async fn the_cost_and_its_limit_are_told() {
    world(async |world| {
        let response = world.owner().gql("{ books(first: 10) { nodes { title } } }", json!({})).await;
        let cost = &response.body["extensions"]["cost"];
        assert_eq!((&cost["requested"], &cost["actual"], &cost["limit"]), (&json!(12), &json!(2), &json!(20_000)));
        let paged = "query($n: Int) { books(first: 100) { nodes { authors(first: $n) { nodes { name id } } } } }";
        assert_eq!(world.owner().gql(paged, json!({ "n": 5 })).await.code(), "");
        let dear = world.owner().gql(paged, json!({ "n": 100 })).await;
        dear.assert_refused(400, "QUERY_TOO_COMPLEX");
        assert_eq!(
            dear.body["errors"][0]["message"],
            Value::from("The operation may cost 20202; the limit is 20000. Ask for smaller pages.")
        );
    })
    .await;
}

#[tokio::test]
async fn control_characters_reach_no_statement() {
    world(async |world| {
        let (owner, admin) = (world.owner(), world.admin());
        let nul = "a\u{0}b";
        let cursor = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, "TITLE\u{1f}\u{0}\u{1f}book_01h455vb4pex5vsknk084sn02q");
        let query = "query($cursor: String) { books(after: $cursor, sort: { field: TITLE }) { nodes { id } } }";
        assert_eq!(owner.gql(query, json!({ "cursor": cursor })).await.code(), "BAD_REQUEST");
        let query = "query($text: String!) { books(search: $text) { totalCount } bookByIsbn(isbn: $text) { id }
            authors(filter: { nameContains: $text }) { totalCount } }";
        assert_eq!(owner.gql(query, json!({ "text": nul })).await.code(), "");
        let query = "mutation($text: String!) { bookCreate(input: { title: $text }) { book { title } }
            bookImport(input: { csv: $text }) { userErrors { code } } authorCreate(input: { name: $text }) { author { name } } }";
        assert_eq!(owner.gql(query, json!({ "text": nul })).await.code(), "");
        let query = "query($text: String!) { tenant(slug: $text) { id } }";
        assert_eq!(admin.data(query, json!({ "text": nul })).await["tenant"], Value::Null);
        let query = "mutation($text: String!) { tenantResume(slug: $text) { userErrors { code } }
            tenantSuspend(slug: $text, reason: $text) { userErrors { code } }
            tenantProvision(input: { slug: \"nul-shop\", name: $text, plan: $text, ownerEmail: \"a@b.c\" }) { userErrors { code } } }";
        let data = admin.data(query, json!({ "text": nul })).await;
        assert_eq!(data["tenantResume"]["userErrors"][0]["code"], "TENANT_NOT_FOUND");
        assert_eq!(data["tenantSuspend"]["userErrors"][0]["code"], "TENANT_NOT_FOUND");
        assert_eq!(data["tenantProvision"]["userErrors"][0]["code"], "PLAN_NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn strangers_cost_no_connection_and_who_may_not_write_costs_no_transaction() {
    world(async |world| {
        let query = "mutation { authorCreate(input: { name: \"X\" }) { author { id } } }";
        let stranger = world.stranger().with_header("x-tenant", world.a.slug.as_str());
        assert_eq!(stranger.gql(query, json!({})).await.code(), "UNAUTHENTICATED");
        assert_eq!(stranger.gql("{ books { totalCount } }", json!({})).await.code(), "UNAUTHENTICATED");
        assert_eq!(world.app.services.tenants.connections_created(), 0);
        let reader = world.user(&world.a, shelfwise::kernel::actor::Role::ReadOnly);
        let refused = reader.gql(query, json!({})).await;
        assert_eq!((refused.code(), refused.sql()), ("FORBIDDEN", (0, 0)));
        let large = json!({ "query": "{ __typename }", "variables": { "x": "y".repeat(70_000) } }).to_string();
        let send = |token: Option<&str>| {
            let request =
                world.http.post(format!("{}/graphql", world.base_url)).header("content-type", "application/json");
            let request = request.body(large.clone());
            match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            }
            .send()
        };
        assert_eq!(send(None).await.unwrap().status().as_u16(), 413);
        assert_eq!(send(Some("x.y.z")).await.unwrap().status().as_u16(), 401);
    })
    .await;
}
