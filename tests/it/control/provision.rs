//! `tenantProvision`

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::cluster::psql;
use crate::harness::world::{fresh_slug, people, world};
use crate::harness::{Client, World};

async fn provision(client: &Client<'_>, slug: &str, rest: &str) -> Value {
    let query = format!(
        "mutation($slug: String!) {{ tenantProvision(input: {{ slug: $slug, {rest} }}) {{
            tenant {{ id slug name plan currency status schemaName schemaVersion }} steps {{ name milliseconds }} userErrors {{ code path message }} }} }}"
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
            .query("SELECT kind FROM control.jobs WHERE tenant_id = $1 ORDER BY kind", &[&context.id.0])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(kinds, ["mail.invitation", "mail.welcome"]);
        let notice = "SELECT count(*) FROM control.notices WHERE kind = 'tenant.provisioned' AND details->>'slug' = $1
            AND details->>'spare' = 'false' AND details::text NOT LIKE '%ann@%'";
        assert_eq!(psql.query_one(notice, &[&slug]).await.unwrap().get::<_, i64>(0), 1);
        let steps: Vec<&str> =
            payload["steps"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
        assert_eq!(steps, ["REGISTRY", "SCHEMA", "DEFAULT_DATA", "OWNER", "MAILS", "NOTIFICATION", "COMMIT", "CACHES"]);
        for step in payload["steps"].as_array().unwrap() {
            assert!(step["milliseconds"].as_f64().unwrap() > 0.0, "{step}");
        }
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
            assert_eq!(payload["steps"], json!([]));
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
