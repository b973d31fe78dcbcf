//! Indexes that are built outside of a transaction.

use shelfwise::control::migrations::Options;
use shelfwise::control::migrations::drive::Ended;
use shelfwise::db::migrate::Migration;
use tokio::sync::oneshot;

use super::fleet::{Fleet, column, migration, options, set_of};
use crate::harness::cluster::psql_of;

/// A migration that builds an index beside others' work.
fn index(number: u32) -> Migration {
    migration(
        number,
        "-- no transaction\nCREATE INDEX CONCURRENTLY books_extra_idx ON books (updated_at);",
        "-- no transaction\nDROP INDEX CONCURRENTLY books_extra_idx;",
    )
}

/// Whether the index is valid, by tenant.
const VALID: &str = "SELECT string_agg(indisvalid::text, ',') FROM pg_index
    WHERE indexrelid IN (SELECT oid FROM pg_class WHERE relname = 'books_extra_idx')";

#[tokio::test]
async fn an_index_is_built_between_other_migrations_and_taken_back() {
    let fleet = Fleet::of(3).await;
    let set = set_of([column(1), index(2), column(3)]);
    let (run, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&run).await), (Ended::Completed, [3, 0, 0, 0]));
    for tenant in 0..3 {
        fleet.assert_at(tenant, &[1, 2, 3]).await;
    }
    assert_eq!(fleet.ask(VALID).await, "true,true,true");

    let back = fleet.act(&set, async |bridge| bridge.run_rollback(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &back).await, Ended::Completed);
    assert_eq!(fleet.ask(VALID).await, "null");
    fleet.assert_at(0, &[]).await;
    assert!(!fleet.has_column(0, "extra_1").await);
}

#[tokio::test]
async fn what_an_interrupted_build_leaves_is_mended_by_the_next_run() {
    let fleet = Fleet::of(2).await;
    let set = set_of([index(1)]);
    // Somebody has written in a shop's table and not ended: the build waits for that, half done.
    let holder = fleet.hold(1).await;
    let run = fleet.start(&set, &Options { attempts_max: 100, ..options() }).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let interrupt = async {
        fleet.until("SELECT count(*) FROM control.migration_steps WHERE status = 'completed'", "1").await;
        fleet.until("SELECT count(*) FROM pg_index WHERE NOT indisvalid", "1").await;
        stop.send(()).unwrap();
    };
    let driver = fleet.driver(&set);
    let (ended, ()) = tokio::join!(driver.drive(run.id, stopped), interrupt);
    assert_eq!(ended.unwrap(), Ended::Elsewhere, "it is stopped, and the run is running");
    fleet.assert_at(0, &[1]).await;
    fleet.assert_at(1, &[]).await;
    assert_eq!(fleet.ask("SELECT leader FROM control.migration_runs").await, "null");

    holder.batch_execute("COMMIT").await.unwrap();
    fleet
        .until("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%' AND state = 'active'", "0")
        .await;
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.ask(VALID).await, "true,true");
    fleet.assert_at(1, &[1]).await;
}

#[tokio::test]
async fn an_index_that_is_there_and_was_not_entered_is_entered() {
    let fleet = Fleet::of(1).await;
    let set = set_of([index(1)]);
    // As after a crash between the build and the ledger.
    let schema = fleet.schema(0);
    fleet.sql(&format!(r#"CREATE INDEX books_extra_idx ON "{schema}".books (updated_at)"#)).await;
    let before = fleet.ask("SELECT oid FROM pg_class WHERE relname = 'books_extra_idx'").await;
    let (_, ended) = fleet.run(&set, &options()).await;
    assert_eq!(ended, Ended::Completed);
    fleet.assert_at(0, &[1]).await;
    assert_eq!(fleet.ask("SELECT oid FROM pg_class WHERE relname = 'books_extra_idx'").await, before, "built once");
}

#[tokio::test]
async fn two_sessions_never_build_in_one_schema() {
    let fleet = Fleet::of(1).await;
    let set = set_of([index(1)]);
    let psql = psql_of(&fleet.database).await;
    // What a session of a process that has died still holds.
    let lock = format!("SELECT pg_advisory_lock(hashtextextended('{}', 0))", fleet.schema(0));
    psql.batch_execute(&lock).await.unwrap();
    let (run, _) = fleet.run(&set, &options()).await;
    assert_eq!(fleet.counts(&run).await, [0, 1, 0, 0]);
    assert_eq!(fleet.ask(VALID).await, "null");
    psql.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    fleet.act(&set, async |bridge| bridge.run_retry(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.ask(VALID).await, "true");
}

#[tokio::test]
async fn a_unique_index_that_cannot_be_built_does_not_stay() {
    let fleet = Fleet::of(1).await;
    let set = set_of([migration(
        1,
        "-- no transaction\nCREATE UNIQUE INDEX CONCURRENTLY roles_one_idx ON roles ((true));",
        "-- no transaction\nDROP INDEX CONCURRENTLY roles_one_idx;",
    )]);
    let (run, _) = fleet.run(&set, &options()).await;
    assert_eq!(fleet.counts(&run).await, [0, 1, 0, 0]);
    let told = fleet.ask("SELECT error FROM control.migration_steps").await;
    assert!(told.contains("roles_one_idx"), "{told}");
    assert_eq!(fleet.ask("SELECT count(*) FROM pg_class WHERE relname = 'roles_one_idx'").await, "0");
}
