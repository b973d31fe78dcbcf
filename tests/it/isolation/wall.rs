//! PostgreSQL itself denies what names another tenant.

use std::sync::Arc;

use diesel::sql_types::{Jsonb, Text, Uuid as SqlUuid};
use shelfwise::db::{DbError, TenantTx};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::tenant::TenantCtx;

use crate::harness::World;
use crate::harness::cluster::psql;
use crate::harness::world;

#[derive(diesel::QueryableByName, Debug)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Runs a statement in a shop's writing transaction and answers the error.
async fn refused(world: &World, shop: &Arc<TenantCtx>, sql: &str) -> String {
    let session = world.app.services.tenants.session(Arc::clone(shop));
    let result: Result<usize, DbError> =
        session.write(async |tx: &mut TenantTx| tx.execute(diesel::sql_query(sql)).await).await;
    result.expect_err(sql).to_string()
}

#[tokio::test]
async fn naming_another_shops_schema_or_the_registry_is_denied() {
    world(async |world| {
        let other = &world.b.schema;
        for sql in [
            format!(r#"SELECT * FROM "{other}".books"#),
            format!(r#"INSERT INTO "{other}".authors SELECT * FROM authors"#),
            format!(r#"UPDATE "{other}".books SET stock = 0"#),
            format!(r#"DROP TABLE "{other}".books"#),
            format!(r#"CREATE TABLE "{other}".mine ()"#),
        ] {
            assert!(refused(world, &world.a, &sql).await.contains("permission denied for schema"), "{sql}");
        }
        for sql in [
            "SELECT * FROM control.tenants".to_owned(),
            "SELECT * FROM control.jobs".to_owned(),
            "INSERT INTO control.jobs (id, kind, payload) VALUES (gen_random_uuid(), 'x', '{}')".to_owned(),
            "UPDATE control.tenants SET status = 'suspended'".to_owned(),
        ] {
            assert!(refused(world, &world.a, &sql).await.contains("permission denied for table"), "{sql}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_shops_role_changes_rows_and_nothing_else() {
    world(async |world| {
        for (sql, message) in [
            ("CREATE TABLE mine (id int)", "permission denied for schema"),
            ("CREATE TEMPORARY TABLE books (id int)", "permission denied to create temporary tables"),
            ("ALTER TABLE books ADD COLUMN x int", "must be owner of table books"),
            ("TRUNCATE books", "permission denied for table books"),
            ("UPDATE tenant_head SET tenant_id = gen_random_uuid()", "permission denied for table tenant_head"),
            ("UPDATE tenant_stamp SET tenant_id = gen_random_uuid()", "permission denied for table tenant_stamp"),
            ("DELETE FROM tenant_head", "permission denied for table tenant_head"),
            ("DELETE FROM tenant_stamp", "permission denied for table tenant_stamp"),
            ("INSERT INTO tenant_stamp VALUES (gen_random_uuid())", "permission denied for table tenant_stamp"),
            ("SELECT * FROM __diesel_schema_migrations", "permission denied for table"),
            ("CREATE ROLE mine", "permission denied to create role"),
            ("SELECT set_config('role', 'postgres', true)", "permission denied for function set_config"),
            ("SELECT table_to_xml('books', true, false, '')", "permission denied for function table_to_xml"),
            ("DO $$ BEGIN SET LOCAL ROLE postgres; END $$", "permission denied for language plpgsql"),
            ("COPY books TO PROGRAM 'true'", "must be superuser"),
        ] {
            let error = refused(world, &world.a, sql).await;
            assert!(error.contains(message), "{sql}: {error}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_statement_without_a_tenant_finds_no_table() {
    world(async |world| {
        let books = diesel::sql_query("SELECT title AS name FROM books");
        let error = world.app.control.load::<_, Name, _>(books).await.unwrap_err().to_string();
        assert!(error.contains("relation \"books\" does not exist"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_job_is_enqueued_for_the_current_role_and_cannot_be_forged() {
    world(async |world| {
        let enqueue = async |key: Option<&str>| {
            let session = world.app.services.tenants.session(Arc::clone(&world.a));
            let work = async |tx: &mut TenantTx| {
                let statement = "SELECT control.job_enqueue($1, 'test.kind', $2, NULL, $3, NULL)";
                let query = diesel::sql_query(statement)
                    .bind::<SqlUuid, _>(SystemClock.new_id())
                    .bind::<Jsonb, _>(serde_json::json!({ "tenant_id": world.b.id.to_string() }))
                    .bind::<diesel::sql_types::Nullable<Text>, _>(key);
                tx.execute(query).await
            };
            session.write::<_, DbError>(work).await.unwrap()
        };
        enqueue(None).await;
        enqueue(Some("once")).await;
        enqueue(Some("once")).await;

        let jobs = psql().await;
        let count = |shop: &TenantCtx| {
            let id = shop.id.0;
            let jobs = &jobs;
            async move {
                let query = "SELECT count(*) FROM control.jobs WHERE tenant_id = $1 AND kind = 'test.kind'";
                jobs.query_one(query, &[&id]).await.unwrap().get::<_, i64>(0)
            }
        };
        assert_eq!((count(&world.a).await, count(&world.b).await), (2, 0), "an unfinished key exists once");

        // Without a tenant's role the function finds no tenant, and nothing is enqueued.
        let none = diesel::sql_query("SELECT coalesce(control.job_enqueue(gen_random_uuid(), 'test.kind', '{}', NULL, NULL, NULL)::text, 'none') AS name");
        let work = async |tx: &mut shelfwise::db::ControlTx| tx.load::<_, Name, _>(none).await;
        let answer = world.app.control.write::<_, DbError>(work).await.unwrap();
        assert_eq!(answer[0].name, "none");
    })
    .await;
}

#[tokio::test]
async fn the_roles_are_as_the_wall_needs_them() {
    world(async |world| {
        let psql = psql().await;
        let query = "SELECT rolcanlogin, rolinherit, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = $1";
        let runtime = psql.query_one(query, &[&"shelfwise"]).await.unwrap();
        let flags: Vec<bool> = (0..6).map(|index| runtime.get(index)).collect();
        assert_eq!(flags, [true, false, false, false, false, false], "the runtime login");
        let tenant = psql.query_one(query, &[&world.a.schema.as_str()]).await.unwrap();
        assert!(!tenant.get::<_, bool>(0), "a tenant's role cannot log in");
        let owned: i64 = psql
            .query_one("SELECT count(*) FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE r.rolname IN ('shelfwise', $1)", &[&world.a.schema.as_str()])
            .await
            .unwrap()
            .get(0);
        assert_eq!(owned, 0, "neither owns anything");
        let public: i64 = psql.query_one("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'", &[]).await.unwrap().get(0);
        assert_eq!(public, 0, "nothing is kept in public");
    })
    .await;
}
