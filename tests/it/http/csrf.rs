//! What a page of another origin could have a browser send unasked is not answered.

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;
use shelfwise::kernel::actor::Role;
use shelfwise::tenant::documents::service::document_hash;

use crate::harness::world::{admin_claims, user_claims};
use crate::harness::{GqlResponse, World, world};

const QUERY: &str = "{ __typename }";

/// Sends a GET with no header but these.
async fn get(world: &World, path: &str, pairs: &[(&str, &str)], headers: &[(&'static str, &str)]) -> GqlResponse {
    let mut url = reqwest::Url::parse(&format!("{}{path}", world.base_url)).unwrap();
    url.query_pairs_mut().extend_pairs(pairs);
    let mut request = world.http.get(url).header("accept", "application/graphql-response+json");
    for (name, value) in headers {
        request = request.header(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    GqlResponse::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_get_that_a_browser_sends_unasked_is_refused() {
    world(async |world| {
        let hash = document_hash(QUERY);
        let by_hash = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } }).to_string();
        for path in ["/graphql", "/admin/graphql"] {
            for pairs in [&[("query", QUERY)][..], &[("extensions", &by_hash)], &[]] {
                // The headers that a page may set, or that the browser sets itself, make nobody ask first.
                for headers in [
                    &[][..],
                    &[("content-type", "text/plain")],
                    &[("content-type", "application/x-www-form-urlencoded")],
                    &[("content-type", "multipart/form-data; boundary=x")],
                    &[("accept-language", "en"), ("origin", "https://evil.example"), ("cookie", "session=1")],
                ] {
                    let response = get(world, path, pairs, headers).await;
                    response.assert_refused(400, "BAD_REQUEST");
                    let message = response.body["errors"][0]["message"].as_str().unwrap();
                    assert!(message.contains("GraphQL-Require-Preflight"), "{path} {headers:?}: {message}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_get_that_a_browser_asks_about_first_is_answered() {
    world(async |world| {
        let owner = format!("Bearer {}", world.token(&user_claims(&world.a, Role::Owner)));
        let admin = format!("Bearer {}", world.token(&admin_claims()));
        for (path, token) in [("/graphql", &owner), ("/admin/graphql", &admin)] {
            for header in [
                ("authorization", token.as_str()),
                ("x-tenant", world.a.slug.as_str()),
                ("graphql-require-preflight", "1"),
                ("content-type", "application/json"),
            ] {
                let response = get(world, path, &[("query", QUERY)], &[header]).await;
                assert_eq!((response.status, response.code()), (200, ""), "{path} {}: {}", header.0, response.body);
                assert!(response["/__typename"].is_string());
            }
        }
    })
    .await;
}
