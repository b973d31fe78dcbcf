//! `apiKey`, `apiKeys`, `apiKeyCreate`, `apiKeyRotate`, `apiKeyRevoke`

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::{becomes, forged, holder, joined};
use crate::graphql_helpers::codes;
use crate::harness::cluster::{held_up, psql};
use crate::harness::world::user_id;
use crate::harness::{Client, World, world};

const READ: &str = "{ books { totalCount } }";
const WRITE: &str = "mutation { authorCreate(input: { name: \"Ann\" }) { author { id } userErrors { code } } }";

async fn create(client: &Client<'_>, permissions: &[&str], expires_at: Option<&str>) -> Value {
    let query = "mutation($permissions: [Permission!]!, $expiresAt: DateTime) {
        apiKeyCreate(input: { name: \"Till\", permissions: $permissions, expiresAt: $expiresAt }) {
            apiKey { id name permissions lastUsedAt user { id } } secret userErrors { code path } } }";
    client.data(query, json!({ "permissions": permissions, "expiresAt": expires_at })).await["apiKeyCreate"].clone()
}

fn program<'a>(world: &'a World, payload: &Value) -> Client<'a> {
    world.stranger().with_token(payload["secret"].as_str().unwrap_or_else(|| panic!("{payload}")))
}

#[tokio::test]
async fn a_key_does_what_it_lists_and_its_secret_is_nowhere() {
    world(async |world| {
        let payload = create(&world.owner(), &["CATALOG_READ"], None).await;
        let secret = payload["secret"].as_str().unwrap();
        assert!(secret.starts_with(&format!("sw_{}_", world.a.slug)), "{secret}");
        assert_eq!(payload["apiKey"]["user"]["id"], user_id(&world.a, Role::Owner).to_string());
        let till = program(world, &payload);
        assert_eq!(till.gql(READ, json!({})).await.code(), "");
        assert_eq!(till.gql(WRITE, json!({})).await.code(), "FORBIDDEN");
        let viewer = till.data("{ viewer { permissions roles { name } } }", json!({})).await;
        assert_eq!(viewer["viewer"], json!({ "permissions": ["CATALOG_READ"], "roles": [{ "name": "Owner" }] }));

        let used = world.owner().data("{ apiKeys { lastUsedAt } }", json!({})).await;
        assert!(used["apiKeys"][0]["lastUsedAt"].is_string(), "{used}");
        let row: String = psql()
            .await
            .query_one(&format!(r#"SELECT k::text FROM "{}".api_keys k"#, world.a.schema), &[])
            .await
            .unwrap()
            .get(0);
        assert!(!row.contains(&secret[secret.len() - 20..]), "{row}");
    })
    .await;
}

#[tokio::test]
async fn a_key_never_may_more_than_its_maker() {
    world(async |world| {
        let query = "mutation { roleCreate(input: { name: \"Keys\", permissions: [API_KEYS_WRITE, CATALOG_READ] }) { role { id } } }";
        world.owner().data(query, json!({})).await;
        let session = joined(world, "ann@acme.example", "Keys").await;
        let ann = holder(world, &session);
        assert_eq!(codes(&create(&ann, &["CATALOG_WRITE"], None).await), ["PERMISSIONS_EXCEEDED"]);
        assert_eq!(codes(&create(&ann, &[], None).await), ["PERMISSIONS_MISSING"]);
        let till = program(world, &create(&ann, &["CATALOG_READ"], None).await);
        assert_eq!(till.gql(READ, json!({})).await.code(), "");
        // A key that may make keys makes none that may more.
        let maker = program(world, &create(&ann, &["API_KEYS_WRITE"], None).await);
        assert_eq!(codes(&create(&maker, &["CATALOG_READ"], None).await), ["PERMISSIONS_EXCEEDED"]);

        let disable = "mutation($id: ID!) { userDisable(id: $id) { userErrors { code } } }";
        world.owner().data(disable, json!({ "id": session["user"]["id"] })).await;
        becomes(&till, READ, |answer| answer.code() == "UNAUTHENTICATED").await;
    })
    .await;
}

#[tokio::test]
async fn a_rotated_key_works_by_both_secrets_for_a_while() {
    world(async |world| {
        let owner = world.owner();
        let payload = create(&owner, &["CATALOG_READ"], None).await;
        let rotate = async |overlap: i64| {
            let query = "mutation($id: ID!, $overlap: Int!) { apiKeyRotate(id: $id, overlapSeconds: $overlap) {
                apiKey { id } secret userErrors { code } } }";
            owner.data(query, json!({ "id": payload["apiKey"]["id"], "overlap": overlap })).await["apiKeyRotate"]
                .clone()
        };
        assert_eq!(codes(&rotate(-1).await), ["EXPIRY_INVALID"]);
        assert_eq!(codes(&rotate(604_801).await), ["EXPIRY_INVALID"]);
        let second = rotate(600).await;
        assert_eq!(second["apiKey"]["id"], payload["apiKey"]["id"]);
        for secret in [&payload, &second] {
            assert_eq!(program(world, secret).gql(READ, json!({})).await.code(), "");
        }
        let third = rotate(0).await;
        for secret in [&payload, &second] {
            becomes(&program(world, secret), READ, |answer| answer.code() == "UNAUTHENTICATED").await;
        }
        assert_eq!(program(world, &third).gql(READ, json!({})).await.code(), "");
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_is_out_within_a_second_on_every_replica() {
    world(async |world| {
        let replica = World::beside(world).await;
        let owner = world.owner();
        let payload = create(&owner, &["CATALOG_READ"], None).await;
        let (here, there) = (program(world, &payload), program(&replica, &payload));
        for till in [&here, &there] {
            assert_eq!(till.gql(READ, json!({})).await.code(), "");
        }
        let revoke = "mutation($id: ID!) { apiKeyRevoke(id: $id) { apiKey { revokedAt } userErrors { code } } }";
        let id = json!({ "id": payload["apiKey"]["id"] });
        assert!(owner.data(revoke, id.clone()).await["apiKeyRevoke"]["apiKey"]["revokedAt"].is_string());
        for till in [&here, &there] {
            becomes(till, READ, |answer| answer.code() == "UNAUTHENTICATED").await;
        }
        assert_eq!(codes(&owner.data(revoke, id).await["apiKeyRevoke"]), ["API_KEY_NOT_FOUND"]);
        replica.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_expires_does_so() {
    world(async |world| {
        let owner = world.owner();
        for wrong in ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
            assert_eq!(codes(&create(&owner, &["CATALOG_READ"], Some(wrong)).await), ["EXPIRY_INVALID"], "{wrong}");
        }
        let tomorrow = (world.app.services.clock.now() + chrono::TimeDelta::days(1)).to_rfc3339();
        let till = program(world, &create(&owner, &["CATALOG_READ"], Some(&tomorrow)).await);
        assert_eq!(till.gql(READ, json!({})).await.code(), "");
        let expire = format!(r#"UPDATE "{}".api_keys SET expires_at = now()"#, world.a.schema);
        psql().await.execute(&expire, &[]).await.unwrap();
        becomes(&till, READ, |answer| answer.code() == "UNAUTHENTICATED").await;
        assert_eq!(owner.data("{ apiKeys { id } }", json!({})).await["apiKeys"], json!([]), "and is in no list");
    })
    .await;
}

#[tokio::test]
async fn a_shop_has_no_more_keys_than_it_may_however_many_are_made_at_once() {
    world(async |world| {
        let owner = world.owner();
        create(&owner, &["CATALOG_READ"], None).await;
        let fill = format!(
            r#"INSERT INTO "{0}".api_keys (id, user_id, name, permissions, secret_hash, created_at, updated_at)
               SELECT gen_random_uuid(), user_id, name, permissions, secret_hash, created_at, updated_at
               FROM "{0}".api_keys, generate_series(1, 98)"#,
            world.a.schema
        );
        let blocker = psql().await;
        blocker.batch_execute(&fill).await.unwrap();
        blocker
            .batch_execute(&format!(r#"BEGIN; LOCK TABLE "{}".api_keys IN SHARE MODE"#, world.a.schema))
            .await
            .unwrap();
        let let_go = async {
            held_up(&blocker, 2).await;
            blocker.batch_execute("ROLLBACK").await.unwrap();
        };
        let make = async || create(&owner, &["CATALOG_READ"], None).await;
        let (one, two, ()) = tokio::join!(make(), make(), let_go);
        let mut made = [codes(&one), codes(&two)];
        made.sort_unstable();
        assert_eq!(made, [vec![], vec!["API_KEY_LIMIT_REACHED"]]);
        let listed = owner.data("{ apiKeys { id } }", json!({})).await;
        assert_eq!(listed["apiKeys"].as_array().unwrap().len(), 100);
    })
    .await;
}

#[tokio::test]
async fn keys_that_are_not_one_open_nothing() {
    world(async |world| {
        let payload = create(&world.owner(), &["CATALOG_READ"], None).await;
        let secret = payload["secret"].as_str().unwrap();
        let forged = forged(secret);
        let elsewhere = secret.replace(world.a.slug.as_str(), world.b.slug.as_str());
        let nowhere = secret.replace(world.a.slug.as_str(), "no-such-shop");
        let platform = secret.replace(world.a.slug.as_str(), "admin");
        for wrong in [&secret[..secret.len() - 1], &forged, &elsewhere, &nowhere, &platform, "sw_"] {
            let response = world.stranger().with_token(wrong).gql(READ, json!({})).await;
            response.assert_refused(401, "UNAUTHENTICATED");
        }
        let named = world.stranger().with_token(secret).with_header("x-tenant", world.b.slug.as_str());
        named.gql(READ, json!({})).await.assert_refused(403, "TENANT_MISMATCH");
        let till = program(world, &payload);
        assert_eq!(till.gql("mutation { logout { userErrors { code } } }", json!({})).await.code(), "FORBIDDEN");
    })
    .await;
}
