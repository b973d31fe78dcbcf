//! Migrations of both planes, as data.

mod api;
mod backfill;
mod command;
mod crash;
mod drift;
mod fleet;
mod gauges;
mod index;
mod live;
mod pauses;
mod runs;

use diesel::sql_types::Text;
use shelfwise::app::owner;
use shelfwise::db::migrate::{Plane, migrate_control, migrate_tenant, migrations, revert_control, revert_tenant};
use shelfwise::db::{DbError, OwnerDb, OwnerTx};
use shelfwise::tenant::tables::TABLES;

use crate::harness::cluster::{own_database, psql, psql_of};
use crate::harness::world::{app, shop};

/// Everything the catalogue knows of a schema, with the schema's own name taken out.
async fn fingerprint(psql: &tokio_postgres::Client, schema: &str) -> Vec<String> {
    let query = "
        SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' '
               || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'r'
        UNION ALL
        SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = $1::text::regnamespace
        UNION ALL
        SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = $2
        UNION ALL
        SELECT 'function ' || p.oid::regprocedure || md5(pg_get_functiondef(p.oid)) || coalesce(p.proacl::text, '')
        FROM pg_proc p WHERE pronamespace = $1::text::regnamespace
        UNION ALL
        SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = $1::text::regnamespace AND NOT tgisinternal
        UNION ALL
        SELECT 'grant ' || relname || ' ' || coalesce(relacl::text, '') FROM pg_class
        WHERE relnamespace = $1::text::regnamespace AND relkind = 'r'
        ORDER BY 1";
    let quoted = format!("\"{schema}\"");
    let rows = psql.query(query, &[&quoted, &schema]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0).replace(schema, "SCHEMA")).collect()
}

#[tokio::test]
async fn the_control_plane_goes_up_down_and_up_again() {
    let (name, urls) = own_database().await;
    let owner = owner(&urls).unwrap();
    assert_eq!(migrate_control(&owner).await.unwrap(), migrations(Plane::Control).len());
    let psql = psql_of(&name).await;
    let first = fingerprint(&psql, "control").await;
    assert!(first.iter().any(|line| line.starts_with("column tenants.slug")), "{first:?}");

    assert_eq!(migrate_control(&owner).await.unwrap(), 0, "a second run has nothing to do");
    revert_control(&owner).await.unwrap();
    let empty = fingerprint(&psql, "control").await;
    assert!(empty.iter().all(|line| line.contains("__diesel_schema_migrations")), "{empty:?}");
    migrate_control(&owner).await.unwrap();
    assert_eq!(fingerprint(&psql, "control").await, first);
}

#[tokio::test]
async fn replicas_that_migrate_together_run_each_migration_once() {
    let (_, urls) = own_database().await;
    let owner = owner(&urls).unwrap();
    let runs = futures_util::future::join_all((0..4).map(|_| migrate_control(&owner))).await;
    let ran: usize = runs.into_iter().map(Result::unwrap).sum();
    assert_eq!(ran, migrations(Plane::Control).len());
}

#[tokio::test]
async fn a_tenant_goes_down_and_up_again_and_is_as_a_new_one() {
    let app = app(&[]);
    let (tenant, fresh) = (shop(&app, "m").await, shop(&app, "m").await);
    let psql = psql().await;
    let new = fingerprint(&psql, fresh.schema.as_str()).await;
    assert_eq!(fingerprint(&psql, tenant.schema.as_str()).await, new);

    let owner = app.owner.as_ref().unwrap();
    in_owner(owner, async |tx| revert_tenant(tx, &tenant.schema).await).await;
    let empty = fingerprint(&psql, tenant.schema.as_str()).await;
    assert!(empty.iter().all(|line| line.contains("__diesel_schema_migrations")), "{empty:?}");
    let ran = in_owner(owner, async |tx| migrate_tenant(tx, &tenant.schema).await).await;
    assert_eq!(ran, migrations(Plane::Tenant).len());
    assert_eq!(fingerprint(&psql, tenant.schema.as_str()).await, new, "migrating makes what provisioning makes");
    assert_eq!(fingerprint(&psql, fresh.schema.as_str()).await, new, "the other tenant is as it was");
}

async fn in_owner<T>(owner: &OwnerDb, work: impl AsyncFnOnce(&mut OwnerTx) -> Result<T, DbError>) -> T {
    owner.write(work).await.unwrap()
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[tokio::test]
async fn tenant_tables_keep_the_conventions() {
    let app = app(&[]);
    let tenant = shop(&app, "c").await;
    let check = async |what: &str, sql: &str| {
        let query = diesel::sql_query(sql.replace("{schema}", tenant.schema.as_str()));
        let found: Vec<Line> = in_owner(app.owner.as_ref().unwrap(), async |tx| tx.load(query).await).await;
        let found: Vec<String> = found.into_iter().map(|row| row.line).collect();
        assert_eq!(found, Vec::<String>::new(), "{what}");
    };
    check(
        "foreign keys have an index that serves them",
        "SELECT conrelid::regclass || ' ' || conname AS line FROM pg_constraint k
         WHERE contype = 'f' AND connamespace = '{schema}'::regnamespace AND NOT EXISTS (
             SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1])
         AND conrelid::regclass::text NOT LIKE '%categories'",
    )
    .await;
    check("no foreign key leaves the schema", "SELECT conname AS line FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid WHERE contype = 'f' AND connamespace = '{schema}'::regnamespace AND r.relnamespace <> connamespace").await;
    check("no types of one's own", "SELECT typname::text AS line FROM pg_type WHERE typnamespace = '{schema}'::regnamespace AND typtype IN ('e', 'd') ").await;
    check(
        "no sequences",
        "SELECT relname::text AS line FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'S'",
    )
    .await;
    check("times have a zone", "SELECT c.relname || '.' || attname AS line FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r' AND atttypid = 'timestamp'::regtype AND relname NOT LIKE '\\_\\_diesel%'").await;
}

#[tokio::test]
async fn every_table_of_a_shop_says_who_carries_it_elsewhere() {
    let app = app(&[]);
    let tenant = shop(&app, "m").await;
    let psql = psql().await;
    let query = "SELECT relname::text FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind = 'r'
                 AND relname <> '__diesel_schema_migrations' ORDER BY 1";
    let rows = psql.query(query, &[&tenant.schema.as_str()]).await.unwrap();
    let there: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut listed: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    listed.sort_unstable();
    assert_eq!(there, listed);

    // Whatever refers to a table is further down than it.
    let query = "SELECT DISTINCT c.relname::text, p.relname::text FROM pg_constraint f
                 JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class p ON p.oid = f.confrelid
                 WHERE f.contype = 'f' AND f.connamespace = $1::text::regnamespace AND c.oid <> p.oid";
    let place = |name: String| TABLES.iter().position(|table| table.name == name).unwrap();
    for row in psql.query(query, &[&tenant.schema.as_str()]).await.unwrap() {
        let (child, parent): (String, String) = (row.get(0), row.get(1));
        assert!(place(child.clone()) > place(parent.clone()), "{child} refers to {parent}");
    }
}
