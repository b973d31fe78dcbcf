//! What migrations leave to be filled in by jobs, and what waits for it.

use std::sync::Arc;

use shelfwise::app::App;
use shelfwise::control::migrations::drive::Ended;
use shelfwise::control::migrations::service::plan;
use shelfwise::control::migrations::{MigrationSet, Options};
use shelfwise::db::OwnerTx;
use shelfwise::db::migrate::Migration;
use shelfwise::db::migrate::fleet::fill_again;
use shelfwise::jobs::Handlers;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::worker::fleet::with_fleet;
use shelfwise::worker::work;

use super::fleet::{Fleet, migration, options, set_of, version};
use crate::harness::world::config_over;

/// A column that is filled in two rows at a time, and a rule that waits for that.
fn expand_and_contract() -> [Migration; 2] {
    let expand = Migration {
        backfill: Some(
            "UPDATE roles SET label = name WHERE id IN (SELECT id FROM roles WHERE label IS NULL LIMIT 2)".to_owned(),
        ),
        ..migration(1, "ALTER TABLE roles ADD COLUMN label text", "ALTER TABLE roles DROP COLUMN label")
    };
    let after = version(1);
    let contract = migration(
        2,
        &format!(
            "-- after backfill: {after}\n-- allow: lock: a shop has few roles\n
             ALTER TABLE roles ALTER COLUMN label SET NOT NULL"
        ),
        "ALTER TABLE roles ALTER COLUMN label DROP NOT NULL",
    );
    [expand, contract]
}

fn app_of(fleet: &Fleet) -> Arc<App> {
    Arc::new(App::new(config_over(&fleet.urls, &[]), Arc::new(SystemClock)).unwrap())
}

/// A worker that knows the fleet's jobs, for as long as something else takes.
async fn with_worker<T>(fleet: &Fleet, set: &MigrationSet, work_meanwhile: impl Future<Output = T>) -> T {
    let app = app_of(fleet);
    let handlers = with_fleet(Handlers::default(), &app, set.clone());
    tokio::select! {
        done = work_meanwhile => done,
        worked = work(Arc::clone(&app), handlers, std::future::pending()) => panic!("{worked:?}"),
    }
}

#[tokio::test]
async fn a_backfill_is_done_by_jobs_and_what_waits_for_it_comes_after() {
    let fleet = Fleet::of(2).await;
    let set = set_of(expand_and_contract());
    let (first, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&first).await), (Ended::Completed, [0, 0, 2, 0]));
    for tenant in 0..2 {
        fleet.assert_at(tenant, &[1]).await;
    }
    assert_eq!(fleet.ask("SELECT count(*) FROM control.jobs WHERE kind = 'shop.backfill'").await, "2");
    let filled = fleet.until("SELECT count(*) FROM control.backfills WHERE finished_at IS NOT NULL", "2");
    with_worker(&fleet, &set, filled).await;
    let (run, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&run).await), (Ended::Completed, [2, 0, 0, 0]));
    for tenant in 0..2 {
        fleet.assert_at(tenant, &[1, 2]).await;
        let schema = fleet.schema(tenant);
        assert_eq!(fleet.ask(&format!(r#"SELECT count(*) FROM "{schema}".roles WHERE label = name"#)).await, "4");
    }
    assert_eq!(fleet.ask("SELECT sum(row_count) FROM control.backfills").await, "8");
}

#[tokio::test]
async fn what_waits_for_a_backfill_has_not_failed_and_is_a_later_runs() {
    let fleet = Fleet::of(4).await;
    let set = set_of(expand_and_contract());
    // Of failures none would be allowed, and a canary's would stop the run.
    let canaries = vec![fleet.tenants[0].slug.clone()];
    let (run, ended) = fleet.run(&set, &Options { canaries, error_rate_max: 0.0, ..options() }).await;
    assert_eq!((ended, fleet.counts(&run).await), (Ended::Completed, [0, 0, 4, 0]));
    let told = "SELECT string_agg(DISTINCT attempts || ' ' || error, ';') FROM control.migration_steps";
    let waits = format!("0 waits until the backfill of {} is done", version(1));
    assert_eq!(fleet.ask(told).await, waits);
    fleet.assert_at(0, &[1]).await;
    let planned = plan(&fleet.control, &set).await.unwrap();
    assert_eq!((planned.backfills, planned.behind[0].tenants), (4, 4));

    let (again, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&again).await), (Ended::Completed, [0, 0, 4, 0]), "it does not hang");
    let filled = fleet.until("SELECT count(*) FROM control.backfills WHERE finished_at IS NOT NULL", "4");
    with_worker(&fleet, &set, filled).await;
    let (last, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&last).await), (Ended::Completed, [4, 0, 0, 0]));
    fleet.assert_at(0, &[1, 2]).await;
}

#[tokio::test]
async fn workers_of_the_release_before_leave_a_backfill_to_those_that_know_it() {
    let fleet = Fleet::of(1).await;
    let [expand, _] = expand_and_contract();
    let set = set_of([expand]);
    fleet.run(&set, &options()).await;
    let job = "SELECT attempt || ' ' || errors || ' ' || (scheduled_at > now()) FROM control.jobs WHERE kind = 'shop.backfill'";
    let put_off = fleet.until(job, "0 [] true");
    with_worker(&fleet, &set_of([]), put_off).await;
    fleet.sql("UPDATE control.jobs SET scheduled_at = now() WHERE kind = 'shop.backfill'").await;
    let filled = fleet.until("SELECT count(*) FROM control.backfills WHERE finished_at IS NOT NULL", "1");
    with_worker(&fleet, &set, filled).await;
}

#[tokio::test]
async fn a_schema_from_elsewhere_is_filled_in_before_it_goes_on() {
    let fleet = Fleet::of(2).await;
    let [expand, contract] = expand_and_contract();
    let set = set_of([expand, contract]);
    fleet.run(&set, &options()).await;
    let labels = async |tenant: usize| {
        let schema = fleet.schema(tenant);
        fleet.ask(&format!(r#"SELECT count(*) FROM "{schema}".roles WHERE label = name"#)).await
    };
    let fill = async |version: String| {
        let schema = fleet.schema(0);
        let work = async |tx: &mut OwnerTx| fill_again(tx, &schema, &set.migrations, &version).await;
        fleet.owner.write(work).await.unwrap();
    };
    fill(version(0)).await;
    assert_eq!(labels(0).await, "0", "its version knows of no backfill");
    // What waits for a backfill was run: so that one was done, and its column may be gone.
    fill(version(2)).await;
    assert_eq!(labels(0).await, "0");
    fill(version(1)).await;
    fill(version(1)).await;
    assert_eq!((labels(0).await, labels(1).await), ("4".to_owned(), "0".to_owned()), "the other one is as it was");
}

#[tokio::test]
async fn a_backfill_that_is_broken_off_goes_on_with_the_rows_that_are_left() {
    let fleet = Fleet::of(1).await;
    let [expand, _] = expand_and_contract();
    let set = set_of([expand]);
    fleet.run(&set, &options()).await;
    let schema = fleet.schema(0);
    // Two rows are filled in; the third batch would meet a row that somebody holds.
    let holder = crate::harness::cluster::psql_of(&fleet.database).await;
    holder
        .batch_execute(&format!(r#"BEGIN; SELECT FROM "{schema}".roles WHERE name = 'Read only' FOR UPDATE"#))
        .await
        .unwrap();
    let waits = fleet.until(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE roles SET label%'
        AND wait_event_type = 'Lock'",
        "1",
    );
    // The worker is dropped in the middle of a batch, as by a power cut.
    with_worker(&fleet, &set, waits).await;
    holder.batch_execute("COMMIT").await.unwrap();
    fleet
        .until(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE roles SET label%' AND state = 'active'",
            "0",
        )
        .await;
    fleet.sql("UPDATE control.jobs SET lease_expires_at = now() - interval '1 second' WHERE state = 'running'").await;
    let filled = fleet.until("SELECT count(*) FROM control.backfills WHERE finished_at IS NOT NULL", "1");
    with_worker(&fleet, &set, filled).await;
    assert_eq!(fleet.ask(&format!(r#"SELECT count(*) FROM "{schema}".roles WHERE label = name"#)).await, "4");
}

#[tokio::test]
async fn a_spare_schema_is_filled_in_at_once_and_a_way_back_forgets_the_rest() {
    let fleet = Fleet::of(2).await;
    let id = fleet.tenants[1].id.0;
    fleet
        .sql(&format!(
            "INSERT INTO control.spare_schemas (id, schema_version, created_at)
                 SELECT id, schema_version, now() FROM control.tenants WHERE id = '{id}';
             DELETE FROM control.jobs; DELETE FROM control.tenants WHERE id = '{id}'"
        ))
        .await;
    let set = set_of(expand_and_contract());
    let (run, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&run).await), (Ended::Completed, [1, 0, 1, 0]));
    let schema = fleet.schema(1);
    assert_eq!(fleet.ask(&format!(r#"SELECT count(*) FROM "{schema}".roles WHERE label = name"#)).await, "4");
    assert_eq!(fleet.ask("SELECT schema_version FROM control.spare_schemas").await, version(2));

    let back = fleet.act(&set, async |bridge| bridge.run_rollback(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &back).await, Ended::Completed);
    assert_eq!(fleet.counts(&back).await, [2, 0, 0, 0]);
    assert_eq!(fleet.ask("SELECT count(*) FROM control.backfills").await, "0");
    fleet.assert_at(0, &[]).await;
}
