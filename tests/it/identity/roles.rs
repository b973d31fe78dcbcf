//! `role`, `roles`, `roleCreate`, `roleUpdate`, `roleDelete`

use serde_json::{Value, json};
use shelfwise::kernel::actor::Role;

use super::{becomes, holder, joined, role_id};
use crate::graphql_helpers::codes;
use crate::harness::cluster::{held_up, psql};
use crate::harness::{Client, world};

const FIELDS: &str = "role { id name version isDefault permissions viewerCanUpdate } userErrors { code path }";

async fn create(client: &Client<'_>, name: &str, permissions: &[&str]) -> Value {
    let query = format!(
        "mutation($name: String!, $permissions: [Permission!]!) {{
            roleCreate(input: {{ name: $name, permissions: $permissions }}) {{ {FIELDS} }} }}"
    );
    client.data(&query, json!({ "name": name, "permissions": permissions })).await["roleCreate"].clone()
}

async fn update(client: &Client<'_>, id: &str, version: i64, input: Value) -> Value {
    let query = format!(
        "mutation($id: ID!, $version: Int!, $input: RoleUpdateInput!) {{
            roleUpdate(id: $id, version: $version, input: $input) {{ {FIELDS} }} }}"
    );
    client.data(&query, json!({ "id": id, "version": version, "input": input })).await["roleUpdate"].clone()
}

#[tokio::test]
async fn a_role_of_the_shops_own_allows_what_it_lists() {
    world(async |world| {
        let owner = world.owner();
        let payload = create(&owner, "Importer", &["CATALOG_READ", "CATALOG_IMPORT"]).await;
        assert_eq!(payload["role"]["permissions"], json!(["CATALOG_READ", "CATALOG_IMPORT"]));
        let session = joined(world, "ann@acme.example", "Importer").await;
        let ann = holder(world, &session);
        let import = "mutation { bookImport(input: { csv: \"title\\nEmma\" }) { userErrors { code } } }";
        assert_eq!(ann.gql(import, json!({})).await.code(), "");
        let write = "mutation { authorCreate(input: { name: \"Ann\" }) { userErrors { code } } }";
        assert_eq!(ann.gql(write, json!({})).await.code(), "FORBIDDEN");

        let id = payload["role"]["id"].as_str().unwrap();
        let wider = json!({ "permissions": ["CATALOG_READ", "CATALOG_WRITE"] });
        assert_eq!(update(&owner, id, 1, wider).await["role"]["version"], 2);
        becomes(&ann, write, |answer| answer.code().is_empty()).await;
        assert_eq!(ann.gql(import, json!({})).await.code(), "FORBIDDEN");
    })
    .await;
}

#[tokio::test]
async fn default_roles_and_used_ones_stay() {
    world(async |world| {
        let owner = world.owner();
        let delete = async |id: &str| {
            let query = format!("mutation($id: ID!) {{ roleDelete(id: $id) {{ {FIELDS} }} }}");
            owner.data(&query, json!({ "id": id })).await["roleDelete"].clone()
        };
        let clerk = role_id(&owner, "Clerk").await;
        assert_eq!(codes(&delete(&clerk).await), ["ROLE_IS_DEFAULT"]);
        assert_eq!(codes(&update(&owner, &clerk, 1, json!({ "name": "X" })).await), ["ROLE_IS_DEFAULT"]);
        let own = create(&owner, "Helper", &["CATALOG_READ"]).await["role"]["id"].as_str().unwrap().to_owned();
        joined(world, "ann@acme.example", "Helper").await;
        assert_eq!(codes(&delete(&own).await), ["ROLE_IN_USE"]);
        let free = create(&owner, "Nobody's", &["CATALOG_READ"]).await["role"]["id"].as_str().unwrap().to_owned();
        assert_eq!(codes(&delete(&free).await), Vec::<&str>::new());
        assert_eq!(codes(&delete(&free).await), ["ROLE_NOT_FOUND"]);
    })
    .await;
}

#[tokio::test]
async fn bad_roles_are_refused() {
    world(async |world| {
        let owner = world.owner();
        assert_eq!(codes(&create(&owner, "", &["CATALOG_READ"]).await), ["NAME_INVALID"]);
        assert_eq!(codes(&create(&owner, "clerk", &["CATALOG_READ"]).await), ["ROLE_NAME_TAKEN"]);
        assert_eq!(codes(&create(&owner, "Empty", &[]).await), ["PERMISSIONS_MISSING"]);
        let own = create(&owner, "Helper", &["CATALOG_READ"]).await["role"].clone();
        let id = own["id"].as_str().unwrap();
        assert_eq!(codes(&update(&owner, id, 7, json!({ "name": "X" })).await), ["VERSION_CONFLICT"]);
        assert_eq!(codes(&update(&owner, id, 1, json!({ "permissions": [] })).await), ["PERMISSIONS_MISSING"]);
        assert_eq!(codes(&update(&owner, id, 1, json!({ "name": "Owner" })).await), ["ROLE_NAME_TAKEN"]);
    })
    .await;
}

#[tokio::test]
async fn nobody_makes_a_role_of_more_than_they_have() {
    world(async |world| {
        let owner = world.owner();
        create(&owner, "Role maker", &["CATALOG_READ", "USERS_READ", "USERS_WRITE", "ROLES_WRITE"]).await;
        let strong = create(&owner, "Strong", &["CATALOG_WRITE"]).await["role"]["id"].as_str().unwrap().to_owned();
        let maker =
            holder(world, &joined(world, "ann@acme.example", "Role maker").await).with_header("x-test", "maker");
        assert_eq!(codes(&create(&maker, "More", &["CATALOG_WRITE"]).await), ["PERMISSIONS_EXCEEDED"]);
        let own = create(&maker, "Less", &["CATALOG_READ"]).await["role"].clone();
        assert_eq!(own["viewerCanUpdate"], true);
        let more = json!({ "permissions": ["API_KEYS_WRITE"] });
        assert_eq!(codes(&update(&maker, own["id"].as_str().unwrap(), 1, more).await), ["PERMISSIONS_EXCEEDED"]);
        let weaken = json!({ "permissions": ["CATALOG_READ"] });
        assert_eq!(codes(&update(&maker, &strong, 1, weaken).await), ["PERMISSIONS_EXCEEDED"], "nor takes it away");
        assert_eq!(
            world.user(&world.a, Role::Clerk).gql("{ roles { id } }", json!({})).await.code(),
            "FORBIDDEN",
            "who may not see people sees no roles"
        );
    })
    .await;
}

#[tokio::test]
async fn a_shop_has_no_more_roles_than_it_may_however_many_are_made_at_once() {
    world(async |world| {
        let owner = world.owner();
        create(&owner, "Importer", &["CATALOG_IMPORT"]).await;
        let fill = format!(
            r#"INSERT INTO "{0}".roles (id, name, name_key, permissions, created_at, updated_at)
               SELECT gen_random_uuid(), name || n, name_key || n, permissions, created_at, updated_at
               FROM "{0}".roles, generate_series(1, 99 - (SELECT count(*)::integer FROM "{0}".roles)) AS n
               WHERE name = 'Importer'"#,
            world.a.schema
        );
        let blocker = psql().await;
        blocker.batch_execute(&fill).await.unwrap();
        blocker.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{}".roles IN SHARE MODE"#, world.a.schema)).await.unwrap();
        let let_go = async {
            held_up(&blocker, 2).await;
            blocker.batch_execute("ROLLBACK").await.unwrap();
        };
        let make = async |name| create(&owner, name, &["CATALOG_READ"]).await;
        let (one, two, ()) = tokio::join!(make("One"), make("Two"), let_go);
        let mut made = [codes(&one), codes(&two)];
        made.sort_unstable();
        assert_eq!(made, [vec![], vec!["ROLE_LIMIT_REACHED"]]);
        assert_eq!(owner.data("{ roles { id } }", json!({})).await["roles"].as_array().unwrap().len(), 100);
    })
    .await;
}
