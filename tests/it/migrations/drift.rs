//! Drift: whatever somebody changed in a schema by hand is told, and nothing else.

use serde_json::{Value, json};
use shelfwise::config::auth::JwtKey;
use shelfwise::control::drift::Comparison;
use shelfwise::control::tenants::service::tenant_by_slug;
use shelfwise::db::catalogue::squash::squash;
use shelfwise::db::catalogue::{fingerprint, objects};
use shelfwise::db::migrate::{Plane, migrations};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::TenantId;
use shelfwise::kernel::tenant::{SchemaName, TenantCtx};

use super::in_owner;
use crate::harness::cluster::{psql, shared_urls};
use crate::harness::command::shelfwise;
use crate::harness::world::{World, app, shop, world};

/// What somebody does, and what is told of it: kind, name, and whether the object is expected and found.
type Case = (&'static str, &'static [(&'static str, &'static str, bool, bool)]);

/// What is told of a shop: kind and name of each object, and whether it was expected and found.
async fn told(world: &World, tenant: &TenantCtx) -> Vec<(String, String, bool, bool)> {
    let (owner, control) = (world.app.owner.as_ref().unwrap(), &world.app.control);
    let tenant = tenant_by_slug(control, tenant.slug.as_str()).await.unwrap().unwrap();
    let found = Comparison::new(owner, &SystemClock).differences(&tenant).await.unwrap();
    found.into_iter().map(|d| (d.kind, d.name, d.expected.is_some(), d.found.is_some())).collect()
}

#[tokio::test]
async fn the_committed_baseline_is_what_the_migrations_make() {
    let app = app(&[]);
    let scratch = SchemaName::from(TenantId(SystemClock.new_id()));
    let printed = squash(app.owner.as_ref().unwrap(), &scratch).await.unwrap();
    let committed = include_str!("../../../tenant_migrations/baseline.sql");
    assert!(printed == committed, "shelfwise schema baseline > tenant_migrations/baseline.sql");
    let left = psql().await.query("SELECT FROM pg_roles WHERE rolname = $1", &[&scratch.as_str()]).await.unwrap();
    assert!(left.is_empty(), "what was made to look at is taken back");
}

#[tokio::test]
async fn two_new_shops_have_one_fingerprint() {
    let app = app(&[]);
    let owner = app.owner.as_ref().unwrap();
    let (a, b) = (shop(&app, "d").await, shop(&app, "d").await);
    let of =
        async |tenant: &TenantCtx| fingerprint(&in_owner(owner, async |tx| objects(tx, &tenant.schema).await).await);
    let print = of(&a).await;
    assert_eq!(print, of(&b).await);
    let sql = format!(r#"ALTER TABLE "{}".books ALTER stock DROP DEFAULT"#, b.schema);
    psql().await.batch_execute(&sql).await.unwrap();
    assert_eq!(print, of(&a).await);
    assert_ne!(print, of(&b).await);
}

#[tokio::test]
async fn whatever_is_changed_by_hand_is_told_and_nothing_else() {
    world(async |world| {
        assert_eq!(told(world, &world.a).await, []);
        let schema = &world.a.schema;
        let cases: &[Case] = &[
            ("ALTER TABLE books ALTER COLUMN language TYPE varchar(9)", &[("column", "books.language", true, true)]),
            ("ALTER TABLE books ALTER COLUMN stock SET DEFAULT 7", &[("column", "books.stock", true, true)]),
            ("ALTER TABLE books ADD COLUMN mine int", &[("column", "books.mine", false, true)]),
            (
                "ALTER TABLE books DROP CONSTRAINT books_stock_check",
                &[("constraint", "books.books_stock_check", true, false)],
            ),
            ("DROP INDEX books_title_idx", &[("index", "books_title_idx", true, false)]),
            ("GRANT DELETE ON audit_log TO CURRENT_USER, {role}", &[("grant", "audit_log", true, true)]),
            ("GRANT USAGE ON SCHEMA {role} TO PUBLIC", &[("schema", "", true, true)]),
            (
                "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
                 CREATE TRIGGER mine BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION mine()",
                &[("function", "mine()", false, true), ("trigger", "orders.mine", false, true)],
            ),
            ("CREATE TYPE mood AS ENUM ('x')", &[("type", "mood", false, true)]),
            (
                "CREATE VIEW mine AS SELECT id FROM books",
                &[
                    ("column", "mine.id", false, true),
                    ("grant", "mine", false, true),
                    ("relation", "mine", false, true),
                    ("view", "mine", false, true),
                ],
            ),
            ("ALTER TABLE roles ENABLE ROW LEVEL SECURITY", &[("relation", "roles", true, true)]),
            (
                "ALTER TABLE users DISABLE TRIGGER USER; ALTER TABLE events SET (fillfactor = 50)",
                &[("relation", "events", true, true)],
            ),
            (
                "DELETE FROM __diesel_schema_migrations WHERE version = '20261124000003'",
                &[("migration", "20261124000003", true, false)],
            ),
        ];
        let owner = world.app.owner.as_ref().unwrap();
        for (sql, expected) in cases {
            // Made, looked at and taken back: each case stands alone.
            let sql = sql.replace("{role}", &format!("\"{schema}\""));
            let (before, after) = owner
                .rehearse(async |tx| {
                    let before = objects(tx, schema).await?;
                    tx.batch(&sql).await?;
                    Ok((before, objects(tx, schema).await?))
                })
                .await
                .unwrap();
            let found = shelfwise::db::catalogue::differences(&before, &after);
            let found: Vec<_> = found
                .iter()
                .map(|d| (d.kind.as_str(), d.name.as_str(), d.expected.is_some(), d.found.is_some()))
                .collect();
            assert_eq!(found, *expected, "{sql}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_shop_that_is_a_version_behind_does_not_drift() {
    world(async |world| {
        let newest = migrations(Plane::Tenant).pop().unwrap();
        let before = migrations(Plane::Tenant).iter().rev().nth(1).unwrap().version.clone();
        let (schema, id) = (&world.a.schema, world.a.id.0);
        let down = format!(
            r#"{} DELETE FROM __diesel_schema_migrations WHERE version = '{}';
               UPDATE control.tenants SET schema_version = '{before}' WHERE id = '{id}'"#,
            newest.down, newest.version
        );
        in_owner(world.app.owner.as_ref().unwrap(), async |tx| {
            tx.enter_schema(schema).await?;
            tx.batch(&down).await
        })
        .await;
        assert_eq!(told(world, &world.a).await, []);
        assert_eq!(told(world, &world.b).await, []);
    })
    .await;
}

#[tokio::test]
async fn operators_are_told_by_the_command_and_by_the_api() {
    world(async |world| {
        let sql = format!(r#"DROP INDEX "{}".books_price_idx"#, world.a.schema);
        psql().await.batch_execute(&sql).await.unwrap();
        let expected = "CREATE INDEX books_price_idx ON books USING btree (price_key, id)";

        let (slug, other) = (world.a.slug.as_str(), world.b.slug.as_str());
        let query = "query($slug: String!) { tenantDrift(slug: $slug) { kind name expected found } }";
        let answer = world.admin().data(query, json!({ "slug": slug })).await;
        let difference = json!({ "kind": "index", "name": "books_price_idx", "expected": expected, "found": null });
        assert_eq!(answer["tenantDrift"], json!([difference]));
        let answer = world.admin().data(query, json!({ "slug": other })).await;
        assert_eq!(answer["tenantDrift"], json!([]));
        let answer = world.admin().data(query, json!({ "slug": "nobody" })).await;
        assert_eq!(answer["tenantDrift"], Value::Null);

        let (urls, key) = (shared_urls(), JwtKey::generate("test-1").unwrap().to_setting());
        let output = shelfwise(&urls, &key, &["tenant", "drift", slug, "--json"]);
        assert!(!output.status.success(), "a difference is an error");
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&line["slug"], &line["differences"]), (&json!(slug), &json!([difference])));
        let output = shelfwise(&urls, &key, &["tenant", "drift", other]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1 tenants compared: 0 drift\n");
        assert!(!shelfwise(&urls, &key, &["tenant", "drift", "nobody"]).status.success());
    })
    .await;
}
