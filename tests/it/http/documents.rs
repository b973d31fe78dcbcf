//! Documents by their hash: automatic persisted queries.

use reqwest::Method;
use serde_json::{Value, json};
use shelfwise::tenant::documents::service::document_hash;

use crate::harness::{Client, GqlResponse, World, world};

pub const QUERY: &str = "{ books { totalCount } }";

/// The part of a request that names a document by its hash.
pub fn named(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

/// Sends a body in place of the client's own.
pub async fn post(client: &Client<'_>, body: Value) -> GqlResponse {
    GqlResponse::read(client.request("", json!({})).json(&body).send().await.unwrap()).await
}

/// Sends the hash of a document and no text.
pub async fn by_hash(client: &Client<'_>, document: &str) -> GqlResponse {
    post(client, json!({ "extensions": named(&document_hash(document)) })).await
}

/// Sends a document with its hash, so that the hash will do from now on.
pub async fn register(client: &Client<'_>, document: &str) -> GqlResponse {
    post(client, json!({ "query": document, "extensions": named(&document_hash(document)) })).await
}

/// Sends the hash of a document in a query string.
pub async fn get_by_hash(world: &World, client: &Client<'_>, document: &str) -> GqlResponse {
    let mut request = client.request("", json!({})).build().unwrap();
    *request.method_mut() = Method::GET;
    *request.body_mut() = None;
    let extensions = named(&document_hash(document)).to_string();
    request.url_mut().query_pairs_mut().append_pair("extensions", &extensions);
    GqlResponse::read(world.http.execute(request).await.unwrap()).await
}

/// Checks that a hash names nothing, in the words that clients look for.
#[track_caller]
pub fn assert_unknown(response: &GqlResponse) {
    response.assert_refused(400, "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(response.body["errors"][0]["message"], "PersistedQueryNotFound");
}

#[tokio::test]
async fn a_hash_that_nobody_has_sent_a_text_for_is_unknown() {
    world(async |world| {
        assert_unknown(&by_hash(&world.owner(), QUERY).await);
        assert_unknown(&get_by_hash(world, &world.owner(), QUERY).await);
        let older = by_hash(&world.owner().with_header("accept", "application/json"), QUERY).await;
        assert_eq!((older.status, older.code()), (200, "PERSISTED_QUERY_NOT_FOUND"));
        assert_eq!(older.body["errors"][0]["message"], "PersistedQueryNotFound");
        assert_eq!(older.body.get("data"), None);
        // A text without its hash is served and not kept.
        world.owner().data(QUERY, json!({})).await;
        assert_unknown(&by_hash(&world.owner(), QUERY).await);
    })
    .await;
}

#[tokio::test]
async fn a_text_is_kept_under_its_own_hash_alone() {
    world(async |world| {
        let owner = world.owner();
        let other = "{ authors { totalCount } }";
        let lie = json!({ "query": QUERY, "extensions": named(&document_hash(other)) });
        post(&owner, lie).await.assert_refused(400, "BAD_REQUEST");
        for document in [QUERY, other] {
            assert_unknown(&by_hash(&owner, document).await);
        }

        assert_eq!(register(&owner, QUERY).await["/books/totalCount"], json!(0));
        for response in [by_hash(&owner, QUERY).await, get_by_hash(world, &owner, QUERY).await] {
            assert_eq!((response.status, &response["/books/totalCount"]), (200, &json!(0)), "{}", response.body);
        }
        let uppercase = document_hash(QUERY).to_uppercase();
        let response = post(&owner, json!({ "query": null, "extensions": named(&uppercase) })).await;
        assert_eq!((response.status, response.code()), (200, ""));
        assert_unknown(&by_hash(&owner, other).await);
    })
    .await;
}

#[tokio::test]
async fn variables_and_the_operations_name_go_with_a_hash() {
    world(async |world| {
        let owner = world.owner();
        let document = "query A { __typename } query B($n: Int!) { books(first: $n) { nodes { id } totalCount } }";
        let body = |with_text: bool| {
            let mut body = json!({ "operationName": "B", "variables": { "n": 1 },
                "extensions": named(&document_hash(document)) });
            if with_text {
                body["query"] = document.into();
            }
            body
        };
        for with_text in [true, false] {
            let response = post(&owner, body(with_text)).await;
            assert_eq!((response.status, &response["/books/totalCount"]), (200, &json!(0)), "{}", response.body);
        }
        let mut lacking = body(false);
        lacking["variables"] = json!({});
        post(&owner, lacking).await.assert_refused(400, "BAD_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn a_hash_is_known_in_the_shop_that_keeps_it_and_nowhere_else() {
    world(async |world| {
        let document = "{ __typename }";
        assert_eq!(register(&world.owner(), document).await.code(), "");
        assert_unknown(&by_hash(&world.other_owner(), document).await);
        assert_unknown(&by_hash(&world.stranger(), document).await);
        assert_unknown(&get_by_hash(world, &world.stranger(), document).await);
        let elsewhere = world.stranger().with_header("x-tenant", world.b.slug.as_str());
        assert_unknown(&by_hash(&elsewhere, document).await);
        // Without a shop there is nowhere to keep a text: it is served, and its hash stays unknown.
        assert_eq!(register(&world.stranger(), document).await["/__typename"], json!("Query"));
        assert_unknown(&by_hash(&world.stranger(), document).await);

        let inside = world.stranger().with_header("x-tenant", world.a.slug.as_str());
        assert_eq!(by_hash(&inside, document).await["/__typename"], json!("Query"));
        assert_eq!(register(&world.owner(), QUERY).await.code(), "");
        assert_eq!(by_hash(&inside, QUERY).await.code(), "UNAUTHENTICATED", "a hash is no credential");
    })
    .await;
}

#[tokio::test]
async fn a_document_that_is_refused_is_not_kept() {
    world(async |world| {
        let owner = world.owner();
        let doubling = (0..26).map(|index| {
            let next = index + 1;
            format!("fragment F{index} on Query {{ ...F{next} ...F{next} }} ")
        });
        let bomb = format!("{{ ...F0 }} {} fragment F26 on Query {{ __typename }}", doubling.collect::<String>());
        let dear = "{ books(first: 100) { nodes { authors(first: 100) { nodes { name id } } } } }".to_owned();
        for document in [bomb, dear] {
            register(&owner, &document).await.assert_refused(400, "QUERY_TOO_COMPLEX");
            assert_unknown(&by_hash(&owner, &document).await);
        }
    })
    .await;
}

#[tokio::test]
async fn other_versions_and_what_is_no_hash_are_refused() {
    world(async |world| {
        let owner = world.owner();
        for version in [0, 2] {
            let mut extensions = named(&document_hash(QUERY));
            extensions["persistedQuery"]["version"] = version.into();
            for body in [json!({ "extensions": extensions }), json!({ "query": QUERY, "extensions": extensions })] {
                post(&owner, body).await.assert_refused(400, "BAD_REQUEST");
            }
        }
        let hash = document_hash(QUERY);
        for wrong in ["\u{0}", "", "abc", &hash[1..], &format!("{hash}0"), &"g".repeat(64), &"é".repeat(32)] {
            post(&owner, json!({ "extensions": named(wrong) })).await.assert_refused(400, "BAD_REQUEST");
        }
        for extensions in [json!(1), json!({ "persistedQuery": {} }), json!({ "persistedQuery": { "version": 1 } })] {
            post(&owner, json!({ "query": QUERY, "extensions": extensions })).await.assert_refused(400, "BAD_REQUEST");
        }
        for extensions in [json!(null), json!({}), json!({ "tracing": true }), json!({ "persistedQuery": null })] {
            let response = post(&owner, json!({ "query": QUERY, "extensions": extensions })).await;
            assert_eq!((response.status, response.code()), (200, ""), "{extensions}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_mutation_is_not_sent_by_get_under_its_hash_either() {
    world(async |world| {
        let owner = world.owner();
        let document = "mutation { authorCreate(input: { name: \"X\" }) { userErrors { code } } }";
        assert_eq!(register(&owner, document).await["/authorCreate/userErrors"], json!([]));
        get_by_hash(world, &owner, document).await.assert_refused(405, "METHOD_NOT_ALLOWED");
        // By POST it is executed: the name is taken by now.
        let again = by_hash(&owner, document).await;
        assert_eq!(again["/authorCreate/userErrors/0/code"], json!("AUTHOR_NAME_TAKEN"), "{}", again.body);
    })
    .await;
}
