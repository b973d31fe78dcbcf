//! What the catalogue of a migrated database must not have. `migrations` and the baseline are judged by what they make.

use crate::harness::cluster::psql;
use crate::harness::{World, world};

/// Objects that a query finds, each as a line.
async fn found(query: &str, shop: &str) -> Vec<String> {
    let rows = psql().await.query(query, &[&shop]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn assert_none(world: &World, what: &str, query: &str) {
    assert_eq!(found(query, world.a.schema.as_str()).await, Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn no_foreign_key_leads_from_one_schema_to_another() {
    world(async |world| {
        let query = "SELECT conrelid::regclass || ' ' || conname FROM pg_constraint c
            JOIN pg_class mine ON mine.oid = c.conrelid JOIN pg_class theirs ON theirs.oid = c.confrelid
            WHERE contype = 'f' AND mine.relnamespace <> theirs.relnamespace AND $1::text IS NOT NULL";
        assert_none(world, "foreign keys between schemas, of all there are", query).await;
        // It does find those that there are.
        let within = query.replace("<>", "=");
        assert!(found(&within, world.a.schema.as_str()).await.len() > 10, "the look finds no foreign key at all");
    })
    .await;
}

#[tokio::test]
async fn nothing_in_a_shops_schema_depends_on_another_schema() {
    world(async |world| {
        // What the schema's relations, their defaults, constraints, indexes, triggers and rules refer to: relations,
        // functions and types. What is built in is pinned and has no entry.
        let query = "SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) || ' on '
                || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
            FROM pg_depend d
            CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) theirs
            WHERE d.objid IN (
                    SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace($1)
                    UNION ALL SELECT oid FROM pg_constraint WHERE connamespace = to_regnamespace($1)
                    UNION ALL SELECT a.oid FROM pg_attrdef a JOIN pg_class c ON c.oid = a.adrelid
                    WHERE c.relnamespace = to_regnamespace($1))
                AND theirs.schema IS NOT NULL AND theirs.schema <> $1 AND d.refclassid <> 'pg_namespace'::regclass";
        let foreign = found(query, world.a.schema.as_str()).await;
        let foreign: Vec<_> = foreign.iter().filter(|line| !line.contains("pg_catalog")).collect();
        assert_eq!(foreign, Vec::<&String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_shops_schema_has_nothing_that_a_shard_cannot_have() {
    world(async |world| {
        let shop = "(SELECT oid FROM pg_namespace WHERE nspname = $1)";
        for (what, query) in [
            (
                "relations that are neither tables nor indexes nor sequences",
                "SELECT relname::text FROM pg_class WHERE relkind NOT IN ('r', 'i', 'S', 't') AND relnamespace = ",
            ),
            ("tables that are not logged", "SELECT relname::text FROM pg_class WHERE relpersistence <> 'p' AND relnamespace = "),
            (
                "triggers",
                "SELECT tgname::text FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND c.relnamespace = ",
            ),
            ("rules", "SELECT rulename::text FROM pg_rewrite JOIN pg_class c ON c.oid = ev_class WHERE c.relnamespace = "),
            ("policies", "SELECT polname::text FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE c.relnamespace = "),
            (
                "tables that inherit",
                "SELECT c.relname::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind = 'r' AND c.relnamespace = ",
            ),
            ("functions", "SELECT proname::text FROM pg_proc WHERE pronamespace = "),
            (
                "types of its own",
                "SELECT typname::text FROM pg_type WHERE typrelid = 0 AND typelem = 0 AND typnamespace = ",
            ),
            ("operators", "SELECT oprname::text FROM pg_operator WHERE oprnamespace = "),
            (
                "keys of an exclusion",
                "SELECT conname::text FROM pg_constraint WHERE contype = 'x' AND connamespace = ",
            ),
        ] {
            assert_none(world, what, &format!("{query}{shop}")).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_shops_role_reaches_control_by_the_functions_about_its_jobs_alone() {
    world(async |world| {
        let tables = "SELECT c.oid::regclass::text FROM pg_class c
            WHERE c.relnamespace = 'control'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
                AND has_table_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')";
        assert_none(world, "tables of control that a shop's role reaches", tables).await;
        let functions = "SELECT DISTINCT proname::text FROM pg_proc
            WHERE pronamespace = 'control'::regnamespace AND has_function_privilege($1, oid, 'EXECUTE')
                AND prorettype <> 'trigger'::regtype ORDER BY 1";
        assert_eq!(found(functions, world.a.schema.as_str()).await, ["job_advance", "job_enqueue", "job_hold"]);
    })
    .await;
}

#[tokio::test]
async fn the_platforms_own_tables_know_shops_by_their_rows() {
    world(async |world| {
        let query = "SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend d
            CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) mine
            WHERE mine.schema = 'control'
                AND d.refobjid IN (SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace($1))";
        assert_none(world, "objects of control that depend on a shop's schema", query).await;
        let public =
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND $1::text IS NOT NULL";
        assert_none(world, "objects in public", public).await;
    })
    .await;
}
