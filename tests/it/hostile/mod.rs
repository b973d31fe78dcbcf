//! Requests that are meant to hurt: each is refused with little processor time, and leaves the server fit.

use std::time::Duration;

use serde_json::{Value, json};
use shelfwise::graphql::guard;

use crate::harness::{World, world};

/// Processor time that refusing one document may take in a build without optimisations; a fiftieth of a second with.
const BUDGET: Duration = Duration::from_millis(500);

/// A chain of fragments, each of which spreads the next so many times.
fn chain(links: usize, spreads: usize) -> String {
    let link =
        |index: usize| format!("fragment F{index} on Query {{ {} }} ", format!("...F{} ", index + 1).repeat(spreads));
    let links_text: String = (0..links).map(link).collect();
    format!("{{ ...F0 }} {links_text} fragment F{links} on Query {{ __typename }}")
}

/// The corpus: what each attack is called, its document, and the code that refuses it.
fn corpus() -> Vec<(&'static str, String, &'static str)> {
    let fields = |count: usize, field: &str| (0..count).map(|index| format!("a{index}: {field} ")).collect::<String>();
    vec![
        ("fragments that double", chain(26, 2), "QUERY_TOO_COMPLEX"),
        ("fragments that double, long", chain(190, 2), "QUERY_TOO_COMPLEX"),
        ("fragments with many spreads", chain(6, 24), "QUERY_TOO_COMPLEX"),
        ("a chain of fragments", chain(3_000, 1), "QUERY_TOO_COMPLEX"),
        (
            "fragments in a circle",
            "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".to_owned(),
            "BAD_REQUEST",
        ),
        ("a fragment in itself", "{ ...A } fragment A on Query { node(id: 1) { ...A } }".to_owned(), "BAD_REQUEST"),
        ("a flood of __typename", format!("{{ {} }}", fields(20_000, "__typename")), "QUERY_TOO_COMPLEX"),
        ("a flood of aliases", format!("{{ books {{ nodes {{ {} }} }} }}", fields(501, "title")), "QUERY_TOO_COMPLEX"),
        ("roots without end", format!("{{ {} }}", fields(31, "books { totalCount }")), "QUERY_TOO_COMPLEX"),
        (
            "mutations without end",
            format!("mutation {{ {} }}", fields(6, "authorArchive(id: 1) { author { id } }")),
            "QUERY_TOO_COMPLEX",
        ),
        ("directives", format!("{{ __typename {} }}", "@skip(if: false) ".repeat(5_000)), "QUERY_TOO_COMPLEX"),
        ("braces", "{ a ".repeat(20_000), "QUERY_TOO_COMPLEX"),
        ("brackets", format!("{{ a(b: {}) }}", "[".repeat(40_000)), "QUERY_TOO_COMPLEX"),
        ("objects", format!("{{ a(b: {}) }}", "{c: ".repeat(30_000)), "QUERY_TOO_COMPLEX"),
        ("parentheses", format!("query {}", "(".repeat(40_000)), "QUERY_TOO_COMPLEX"),
        ("a long list", format!("{{ a(b: [{}]) }}", "1,".repeat(60_000)), "QUERY_TOO_COMPLEX"),
        ("a list of numbers without spaces", format!("{{ a(b: [{}]) }}", "0".repeat(20_000)), "QUERY_TOO_COMPLEX"),
        ("a long name", format!("{{ {} }}", "a".repeat(100_000)), "BAD_REQUEST"),
        ("a long comment", format!("#{}\n{{ nope }}", "x".repeat(100_000)), "BAD_REQUEST"),
        ("an endless text", format!("{{ book(id: \"{}", "\\\"".repeat(50_000)), "BAD_REQUEST"),
        ("blocks of text", format!("{{ book(id: {}) {{ id }} }}", r#""""\""" "#.repeat(2_000)), "BAD_REQUEST"),
        ("brackets that seem to be text", format!("{{ a(b: [\"\"\"\" {} }}", "[".repeat(50_000)), "BAD_REQUEST"),
        (
            "nesting that seems to be text",
            format!("{{ a(b: [\"\"\"\" {}{}]) }}", "[".repeat(3_000), "]".repeat(3_000)),
            "BAD_REQUEST",
        ),
        ("blocks that are opened anew", format!("{{ a(b: [{}]) }}", r#""\\""""" "#.repeat(14_000)), "BAD_REQUEST"),
        (
            "more than the document's bytes",
            format!("{{ __typename {} }}", " ".repeat(guard::DOCUMENT_BYTES_MAX)),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "pages of pages",
            "{ books(first: 100) { nodes { authors(first: 100) { nodes { name id } } } } }".to_owned(),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "lists of lists",
            format!("{{ categories {{ nodes {{ {} name {} }} }} }}", "children { ".repeat(6), "} ".repeat(6)),
            "QUERY_TOO_COMPLEX",
        ),
        ("controls", "{ \u{0}\u{1}\u{7f} }".to_owned(), "BAD_REQUEST"),
    ]
}

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
        for (name, document, code) in corpus() {
            let response = world.owner().gql(&document, json!({})).await;
            assert_eq!(
                response.code(),
                code,
                "{name}: {}",
                response.body.to_string().chars().take(300).collect::<String>()
            );
            assert_eq!(response.status, 400, "{name}");
        }
        is_fit(world).await;
    })
    .await;
}

/// Tests run side by side in one process, so its clock shows more than the guard; the budget is for ten refusals.
#[test]
fn refusing_takes_time_in_proportion_to_the_bytes() {
    for (name, document, _) in corpus() {
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
        assert_eq!(response.body["extensions"]["cost"], json!({ "requested": 12, "limit": 20_000 }));
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
