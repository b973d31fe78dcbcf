//! GraphQL over HTTP: what is sent, what is accepted, what status comes back.

use reqwest::Method;
use serde_json::json;
use shelfwise::kernel::actor::Role;

use crate::harness::world::{user_claims, world_with};
use crate::harness::{GqlResponse, World, world};

const NEWER: &str = "application/graphql-response+json";
const OLDER: &str = "application/json";

/// Sends a body as it is.
async fn send(world: &World, method: Method, accept: &str, content_type: &str, body: &str) -> GqlResponse {
    let token = world.token(&user_claims(&world.a, Role::Owner));
    let request = world
        .http
        .request(method, format!("{}/graphql", world.base_url))
        .header("accept", accept)
        .header("content-type", content_type)
        .bearer_auth(token)
        .body(body.to_owned());
    GqlResponse::read(request.send().await.unwrap()).await
}

async fn post(world: &World, accept: &str, body: &str) -> GqlResponse {
    send(world, Method::POST, accept, "application/json", body).await
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_400_in_the_newer_media_type_and_200_in_the_older() {
    world(async |world| {
        for (body, code) in [
            (json!({ "query": "{" }), "BAD_REQUEST"),
            (json!({ "query": "{ nope }" }), "BAD_REQUEST"),
            // Nothing is deferred: decision 0005.
            (json!({ "query": "{ ... @defer { __typename } }" }), "BAD_REQUEST"),
            (json!({ "query": "{ books { nodes @stream { id } } }" }), "BAD_REQUEST"),
            (json!({ "query": "query A { __typename } query B { __typename }" }), "BAD_REQUEST"),
            (json!({ "query": "{ __typename }", "operationName": "X" }), "BAD_REQUEST"),
            (json!({ "query": "query($id: ID!) { book(id: $id) { id } }" }), "BAD_REQUEST"),
            (json!({ "query": "query($n: Int) { books(first: $n) { nodes { id } } }", "variables": { "n": "x" } }), "BAD_REQUEST"),
            (json!({ "query": "{ books(first: \"x\") { nodes { id } } }" }), "BAD_REQUEST"),
            (json!({ "query": format!("{{ books(first: 100) {{ nodes {{ {} }} }} }}", (0..300).map(|i| format!("a{i}: title ")).collect::<String>()) }), "QUERY_TOO_COMPLEX"),
            (json!({ "query": format!("{{ categories {{ nodes {{ {} id {} }} }} }}", "parent { ".repeat(20), "} ".repeat(20)) }), "QUERY_TOO_COMPLEX"),
        ] {
            let newer = post(world, NEWER, &body.to_string()).await;
            newer.assert_refused(400, code);
            let older = post(world, OLDER, &body.to_string()).await;
            assert_eq!((older.status, older.code()), (200, code), "{body}");
            assert_eq!(older.body.get("data"), None);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_4xx_in_both() {
    world(async |world| {
        for accept in [NEWER, OLDER] {
            for body in [
                "",
                "{",
                "null",
                "[]",
                "{}",
                "{\"query\": 1}",
                "{\"query\": \"\"}",
                "{\"query\": \"{ __typename }\", \"variables\": []}",
            ] {
                let response = post(world, accept, body).await;
                assert_eq!(response.code(), "BAD_REQUEST", "{body}");
                assert_eq!(response.status, 400, "{body}");
            }
            post(world, accept, "[{\"query\": \"{ __typename }\"}]").await.assert_refused(400, "BAD_REQUEST");
            post(world, accept, "{\"query\": \"\u{fffd}").await.assert_refused(400, "BAD_REQUEST");
        }
    })
    .await;
}

#[tokio::test]
async fn media_types_are_honoured() {
    world(async |world| {
        let body = json!({ "query": "{ __typename }" }).to_string();
        for (accept, content_type) in [
            (NEWER, "application/graphql-response+json; charset=utf-8"),
            (OLDER, "application/json; charset=utf-8"),
            ("*/*", "application/graphql-response+json; charset=utf-8"),
        ] {
            let response = post(world, accept, &body).await;
            assert_eq!((response.status, &response["/__typename"]), (200, &json!("Query")));
            assert_eq!(response.headers["content-type"], content_type);
            assert_eq!(response.headers["cache-control"], "private, no-store");
        }
        post(world, "text/html", &body).await.assert_refused(406, "NOT_ACCEPTABLE");
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=latin1",
            "application/graphql",
        ] {
            let response = send(world, Method::POST, NEWER, content_type, &body).await;
            response.assert_refused(415, "UNSUPPORTED_MEDIA_TYPE");
        }
    })
    .await;
}

#[tokio::test]
async fn get_is_for_queries() {
    world(async |world| {
        let token = world.token(&user_claims(&world.a, Role::Owner));
        let get = async |query: &str, rest: &[(&str, &str)]| {
            let mut url = reqwest::Url::parse(&format!("{}/graphql", world.base_url)).unwrap();
            url.query_pairs_mut().append_pair("query", query).extend_pairs(rest);
            let request = world.http.get(url).header("accept", NEWER).bearer_auth(&token);
            GqlResponse::read(request.send().await.unwrap()).await
        };
        let response = get(
            "query Q($n: Int) { books(first: $n) { totalCount } }",
            &[("variables", "{\"n\": 1}"), ("operationName", "Q")],
        )
        .await;
        assert_eq!((response.status, &response["/books/totalCount"]), (200, &json!(0)));
        let write = "mutation { authorCreate(input: { name: \"X\" }) { author { id } } }";
        let response = get(write, &[]).await;
        response.assert_refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(response.headers["allow"], "GET, POST");
        get("{ nope }", &[]).await.assert_refused(400, "BAD_REQUEST");
        get("{ __typename }", &[("variables", "x")]).await.assert_refused(400, "BAD_REQUEST");
        get("", &[]).await.assert_refused(400, "BAD_REQUEST");
        get(&"#".repeat(20_000), &[]).await.assert_refused(413, "PAYLOAD_TOO_LARGE");
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            send(world, method, NEWER, "application/json", "{}").await.assert_refused(405, "METHOD_NOT_ALLOWED");
        }
        assert_eq!(world.owner().data("{ authors { totalCount } }", json!({})).await["authors"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_large_body_is_refused_announced_or_not() {
    world_with(&[("BODY_BYTES_MAX", "2000")], async |world| {
        let large = json!({ "query": format!("{{ __typename }} #{}", "x".repeat(3000)) }).to_string();
        post(world, NEWER, &large).await.assert_refused(413, "PAYLOAD_TOO_LARGE");
        let chunks = futures_util::stream::iter(
            large.into_bytes().chunks(500).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>(),
        );
        let request = world
            .http
            .post(format!("{}/graphql", world.base_url))
            .header("accept", NEWER)
            .header("content-type", "application/json")
            .body(reqwest::Body::wrap_stream(chunks));
        GqlResponse::read(request.send().await.unwrap()).await.assert_refused(413, "PAYLOAD_TOO_LARGE");
    })
    .await;
}

#[tokio::test]
async fn an_operation_past_its_deadline_is_stopped_and_the_connection_is_fit() {
    world_with(&[("REQUEST_TIMEOUT_MS", "300"), ("DB_POOL_MAX", "1")], async |world| {
        let psql = crate::harness::cluster::psql().await;
        // Whoever wants to read the books waits for this lock.
        psql.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{}".books IN ACCESS EXCLUSIVE MODE"#, world.a.schema))
            .await
            .unwrap();
        world.owner().gql("{ books { totalCount } }", json!({})).await.assert_refused(504, "TIMEOUT");
        psql.batch_execute("ROLLBACK").await.unwrap();
        world.assert_nothing_borrowed().await;
        let response = world.owner().gql("{ books { totalCount } }", json!({})).await;
        assert_eq!(response["/books/totalCount"], json!(0), "{}", response.body);
    })
    .await;
}

#[tokio::test]
async fn without_a_free_connection_the_answer_is_503_and_soon() {
    world_with(&[("DB_POOL_MAX", "1"), ("DB_CHECKOUT_TIMEOUT_MS", "100")], async |world| {
        let session = world.app.services.tenants.session(std::sync::Arc::clone(&world.a));
        let held = session.read().await.unwrap();
        let response = world.owner().gql("{ books { totalCount } }", json!({})).await;
        response.assert_refused(503, "SERVICE_UNAVAILABLE");
        assert!(!response.body.to_string().contains("connection"), "no internals: {}", response.body);
        drop(held);
        session.finish().await;
        assert_eq!(world.owner().gql("{ books { totalCount } }", json!({})).await.code(), "");
    })
    .await;
}

#[tokio::test]
async fn a_request_id_is_taken_over_if_plain_and_answered() {
    world(async |world| {
        let ask = async |id: &str| {
            let response = world.owner().with_header("x-request-id", id).gql("{ nope }", json!({})).await;
            let header = response.headers["x-request-id"].to_str().unwrap().to_owned();
            assert_eq!(response.body["errors"][0]["extensions"]["requestId"], json!(header));
            header
        };
        assert_eq!(ask("abc-123.X_y").await, "abc-123.X_y");
        assert_ne!(ask("a b; c").await, "a b; c");
        assert_ne!(ask(&"x".repeat(65)).await, "x".repeat(65));
    })
    .await;
}

#[tokio::test]
async fn pages_of_named_origins_may_call_and_others_may_not() {
    world_with(&[("CORS_ORIGINS", "https://shop.example, http://localhost:3000")], async |world| {
        let preflight = async |origin: &str| {
            let request = world
                .http
                .request(Method::OPTIONS, format!("{}/graphql", world.base_url))
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type,x-tenant");
            let headers = request.send().await.unwrap().headers().clone();
            let allowed = headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(headers.get("access-control-allow-credentials"), None);
            allowed
        };
        assert_eq!(preflight("https://shop.example").await.as_deref(), Some("https://shop.example"));
        assert_eq!(preflight("http://localhost:3000").await.as_deref(), Some("http://localhost:3000"));
        assert_eq!(preflight("https://evil.example").await, None);
        assert_eq!(preflight("null").await, None);
        let called = world.owner().with_header("origin", "https://shop.example").gql("{ __typename }", json!({})).await;
        assert_eq!(called.headers["access-control-allow-origin"], "https://shop.example");
        for (name, value) in
            [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("referrer-policy", "no-referrer")]
        {
            assert_eq!(called.headers[name], value);
        }
    })
    .await;
}
