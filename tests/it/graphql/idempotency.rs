//! Requests that come again.

use futures_util::future::join_all;
use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::tenant::TenantCtx;

use super::shelf::codes;
use crate::harness::cluster::psql;
use crate::harness::{Client, GqlResponse, world};

const CREATE: &str = "mutation($key: IdempotencyKey, $title: String!, $isbn: String) {
    bookCreate(idempotencyKey: $key, input: { title: $title, authorIds: [], isbn: $isbn }) {
        book { id title } userErrors { code message path } } }";

async fn create(client: &Client<'_>, key: &str, title: &str) -> GqlResponse {
    client.gql(CREATE, json!({ "key": key, "title": title })).await
}

async fn book_count(shop: &TenantCtx) -> i64 {
    psql().await.query_one(&format!(r#"SELECT count(*) FROM "{}".books"#, shop.schema), &[]).await.unwrap().get(0)
}

fn replayed(response: &GqlResponse) -> &Value {
    &response.body["extensions"]["idempotency"]["replayed"]
}

#[tokio::test]
async fn a_repeated_request_answers_as_the_first_did_and_changes_nothing() {
    world(async |world| {
        let owner = world.owner();

        let first = create(&owner, "k-1", "Emma").await;
        let second = create(&owner, "k-1", "Emma").await;

        assert_eq!(first["/bookCreate/userErrors"], json!([]));
        assert_eq!(first.body["data"], second.body["data"]);
        assert_eq!(replayed(&first), &Value::Null);
        assert_eq!(replayed(&second), &json!(["bookCreate"]));
        assert_eq!(book_count(&world.a).await, 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_selected_is_read_as_it_is_now() {
    world(async |world| {
        let owner = world.owner();
        let first = create(&owner, "k-1", "Emma").await;
        let id = first["/bookCreate/book/id"].clone();
        let rename = "mutation($id: ID!) { bookUpdate(id: $id, version: 1, input: { title: \"Emma, a novel\" }) {
            userErrors { code } } }";
        assert_eq!(codes(&owner.data(rename, json!({ "id": id })).await["bookUpdate"]), Vec::<&str>::new());

        let again = create(&owner, "k-1", "Emma").await;

        assert_eq!(again["/bookCreate/book"], json!({ "id": id, "title": "Emma, a novel" }));
    })
    .await;
}

#[tokio::test]
async fn the_same_key_for_another_request_is_refused() {
    world(async |world| {
        let owner = world.owner();
        let _ = create(&owner, "k-1", "Emma").await;

        let other = create(&owner, "k-1", "Persuasion").await;

        assert_eq!(other.code(), "IDEMPOTENCY_CONFLICT", "{}", other.body);
        assert_eq!(book_count(&world.a).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_remembered_and_undone() {
    world(async |world| {
        let owner = world.owner();
        let emma = json!({ "key": "k-1", "title": "Emma", "isbn": "9780306406157" });
        assert_eq!(owner.gql(CREATE, emma).await["/bookCreate/userErrors"], json!([]));
        let taken = json!({ "key": "k-2", "title": "Another", "isbn": "9780306406157" });
        let first = owner.gql(CREATE, taken.clone()).await;
        assert_eq!(codes(&first["/bookCreate"]), ["ISBN_TAKEN"]);
        let psql = psql().await;
        psql.batch_execute(&format!(r#"UPDATE "{}".books SET isbn13 = NULL"#, world.a.schema)).await.unwrap();

        let second = owner.gql(CREATE, taken).await;

        assert_eq!(second.body["data"], first.body["data"]);
        assert_eq!(replayed(&second), &json!(["bookCreate"]));
        assert_eq!(book_count(&world.a).await, 1);
    })
    .await;
}

#[tokio::test]
async fn while_the_first_is_running_the_second_is_told_so() {
    world(async |world| {
        let owner = world.owner();
        let mut psql = psql().await;
        let blocker = psql.transaction().await.unwrap();
        blocker.batch_execute(&format!(r#"LOCK TABLE "{}".books IN SHARE MODE"#, world.a.schema)).await.unwrap();
        let first = create(&owner, "k-1", "Emma");
        let beside = async {
            // The first waits for the table once its key is taken.
            wait_until_blocked(&world.a).await;
            let second = create(&owner, "k-1", "Emma").await;
            blocker.rollback().await.unwrap();
            second
        };

        let (first, second) = tokio::join!(first, beside);

        assert_eq!(second.code(), "IDEMPOTENCY_IN_PROGRESS", "{}", second.body);
        assert_eq!(first["/bookCreate/userErrors"], json!([]));
        assert_eq!(create(&owner, "k-1", "Emma").await.body["data"], first.body["data"]);
        assert_eq!(book_count(&world.a).await, 1);
    })
    .await;
}

/// Waits until a statement on a shop's books waits for a lock.
async fn wait_until_blocked(shop: &TenantCtx) {
    let psql = psql().await;
    let query = format!(
        r#"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '"{}".books'::regclass"#,
        shop.schema
    );
    while psql.query_one(&query, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_at_once_make_one() {
    world(async |world| {
        let owner = world.owner();

        let answers = join_all((0..20).map(|_| create(&owner, "k-1", "Emma"))).await;

        let done: Vec<&GqlResponse> = answers.iter().filter(|answer| answer.body.get("errors").is_none()).collect();
        assert!(!done.is_empty());
        assert!(done.iter().all(|answer| answer.body["data"] == done[0].body["data"]));
        let told = |answer: &&GqlResponse| answer.code() == "IDEMPOTENCY_IN_PROGRESS";
        assert_eq!(answers.iter().filter(told).count() + done.len(), 20);
        assert_eq!(book_count(&world.a).await, 1);
    })
    .await;
}

#[tokio::test]
async fn many_at_once_are_refused_as_one() {
    world(async |world| {
        let owner = world.owner();
        let taken = |key: &str, title: &str| json!({ "key": key, "title": title, "isbn": "9780306406157" });
        let _ = owner.gql(CREATE, taken("k-0", "Emma")).await;

        let answers = join_all((0..20).map(|_| owner.gql(CREATE, taken("k-1", "Another")))).await;

        let refused: Vec<&GqlResponse> = answers.iter().filter(|answer| answer.code().is_empty()).collect();
        assert!(refused.iter().all(|answer| codes(&answer["/bookCreate"]) == ["ISBN_TAKEN"]));
        assert_eq!(refused.iter().filter(|answer| replayed(answer).is_null()).count(), 1, "it was run once");
        let told = answers.iter().filter(|answer| answer.code() == "IDEMPOTENCY_IN_PROGRESS").count();
        assert_eq!(told + refused.len(), 20);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_that_quotes_what_no_table_takes_is_remembered_too() {
    world(async |world| {
        let query = "mutation($key: IdempotencyKey, $language: String!) {
            bookCreate(idempotencyKey: $key, input: { title: \"Emma\", authorIds: [], language: $language }) {
                book { id } userErrors { code message } } }";
        let variables = json!({ "key": "k-1", "language": "x\u{0}" });
        for _ in 0..2 {
            let response = world.owner().gql(query, variables.clone()).await;
            assert_eq!(codes(&response["/bookCreate"]), ["LANGUAGE_INVALID"], "{}", response.body);
        }
    })
    .await;
}

#[tokio::test]
async fn a_reason_that_is_of_the_moment_is_not_remembered() {
    world(async |world| {
        let manager = world.user(&world.a, Role::Manager).with_header("idempotency-key", "k-1");
        let owner_role = "{ roles { id name } }";
        let roles = world.owner().data(owner_role, json!({})).await["roles"].clone();
        let owner = roles.as_array().unwrap().iter().find(|role| role["name"] == "Owner").unwrap()["id"].clone();
        let invite =
            "mutation($role: ID!) { userInvite(input: { email: \"x@y.example\", name: \"X\", roleIds: [$role] }) {
            user { id } userErrors { code } } }";
        for _ in 0..2 {
            let response = manager.gql(invite, json!({ "role": owner })).await;
            assert_eq!(codes(&response["/userInvite"]), ["PERMISSIONS_EXCEEDED"]);
            assert_eq!(replayed(&response), &Value::Null);
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_whose_transaction_broke_is_free_again() {
    world(async |world| {
        let owner = world.owner();
        let mut psql = psql().await;
        let blocker = psql.transaction().await.unwrap();
        blocker.batch_execute(&format!(r#"LOCK TABLE "{}".books IN SHARE MODE"#, world.a.schema)).await.unwrap();
        let first = create(&owner, "k-1", "Emma");
        let cut = async {
            wait_until_blocked(&world.a).await;
            let query = format!(
                r#"SELECT pg_terminate_backend(pid) FROM pg_locks
                   WHERE NOT granted AND relation = '"{}".books'::regclass"#,
                world.a.schema
            );
            blocker.query_one(&query, &[]).await.unwrap();
            blocker.rollback().await.unwrap();
        };
        let (first, ()) = tokio::join!(first, cut);
        assert_eq!(first.code(), "SERVICE_UNAVAILABLE", "{}", first.body);
        assert_eq!(book_count(&world.a).await, 0);

        let second = create(&owner, "k-1", "Emma").await;

        assert_eq!(second["/bookCreate/userErrors"], json!([]));
        assert_eq!(replayed(&second), &Value::Null);
        assert_eq!(book_count(&world.a).await, 1);
    })
    .await;
}

const TWO: &str = "mutation($one: String!) {
    one: authorCreate(input: { name: $one }) { author { id } userErrors { code } }
    two: authorCreate(input: { name: \"Anne\" }) { author { id } userErrors { code } } }";

#[tokio::test]
async fn a_header_is_the_key_of_all_mutations_of_its_request() {
    world(async |world| {
        let owner = world.owner().with_header("idempotency-key", "\"k-1\"");

        let first = owner.gql(TWO, json!({ "one": "Jane" })).await;
        let second = owner.gql(TWO, json!({ "one": "Jane" })).await;
        let other = owner.gql(TWO, json!({ "one": "Charlotte" })).await;

        assert_eq!(first["/two/userErrors"], json!([]));
        assert_eq!(first.body["data"], second.body["data"]);
        assert_eq!(replayed(&second), &json!(["one", "two"]));
        assert_eq!(other.code(), "IDEMPOTENCY_CONFLICT", "{}", other.body);
    })
    .await;
}

#[tokio::test]
async fn a_key_is_its_users_own() {
    world(async |world| {
        let first = create(&world.owner(), "k-1", "Emma").await;

        let clerk = create(&world.user(&world.a, Role::Clerk), "k-1", "Persuasion").await;

        assert_eq!((clerk.code(), replayed(&clerk)), ("", &Value::Null), "{}", clerk.body);
        assert_ne!(clerk["/bookCreate/book/id"], first["/bookCreate/book/id"]);
        assert_eq!(book_count(&world.a).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_has_expired_is_a_new_one() {
    world(async |world| {
        let owner = world.owner();
        let _ = create(&owner, "k-1", "Emma").await;
        let expire = format!(r#"UPDATE "{}".idempotency_keys SET expires_at = now()"#, world.a.schema);
        psql().await.batch_execute(&expire).await.unwrap();

        let other = create(&owner, "k-1", "Persuasion").await;

        assert_eq!(other["/bookCreate/book/title"], "Persuasion", "{}", other.body);
        assert_eq!(replayed(&create(&owner, "k-1", "Persuasion").await), &json!(["bookCreate"]));
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_is_shown_no_secret() {
    world(async |world| {
        let owner = world.owner().with_header("idempotency-key", "k-1");
        let make = "mutation { apiKeyCreate(input: { name: \"Till\", permissions: [CATALOG_READ] }) {
            apiKey { id } secret userErrors { code } } }";

        let first = owner.data(make, json!({})).await["apiKeyCreate"].clone();
        let second = owner.data(make, json!({})).await["apiKeyCreate"].clone();

        assert!(first["secret"].is_string());
        assert_eq!(second, json!({ "apiKey": first["apiKey"], "secret": null, "userErrors": [] }));
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_no_key_is_refused_before_anything_is_done() {
    world(async |world| {
        for key in [String::new(), "ü".to_owned(), "x".repeat(256)] {
            let response = create(&world.owner(), &key, "Emma").await;
            assert_eq!(response.code(), "BAD_REQUEST", "{}", response.body);
        }
        let header = world.owner().with_header("idempotency-key", &"x".repeat(256));
        header.gql(TWO, json!({ "one": "Jane" })).await.assert_refused(400, "BAD_REQUEST");
        assert_eq!(book_count(&world.a).await, 0);
    })
    .await;
}
