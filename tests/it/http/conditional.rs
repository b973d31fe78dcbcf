//! A query by GET and by hash has an address: its answer has a tag, and is not sent to who has it.

use serde_json::json;
use shelfwise::kernel::actor::Role;

use super::documents::{QUERY, get_by_hash, register};
use crate::harness::{Client, GqlResponse, World, world};

/// Asks for the document by GET and by hash, having an answer already.
async fn having(world: &World, client: Client<'_>, tags: &str) -> GqlResponse {
    get_by_hash(world, &client.with_header("if-none-match", tags), QUERY).await
}

async fn add_book(client: &Client<'_>, title: &str) {
    let create = "mutation($t: String!) { bookCreate(input: { title: $t, authorIds: [] }) { userErrors { code } } }";
    let payload = client.data(create, json!({ "t": title })).await;
    assert_eq!(payload["bookCreate"]["userErrors"], json!([]));
}

#[tokio::test]
async fn an_answer_is_not_sent_again_while_it_is_the_same() {
    world(async |world| {
        let _ = register(&world.owner(), QUERY).await;
        let first = get_by_hash(world, &world.owner(), QUERY).await;
        let tag = first.headers["etag"].to_str().unwrap().to_owned();
        assert!(tag.starts_with("W/\"") && first.status == 200);
        assert_eq!(first.headers["cache-control"], "private, no-cache");
        let vary: Vec<&str> = first.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(["accept", "authorization", "x-tenant"].iter().all(|name| vary.contains(name)), "{vary:?}");

        for tags in [tag.as_str(), &tag[2..], &format!("\"other\", {tag}"), "*"] {
            let again = having(world, world.owner(), tags).await;
            assert_eq!((again.status, &again.body), (304, &json!("")), "{tags}");
            assert_eq!(
                (&again.headers["etag"], &again.headers["cache-control"]),
                (&first.headers["etag"], &first.headers["cache-control"])
            );
        }
        assert_eq!(having(world, world.owner(), "\"other\"").await.status, 200);
        // Another media type is another answer.
        let older = having(world, world.owner().with_header("accept", "application/json"), &tag).await;
        assert_eq!(older.status, 200);

        add_book(&world.owner(), "a Book").await;
        let changed = having(world, world.owner(), &tag).await;
        assert_eq!((changed.status, &changed["/books/totalCount"]), (200, &json!(1)));
        assert_ne!(changed.headers["etag"], first.headers["etag"]);
    })
    .await;
}

#[tokio::test]
async fn a_tag_opens_nothing() {
    world(async |world| {
        for owner in [world.owner(), world.other_owner()] {
            let _ = register(&owner, QUERY).await;
        }
        add_book(&world.owner(), "a Book").await;
        let tag = get_by_hash(world, &world.owner(), QUERY).await.headers["etag"].to_str().unwrap().to_owned();
        // Neither a stranger, nor another shop, which is answered by what it has itself.
        let stranger = world.stranger().with_header("x-tenant", world.a.slug.as_str());
        let refused = having(world, stranger, "*").await;
        assert_eq!((refused.status, refused.headers.get("etag")), (200, None), "{}", refused.body);
        assert_eq!(refused.code(), "UNAUTHENTICATED");
        let other = having(world, world.other_owner(), &tag).await;
        assert_eq!((other.status, &other["/books/totalCount"]), (200, &json!(0)));
        // A user of the same shop who sees the same has the same.
        let clerk = having(world, world.user(&world.a, Role::Clerk), &tag).await;
        assert_eq!(clerk.status, 304);
    })
    .await;
}

#[tokio::test]
async fn nothing_else_is_kept_by_anybody() {
    world(async |world| {
        let post = register(&world.owner(), QUERY).await;
        let mut request = world.owner().request("", json!({})).build().unwrap();
        *request.method_mut() = reqwest::Method::GET;
        *request.body_mut() = None;
        request.url_mut().query_pairs_mut().append_pair("query", QUERY);
        let by_text = GqlResponse::read(world.http.execute(request).await.unwrap()).await;
        for response in [post, by_text] {
            assert_eq!((response.status, response.headers.get("etag")), (200, None));
            assert_eq!(response.headers["cache-control"], "private, no-store");
        }
        // An answer with an error may be another the next moment.
        let wrong = "{ node(id: \"nonsense\") { id } }";
        let _ = register(&world.owner(), wrong).await;
        let failed = get_by_hash(world, &world.owner(), wrong).await;
        assert_eq!((failed.code(), failed.headers.get("etag")), ("BAD_REQUEST", None));
        assert_eq!(failed.headers["cache-control"], "private, no-store");
    })
    .await;
}
