//! `tenantProvision`

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::app::owner;
use shelfwise::control::provisioning::tenant_provision;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::clock::SystemClock;

use crate::harness::cluster::{own_database, psql, psql_of};
use crate::harness::world::{fresh_slug, master_key, new_tenant, operator, people, vault, world};
use crate::harness::{Client, World};

async fn provision(client: &Client<'_>, slug: &str, rest: &str) -> Value {
    let query = format!(
        "mutation($slug: String!) {{ tenantProvision(input: {{ slug: $slug, {rest} }}) {{
            tenant {{ id slug name plan currency status schemaName schemaVersion }} userErrors {{ code path message }} }} }}"
    );
    client.data(&query, json!({ "slug": slug })).await["tenantProvision"].clone()
}

const REST: &str = "name: \"Shop\", plan: \"free\", ownerEmail: \"ann@shop.example\"";

#[tokio::test]
async fn a_tenant_is_ready_for_use_when_the_mutation_answers() {
    world(async |world| {
        let slug = fresh_slug("p");
        let payload = provision(&world.admin(), &slug, REST).await;
        assert_eq!(payload["userErrors"], json!([]));
        let tenant = &payload["tenant"];
        assert_eq!((&tenant["status"], &tenant["currency"]), (&json!("ACTIVE"), &json!("EUR")));

        let context = resolve(world, &slug).await;
        assert_eq!(tenant["schemaName"], context.schema.as_str());
        people(&world.app, &context).await;
        let data = world
            .user(&context, shelfwise::kernel::actor::Role::Owner)
            .data("{ categories { totalCount } }", json!({}))
            .await;
        assert_eq!(data["categories"]["totalCount"], 7);

        let psql = psql().await;
        let user = psql
            .query_one(
                &format!(r#"SELECT email, status FROM "{}".users ORDER BY created_at LIMIT 1"#, context.schema),
                &[],
            )
            .await
            .unwrap();
        assert_eq!((user.get::<_, &str>(0), user.get::<_, &str>(1)), ("ann@shop.example", "invited"));
        let stamp =
            psql.query_one(&format!(r#"SELECT tenant_id FROM "{}".tenant_stamp"#, context.schema), &[]).await.unwrap();
        assert_eq!(stamp.get::<_, uuid::Uuid>(0), context.id.0);
        let kinds: Vec<String> = psql
            .query("SELECT kind FROM control.jobs WHERE tenant_id = $1", &[&context.id.0])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(kinds, ["mail.invitation"]);
    })
    .await;
}

async fn resolve(world: &World, slug: &str) -> Arc<shelfwise::kernel::tenant::TenantCtx> {
    match world.app.services.registry.resolve(&slug.parse().unwrap()).await.unwrap() {
        shelfwise::control::tenants::Lookup::Active(context) => context,
        other => panic!("{slug}: {other:?}"),
    }
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    world(async |world| {
        let admin = world.admin();
        let check = async |slug: &str, rest: &str, codes: &[&str]| {
            let payload = provision(&admin, slug, rest).await;
            let found: Vec<_> = payload["userErrors"].as_array().unwrap().iter().map(|e| e["code"].clone()).collect();
            assert_eq!(found, codes, "{slug}: {payload}");
            assert_eq!(payload["tenant"], json!(null));
        };
        check("ab", REST, &["SLUG_INVALID"]).await;
        check("Acme", REST, &["SLUG_INVALID"]).await;
        check("x\"; DROP SCHEMA control; --", REST, &["SLUG_INVALID"]).await;
        check("admin", REST, &["SLUG_RESERVED"]).await;
        check(world.a.slug.as_str(), REST, &["SLUG_TAKEN"]).await;
        let fresh = fresh_slug("p");
        check(
            &fresh,
            "name: \" \", plan: \"free\", ownerEmail: \"nobody\", currency: \"XXX\"",
            &["NAME_INVALID", "OWNER_EMAIL_INVALID", "CURRENCY_INVALID"],
        )
        .await;
        check(&fresh, "name: \"X\", plan: \"gold\", ownerEmail: \"a@b.c\"", &["PLAN_NOT_FOUND"]).await;
    })
    .await;
}

#[tokio::test]
async fn of_two_at_once_for_one_slug_exactly_one_wins() {
    world(async |world| {
        let (admin, slug) = (world.admin(), fresh_slug("p"));
        let attempts = futures_util::future::join_all((0..4).map(|_| provision(&admin, &slug, REST))).await;
        let made = attempts.iter().filter(|payload| payload["tenant"].is_object()).count();
        let taken = attempts.iter().filter(|payload| payload["userErrors"][0]["code"] == "SLUG_TAKEN").count();
        assert_eq!((made, taken), (1, 3));
        let query = "SELECT count(*) FROM pg_namespace WHERE nspname IN (SELECT schema_name FROM control.tenants WHERE slug = $1)";
        assert_eq!(psql().await.query_one(query, &[&slug]).await.unwrap().get::<_, i64>(0), 1);
    })
    .await;
}

/// Each step is made to fail in a database of its own; afterwards nothing is there, and the same request succeeds.
#[tokio::test]
async fn a_failure_at_any_step_leaves_no_trace() {
    let (name, urls) = own_database().await;
    let owner = owner(&urls).unwrap();
    migrate_control(&owner).await.unwrap();
    let psql = psql_of(&name).await;
    let trap =
        "CREATE FUNCTION control.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trap'; END $$;";
    psql.batch_execute(trap).await.unwrap();
    // An event trigger fails the first statement of a kind that the provisioning reaches.
    let event = "CREATE FUNCTION control.event_trap() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trap'; END $$;";
    psql.batch_execute(event).await.unwrap();
    let steps = [
        (
            "the registry",
            "CREATE TRIGGER trap BEFORE INSERT ON control.tenants FOR EACH ROW EXECUTE FUNCTION control.trap()",
            "DROP TRIGGER trap ON control.tenants",
        ),
        (
            "the schema",
            "CREATE EVENT TRIGGER trap ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION control.event_trap()",
            "DROP EVENT TRIGGER trap",
        ),
        (
            "the tables",
            "CREATE EVENT TRIGGER trap ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION control.event_trap()",
            "DROP EVENT TRIGGER trap",
        ),
        (
            "the grants",
            "CREATE EVENT TRIGGER trap ON ddl_command_start WHEN TAG IN ('ALTER DEFAULT PRIVILEGES') EXECUTE FUNCTION control.event_trap()",
            "DROP EVENT TRIGGER trap",
        ),
        (
            "the mail",
            "CREATE TRIGGER trap BEFORE INSERT ON control.jobs FOR EACH ROW EXECUTE FUNCTION control.trap()",
            "DROP TRIGGER trap ON control.jobs",
        ),
        (
            "the commit",
            "CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON control.jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION control.trap()",
            "DROP TRIGGER trap ON control.jobs",
        ),
    ];
    let state = async || {
        let query = "SELECT (SELECT count(*) FROM control.tenants), (SELECT count(*) FROM control.jobs),
                            (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%')";
        let row = psql.query_one(query, &[]).await.unwrap();
        let schemas: Vec<i64> = (0..3).map(|index| row.get(index)).collect();
        // Roles are the cluster's, and other tests make some: those without a schema anywhere are counted by name below.
        schemas
    };
    for (step, set, clear) in steps {
        psql.batch_execute(set).await.unwrap();
        let slug = fresh_slug("f");
        let result =
            tenant_provision(&owner, &vault(&[master_key()]), &SystemClock, &operator(), &new_tenant(&slug)).await;
        assert!(result.is_err(), "{step} did not fail");
        assert_eq!(state().await, [0, 0, 0], "{step} left something behind");
        psql.batch_execute(clear).await.unwrap();
    }
    let slug = fresh_slug("f");
    let tenant =
        tenant_provision(&owner, &vault(&[master_key()]), &SystemClock, &operator(), &new_tenant(&slug)).await.unwrap();
    assert_eq!(state().await, [1, 1, 1]);
    let role = "SELECT count(*) FROM pg_roles WHERE rolname = $1";
    let schema = shelfwise::kernel::tenant::SchemaName::from(tenant.id);
    assert_eq!(psql.query_one(role, &[&schema.as_str()]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn only_administrators_provision() {
    world(async |world| {
        let query = "mutation { tenantProvision(input: { slug: \"nope-shop\", name: \"X\", plan: \"free\", ownerEmail: \"a@b.c\" }) { tenant { id } } }";
        let nobody = Client::new(world, "/admin/graphql", None).gql(query, json!({})).await;
        assert_eq!(nobody.code(), "UNAUTHENTICATED");
        let token = world.token(&crate::harness::world::user_claims(&world.a, shelfwise::kernel::actor::Role::Owner));
        Client::new(world, "/admin/graphql", Some(token)).gql(query, json!({})).await.assert_refused(401, "UNAUTHENTICATED");
        let count: i64 = psql().await.query_one("SELECT count(*) FROM control.tenants WHERE slug = 'nope-shop'", &[]).await.unwrap().get(0);
        assert_eq!(count, 0);
    })
    .await;
}
