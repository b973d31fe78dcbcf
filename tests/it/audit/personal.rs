//! What the trail tells of people: sealed, for who may see them, and for as long as its key is there.

use serde_json::{Value, json};
use shelfwise::config::crypto::MasterKey;
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::ids::UserId;
use shelfwise::kernel::keys::Purpose;
use shelfwise::kernel::seal::sealed_by;

use super::{rows, verified};
use crate::harness::cluster::psql;
use crate::harness::world::{dump, user_id};
use crate::harness::{Client, World, world};
use crate::identity::role_id;

const ENTRIES: &str = "{ auditLog { nodes { action entityId before after personal } } }";

/// Invites somebody, and answers the user's id.
async fn invite(client: &Client<'_>, name: &str) -> String {
    let clerk = role_id(client, "Clerk").await;
    let query = "mutation($email: String!, $name: String!, $role: ID!) {
        userInvite(input: { email: $email, name: $name, roleIds: [$role] }) { user { id } userErrors { code } } }";
    let email = format!("{}@hidden.example", name.to_lowercase());
    let data = client.data(query, json!({ "email": email, "name": name, "role": clerk })).await;
    data["userInvite"]["user"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
}

/// Gives a user another name.
async fn rename(client: &Client<'_>, id: &str, name: &str) {
    let query = "mutation($id: ID!, $name: String!) {
        userUpdate(id: $id, version: 1, input: { name: $name }) { userErrors { code } } }";
    let data = client.data(query, json!({ "id": id, "name": name })).await;
    assert_eq!(data["userUpdate"]["userErrors"], json!([]));
}

/// What the entries tell of people, the newest first.
async fn personal(client: &Client<'_>) -> Vec<Value> {
    let data = client.data(ENTRIES, json!({})).await;
    data["auditLog"]["nodes"].as_array().unwrap().iter().map(|node| node["personal"].clone()).collect()
}

/// The ids of the keys that sealed the entries, the newest first.
async fn keys(world: &World) -> Vec<Option<uuid::Uuid>> {
    let query = format!(r#"SELECT sealed FROM "{}".audit_log ORDER BY sequence DESC"#, world.a.schema);
    let rows = psql().await.query(&query, &[]).await.unwrap();
    rows.iter().map(|row| sealed_by(&row.get::<_, Vec<u8>>(0))).collect()
}

#[tokio::test]
async fn what_is_known_of_people_is_sealed_and_shown_to_who_may_see_them() {
    world(async |world| {
        let owner = world.owner();
        let id = invite(&owner, "Secretname").await;
        rename(&owner, &id, "Othername").await;

        let (secret, other) = (
            json!({ "email": "secretname@hidden.example", "name": "Secretname" }),
            json!({ "email": "secretname@hidden.example", "name": "Othername" }),
        );
        assert_eq!(personal(&owner).await, [json!({ "before": secret, "after": other }), json!({ "after": secret })]);
        let dump = dump(&world.a, "users").await.to_lowercase();
        // As text, and as PostgreSQL writes the bytes of it, but for the letter that may be a capital.
        for word in ["secretname", "othername", "hidden.example", "65637265746e616d65", "746865726e616d65"] {
            assert!(!dump.contains(word), "`{word}` is stored in the open");
        }
        assert_eq!(verified(world).await.broken, None);

        let make = "mutation { apiKeyCreate(input: { name: \"Auditor\", permissions: [AUDIT_READ] }) { secret } }";
        let secret = owner.data(make, json!({})).await["apiKeyCreate"]["secret"].take();
        let auditor = world.stranger().with_token(secret.as_str().unwrap());
        assert_eq!(personal(&auditor).await, [Value::Null, Value::Null, Value::Null]);
        assert_eq!(personal(&owner).await[0], Value::Null, "a key's entry tells nothing of people");
    })
    .await;
}

#[tokio::test]
async fn what_is_sealed_belongs_to_its_entry() {
    world(async |world| {
        let owner = world.owner();
        let id = invite(&owner, "Ann").await;
        rename(&owner, &id, "Anne").await;
        let first = r#"(SELECT sealed FROM "S".audit_log WHERE sequence = 1)"#;
        let swap = format!(r#"UPDATE "S".audit_log SET sealed = {first} WHERE sequence = 2"#);
        psql().await.execute(&swap.replace("\"S\"", &format!("\"{}\"", world.a.schema)), &[]).await.unwrap();

        let answer = owner.gql(ENTRIES, json!({})).await;

        assert_eq!(answer.code(), "INTERNAL_ERROR", "{}", answer.body);
        assert_eq!(answer["/auditLog/nodes/0/personal"], Value::Null);
        assert_eq!(answer["/auditLog/nodes/1/personal/after/name"], "Ann", "the same user's own is shown");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_cannot_be_used_fails_the_mutation() {
    world(async |world| {
        let other = MasterKey::generate("other").unwrap().to_setting();
        let beside = World::beside_with(world, &[("MASTER_KEYS", &other)]).await;
        let clerk = role_id(&beside.owner(), "Clerk").await;
        let invite = "mutation($role: ID!) { userInvite(input: {
            email: \"ann@hidden.example\", name: \"Ann\", roleIds: [$role] }) { userErrors { code } } }";
        for client in [beside.owner(), beside.owner().with_header("idempotency-key", "1")] {
            let answer = client.gql(invite, json!({ "role": clerk })).await;
            assert_eq!(answer.code(), "INTERNAL_ERROR", "{}", answer.body);
        }
        // What tells nothing of people needs no key.
        let user = user_id(&world.a, Role::Clerk);
        let disable = format!("mutation {{ userDisable(id: \"{user}\") {{ userErrors {{ code }} }} }}");
        assert_eq!(beside.owner().gql(&disable, json!({})).await.code(), "");

        let actions: Vec<String> = rows(&world.a).await.into_iter().map(|row| row.action).collect();
        assert_eq!(actions, ["user.disable"]);
        assert!(!dump(&world.a, "").await.contains("hidden.example"), "nothing of it is kept");
        beside.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_rotation_leaves_old_entries_readable_and_a_destroyed_key_does_not() {
    world(async |world| {
        let owner = world.owner();
        let id: UserId = invite(&owner, "Ann").await.parse().unwrap();
        let rotate = "mutation($slug: String!) { tenantRotateKey(slug: $slug) { userErrors { code } } }";
        world.admin().data(rotate, json!({ "slug": world.a.slug.as_str() })).await;
        // As if its head start were over.
        let change = |set: &str| format!("UPDATE control.tenants SET keys = {set} WHERE id = $1");
        let begin = change("jsonb_set(keys, '{2,from}', to_jsonb(now() - interval '1 minute'))");
        psql().await.execute(&begin, &[&world.a.id.0]).await.unwrap();
        let is_begun = |from| from < chrono::Utc::now();
        let context = world.context_when(|context| context.keys.0.get(2).is_some_and(|key| is_begun(key.from))).await;

        rename(&owner, &id.to_string(), "Anne").await;

        let ids: Vec<_> = context.keys.0.iter().filter(|key| key.purpose == Purpose::Data).map(|key| key.id).collect();
        assert_eq!(keys(world).await, [Some(ids[1]), Some(ids[0])]);
        let names = async || {
            let name = |personal: &Value| personal["after"]["name"].clone();
            personal(&owner).await.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names().await, ["Anne", "Ann"]);

        psql().await.execute(&change("keys - 0"), &[&world.a.id.0]).await.unwrap();
        world.context_when(|context| context.keys.0.len() == 2).await;
        assert_eq!(names().await, [json!("Anne"), Value::Null]);
        assert_eq!(verified(world).await.broken, None, "the trail is whole without the key");
    })
    .await;
}
