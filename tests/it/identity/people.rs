//! `user`, `users`, `userInvite`, `userReinvite`, `userUpdate`, `userDisable`, `userEnable`

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;
use shelfwise::tenant::identity::links::service::Purpose;

use super::{PASSWORD, becomes, holder, joined, link, login, role_id};
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::harness::world::user_id;
use crate::harness::{Client, world};

async fn invite(client: &Client<'_>, email: &str, name: &str, roles: &[&str]) -> Value {
    let query = "mutation($email: String!, $name: String!, $roles: [ID!]!) {
        userInvite(input: { email: $email, name: $name, roleIds: $roles }) {
            user { id version status roles { name } } userErrors { code path } } }";
    client.data(query, json!({ "email": email, "name": name, "roles": roles })).await["userInvite"].clone()
}

async fn act(client: &Client<'_>, action: &str, id: &str) -> Value {
    let query =
        format!("mutation($id: ID!) {{ r: {action}(id: $id) {{ user {{ id status }} userErrors {{ code }} }} }}");
    client.data(&query, json!({ "id": id })).await["r"].clone()
}

async fn set_roles(client: &Client<'_>, id: &str, version: i64, roles: &[&str]) -> Value {
    let query = "mutation($id: ID!, $version: Int!, $roles: [ID!]!) {
        userUpdate(id: $id, version: $version, input: { roleIds: $roles }) {
            user { version roles { name } } userErrors { code currentVersion } } }";
    client.data(query, json!({ "id": id, "version": version, "roles": roles })).await["userUpdate"].clone()
}

#[tokio::test]
async fn bad_invitations_are_refused_with_the_field_that_is_wrong() {
    world(async |world| {
        let owner = world.owner();
        let clerk = role_id(&owner, "Clerk").await;
        let check = async |email: &str, name: &str, roles: &[&str], code: &str, field: &str| {
            let payload = invite(&owner, email, name, roles).await;
            assert_eq!(payload["userErrors"], json!([{ "code": code, "path": ["input", field] }]), "{email} {name}");
            assert_eq!(payload["user"], Value::Null);
        };
        check("nonsense", "Ann", &[&clerk], "EMAIL_INVALID", "email").await;
        check("ann@acme.example", " ", &[&clerk], "NAME_INVALID", "name").await;
        check("ann@acme.example", "Ann", &[], "ROLES_MISSING", "roleIds").await;
        check("ann@acme.example", "Ann", &["role_01h455vb4pex5vsknk084sn02q"], "ROLE_NOT_FOUND", "roleIds").await;
        check("OWNER@test.example", "Ann", &[&clerk], "EMAIL_TAKEN", "email").await;
    })
    .await;
}

#[tokio::test]
async fn nobody_gives_or_touches_more_than_they_have() {
    world(async |world| {
        let (owner, manager) = (world.owner(), world.user(&world.a, Role::Manager));
        let (owner_role, clerk_role) = (role_id(&owner, "Owner").await, role_id(&owner, "Clerk").await);
        let exceeded = ["PERMISSIONS_EXCEEDED"];
        assert_eq!(codes(&invite(&manager, "x@acme.example", "X", &[&owner_role]).await), exceeded);
        assert_eq!(codes(&invite(&manager, "x@acme.example", "X", &[&clerk_role]).await), Vec::<&str>::new());
        let (boss, self_) = (user_id(&world.a, Role::Owner).to_string(), user_id(&world.a, Role::Manager).to_string());
        assert_eq!(codes(&act(&manager, "userDisable", &boss).await), exceeded);
        assert_eq!(codes(&set_roles(&manager, &boss, 1, &[&clerk_role]).await), exceeded);
        assert_eq!(codes(&set_roles(&manager, &self_, 1, &[&owner_role]).await), exceeded);
        let data = manager.data("{ users { nodes { email viewerCanUpdate } } }", json!({})).await;
        for user in data["users"]["nodes"].as_array().unwrap() {
            let is_boss = user["email"].as_str().unwrap().starts_with("owner@");
            assert_eq!(user["viewerCanUpdate"], !is_boss, "{user}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_last_owner_stays() {
    world(async |world| {
        let owner = world.owner();
        let me = user_id(&world.a, Role::Owner).to_string();
        let clerk = role_id(&owner, "Clerk").await;
        // The shop's first owner is invited and has not accepted: that is no owner who could open the door.
        assert_eq!(codes(&act(&owner, "userDisable", &me).await), ["LAST_OWNER"]);
        assert_eq!(codes(&set_roles(&owner, &me, 1, &[&clerk]).await), ["LAST_OWNER"]);
        joined(world, "second@acme.example", "Owner").await;
        assert_eq!(codes(&set_roles(&owner, &me, 1, &[&clerk]).await), Vec::<&str>::new());
    })
    .await;
}

#[tokio::test]
async fn two_owners_cannot_remove_each_other() {
    world(async |world| {
        let second = joined(world, "second@acme.example", "Owner").await;
        let (one, two) = (user_id(&world.a, Role::Owner).to_string(), second["user"]["id"].as_str().unwrap());
        let (first, second) = (world.owner(), holder(world, &second));
        let disable = "mutation($id: ID!) { userDisable(id: $id) { userErrors { code } } }";
        let _ = tokio::join!(first.gql(disable, json!({ "id": two })), second.gql(disable, json!({ "id": one })));
        // Whoever came second was told so, or was out already.
        let query = format!(
            r#"SELECT count(*) FROM "{0}".users JOIN "{0}".user_roles ON user_id = users.id JOIN "{0}".roles ON roles.id = role_id
               WHERE key = 'owner' AND status = 'active'"#,
            world.a.schema
        );
        assert_eq!(psql().await.query_one(&query, &[]).await.unwrap().get::<_, i64>(0), 1);
    })
    .await;
}

#[tokio::test]
async fn a_disabled_user_is_out_within_a_second_and_may_come_back() {
    world(async |world| {
        let session = joined(world, "ann@acme.example", "Clerk").await;
        let (owner, id) = (world.owner(), session["user"]["id"].as_str().unwrap());
        assert_eq!(act(&owner, "userDisable", id).await["user"]["status"], "DISABLED");
        assert_eq!(act(&owner, "userDisable", id).await["user"]["status"], "DISABLED", "twice changes nothing");
        let query = "{ books { totalCount } }";
        becomes(&holder(world, &session), query, |answer| answer.code() == "UNAUTHENTICATED").await;
        assert_eq!(codes(&login(world, "ann@acme.example", PASSWORD).await), ["CREDENTIALS_INVALID"]);
        assert_eq!(link(world, &world.a, Purpose::PasswordReset, "ann@acme.example").await, None);

        assert_eq!(act(&owner, "userEnable", id).await["user"]["status"], "ACTIVE");
        assert_eq!(codes(&login(world, "ann@acme.example", PASSWORD).await), Vec::<&str>::new());
        assert_eq!(
            holder(world, &session).gql(query, json!({})).await.code(),
            "UNAUTHENTICATED",
            "old log-ins stay ended"
        );
    })
    .await;
}

#[tokio::test]
async fn a_taken_role_is_gone_within_a_second() {
    world(async |world| {
        let session = joined(world, "ann@acme.example", "Clerk").await;
        let (owner, id) = (world.owner(), session["user"]["id"].as_str().unwrap());
        let reader = role_id(&owner, "Read only").await;
        assert_eq!(
            set_roles(&owner, id, 1, &[&reader]).await["userErrors"][0]["currentVersion"],
            2,
            "accepting counts"
        );
        let payload = set_roles(&owner, id, 2, &[&reader]).await;
        assert_eq!(payload["user"], json!({ "version": 3, "roles": [{ "name": "Read only" }] }));
        let write = "mutation { authorCreate(input: { name: \"Ann\" }) { userErrors { code } } }";
        becomes(&holder(world, &session), write, |answer| answer.code() == "FORBIDDEN").await;
    })
    .await;
}

#[tokio::test]
async fn an_invitation_can_be_sent_again_until_it_is_accepted() {
    world(async |world| {
        let owner = world.owner();
        let clerk = role_id(&owner, "Clerk").await;
        let payload = invite(&owner, "ann@acme.example", "Ann", &[&clerk]).await;
        let id = payload["user"]["id"].as_str().unwrap();
        assert_eq!(codes(&act(&owner, "userReinvite", id).await), Vec::<&str>::new());
        let active = user_id(&world.a, Role::Clerk).to_string();
        assert_eq!(codes(&act(&owner, "userReinvite", &active).await), ["USER_STATUS_CONFLICT"]);
        assert_eq!(act(&owner, "userDisable", id).await["user"]["status"], "DISABLED");
        assert_eq!(act(&owner, "userEnable", id).await["user"]["status"], "INVITED", "there is no password yet");
    })
    .await;
}

#[tokio::test]
async fn users_are_paged_by_address_with_their_roles_in_one_statement() {
    world(async |world| {
        let query = "query($after: String) { users(first: 2, after: $after) {
            totalCount nodes { email roles { name } } pageInfo { hasNextPage endCursor } } }";
        let owner = world.owner();
        let first = owner.gql(query, json!({ "after": null })).await;
        assert_eq!(first.sql().0, 3, "users, roles and the count");
        let mut emails = Vec::new();
        let mut after = Value::Null;
        loop {
            let page = owner.data(query, json!({ "after": after })).await["users"].clone();
            assert_eq!(page["totalCount"], 5);
            emails.extend(
                page["nodes"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap().to_owned()),
            );
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        let expected = ["clerk@", "manager@", "owner@shop", "owner@test", "read-only@"];
        assert_eq!(emails.len(), expected.len());
        assert!(emails.iter().zip(expected).all(|(email, start)| email.starts_with(start)), "{emails:?}");
    })
    .await;
}
