//! The deletion: few locks at a time, and nobody waits for those who hold others.

use std::time::Instant;

use serde_json::json;
use shelfwise::control::isolation::verify;
use shelfwise::control::tenants::keys::make_missing;
use shelfwise::db::{DbError, OwnerTx};

use super::{GRACE, Site};
use crate::harness::cluster::psql_of;
use crate::harness::world::operator;

/// Locks that one transaction of a deletion may take: no more than the lock table reckons with for each transaction.
const LOCKS_MAX: i64 = 64;

#[derive(diesel::QueryableByName)]
struct Locks {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// How many locks the transaction holds that the lock table has to have room for.
async fn locks(tx: &mut OwnerTx) -> Result<i64, DbError> {
    let query = diesel::sql_query("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND NOT fastpath");
    Ok(tx.load(query).await?.pop().map_or(0, |locks: Locks| locks.count))
}

#[tokio::test]
async fn no_step_takes_more_than_a_few_locks() {
    let site = Site::start().await;
    let owner = site.world.app.owner.as_ref().unwrap();
    let schema = &site.world.a.schema;
    let tables = owner.write(async |tx: &mut OwnerTx| tx.tables(schema).await).await.unwrap();
    assert!(tables.len() > 25, "{tables:?}");
    let mut dropped = 0;
    loop {
        let step = async |tx: &mut OwnerTx| {
            let Some(table) = tx.tables(schema).await?.into_iter().next() else { return Ok(None) };
            tx.table_drop(schema, &table).await?;
            Ok::<_, DbError>(Some((table, locks(tx).await?)))
        };
        let Some((table, count)) = owner.write(step).await.unwrap() else { break };
        assert!(count <= LOCKS_MAX, "{table}: {count}");
        dropped += 1;
    }
    assert_eq!(dropped, tables.len());
    let last = async |tx: &mut OwnerTx| {
        tx.schema_drop(schema).await?;
        locks(tx).await
    };
    let count = owner.write(last).await.unwrap();
    assert!(count <= LOCKS_MAX, "schema and role: {count}");
    site.end().await;
}

#[tokio::test]
async fn a_table_in_use_is_waited_for_and_does_not_hold_the_worker() {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    let holder = psql_of(&site.queue.database().await).await;
    let lock = format!(r#"BEGIN; LOCK TABLE "{}".books IN ACCESS SHARE MODE"#, site.world.a.schema);
    holder.batch_execute(&lock).await.unwrap();
    site.pass(GRACE).await;
    let started = Instant::now();
    while !site.ask("error").await.contains("lock timeout") {
        assert!(started.elapsed() < super::PATIENCE, "{}", site.row().await);
        site.queue.pass_the_time().await;
    }
    // The job has put itself off, has used up no attempt, and others are served.
    let job = "SELECT state || ' ' || (attempt <= 1) FROM control.jobs WHERE kind = 'offboarding.advance'";
    site.queue.until(job, "scheduled true").await;
    assert_eq!(site.status().await, "deleting");
    assert_eq!(site.world.other_owner().gql("{ books { totalCount } }", json!({})).await.code(), "");

    // A shop that is going is nobody's neighbour, and gets no keys: none was told of it as broken.
    let services = &site.world.app.services;
    let report = verify(&site.world.app.control, &services.tenants).await.unwrap();
    assert_eq!((report.tenants, report.breaches), (0, Vec::new()), "there is one other shop alone");
    let (owner, clock) = (site.world.app.owner.as_ref().unwrap(), &*services.clock);
    assert_eq!(make_missing(owner, &services.vault, clock, &operator()).await.unwrap(), 0);

    holder.batch_execute("ROLLBACK").await.unwrap();
    site.until("completed").await;
    assert_eq!(site.ask("error").await, "null");
    assert_eq!(site.traces().await, Vec::<String>::new());
    site.end().await;
}

#[tokio::test]
async fn what_others_have_put_into_the_schema_goes_too() {
    let mut site = Site::start().await;
    let schema = &site.world.a.schema;
    let by_hand = format!(
        r#"CREATE TABLE "{schema}"."by ""hand""" (id int PRIMARY KEY, other int);
           CREATE TABLE "{schema}".circle (id int PRIMARY KEY REFERENCES "{schema}"."by ""hand""");
           ALTER TABLE "{schema}"."by ""hand""" ADD FOREIGN KEY (other) REFERENCES "{schema}".circle;
           CREATE TABLE "{schema}".parts (id int) PARTITION BY RANGE (id);
           CREATE TABLE "{schema}".part PARTITION OF "{schema}".parts DEFAULT;
           INSERT INTO "{schema}".parts VALUES (1), (2);
           CREATE VIEW "{schema}".seen AS SELECT * FROM "{schema}".books;
           CREATE SEQUENCE "{schema}".numbers;
           CREATE FUNCTION "{schema}".nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'"#
    );
    site.queue.sql(&format!("SET ROLE shelfwise_owner; {by_hand}; RESET ROLE")).await;
    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    site.pass(GRACE).await;
    site.until("completed").await;
    assert_eq!(site.traces().await, Vec::<String>::new());
    assert_eq!(site.ask("tables_dropped->>'parts'").await, "2");
    assert_eq!(site.ask("tables_dropped->>'by \"hand\"'").await, "0");
    site.end().await;
}

/// Every table of the control plane that says whose its rows are is purged, or kept for a reason.
#[tokio::test]
async fn every_table_of_the_control_plane_that_names_a_tenant_is_purged_or_kept_on_purpose() {
    let site = Site::start().await;
    let query = "SELECT string_agg(table_name, ',' ORDER BY table_name) FROM information_schema.columns
        WHERE table_schema = 'control' AND column_name = 'tenant_id'";
    // Kept: the archives until they expire, the offboarding with its certificate, and what runs of migrations did when.
    assert_eq!(
        site.queue.ask(query).await,
        "archives,audit_anchors,backfills,deprecated_usage,deprecation_extensions,deprecation_notices,jobs,migration_steps,\
         offboardings,plan_overrides,tenant_flags,tenant_settings,webhook_troubles"
    );
    site.end().await;
}
