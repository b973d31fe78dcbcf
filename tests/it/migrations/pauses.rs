//! When a run stops by itself or at a word, and what a busy tenant notices of it.

use std::time::Duration;

use shelfwise::control::migrations::drive::{Driver, Ended, Lease};
use shelfwise::control::migrations::{Options, RunStatus};

use super::fleet::{Fleet, column, migration, options, set_of};
use crate::harness::cluster::psql_of;

/// A migration that fails where a table is in the way.
fn extras() -> shelfwise::db::migrate::Migration {
    migration(1, "CREATE TABLE extras ()", "DROP TABLE extras")
}

/// Puts a table in the way of [`extras`].
async fn block(fleet: &Fleet, tenant: usize) {
    fleet.sql(&format!(r#"CREATE TABLE "{}".extras (mine int)"#, fleet.schema(tenant))).await;
}

#[tokio::test]
async fn a_failing_canary_stops_the_run_before_anybody_else() {
    let fleet = Fleet::of(4).await;
    let set = set_of([extras()]);
    block(&fleet, 2).await;
    let canaries = vec![fleet.tenants[2].slug.clone()];
    let (run, ended) = fleet.run(&set, &Options { canaries, ..options() }).await;
    assert_eq!((ended, run.status()), (Ended::Paused, RunStatus::Paused));
    assert_eq!(run.pause_reason.as_deref(), Some("a canary failed"));
    assert_eq!(fleet.counts(&run).await, [0, 1, 0, 3]);
    assert_eq!(fleet.drive(&set, &run).await, Ended::Paused, "nothing is done before a word");
    assert_eq!(fleet.counts(&run).await, [0, 1, 0, 3]);

    fleet.sql(&format!(r#"DROP TABLE "{}".extras"#, fleet.schema(2))).await;
    fleet.act(&set, async |bridge| bridge.run_retry(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.counts(&run).await, [4, 0, 0, 0]);
}

#[tokio::test]
async fn too_many_failures_pause_the_wave_and_spare_the_next_ones() {
    let fleet = Fleet::of(6).await;
    let set = set_of([extras()]);
    for tenant in 0..4 {
        block(&fleet, tenant).await;
    }
    // Ids are in the order of time: the first wave has the four that fail.
    let wanted = Options { wave_size: 4, concurrency: 1, error_rate_max: 0.25, ..options() };
    let (run, ended) = fleet.run(&set, &wanted).await;
    assert_eq!((ended, run.pause_reason.as_deref()), (Ended::Paused, Some("2 of 4 steps of wave 2 failed; 1 may")));
    assert_eq!(fleet.counts(&run).await, [0, 2, 0, 4]);

    // An operator who knows better goes on: two more fail, and each is another reason to pause.
    for _ in 0..2 {
        fleet.act(&set, async |bridge| bridge.run_resume(None).await).await.unwrap();
        assert_eq!(fleet.drive(&set, &run).await, Ended::Paused);
    }
    fleet.act(&set, async |bridge| bridge.run_resume(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.counts(&run).await, [2, 4, 0, 0]);
}

#[tokio::test]
async fn a_busy_tenant_is_not_kept_waiting_and_the_others_go_on() {
    let fleet = Fleet::of(3).await;
    let set = set_of([column(1)]);
    let holder = fleet.hold(0).await;
    let readers = async {
        // Whoever works in the shop meanwhile waits no longer than the run waits for its lock.
        let psql = psql_of(&fleet.database).await;
        psql.batch_execute("SET statement_timeout = '3s'").await.unwrap();
        loop {
            psql.batch_execute(&format!(r#"SELECT count(*) FROM "{}".books"#, fleet.schema(0))).await.unwrap();
        }
    };
    let wanted = Options { attempts_max: 4, ..options() };
    let (run, ended) = tokio::select! {
        done = fleet.run(&set, &wanted) => done,
        () = readers => unreachable!("readers go on for ever"),
    };
    assert_eq!((ended, fleet.counts(&run).await), (Ended::Completed, [2, 1, 0, 0]));
    let told = "SELECT attempts || ' ' || error FROM control.migration_steps WHERE status = 'failed'";
    assert_eq!(fleet.ask(told).await, "4 the statement was cancelled: canceling statement due to lock timeout");
    fleet.assert_at(0, &[]).await;
    fleet.assert_at(1, &[1]).await;

    holder.batch_execute("COMMIT").await.unwrap();
    fleet.act(&set, async |bridge| bridge.run_retry(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.counts(&run).await, [3, 0, 0, 0]);
    fleet.assert_at(0, &[1]).await;
}

#[tokio::test]
async fn a_pause_is_heard_at_once_and_a_resumed_run_goes_on_where_it_was() {
    let fleet = Fleet::of(3).await;
    let set = set_of([column(1)]);
    let holder = fleet.hold(1).await;
    let run = fleet.start(&set, &Options { attempts_max: 100, ..options() }).await.unwrap();
    let paused = async {
        fleet.until("SELECT count(*) FROM control.migration_steps WHERE status = 'completed'", "2").await;
        fleet.act(&set, async |bridge| bridge.run_pause(Some(run.id), "lunch").await).await.unwrap()
    };
    let (ended, paused) = tokio::join!(fleet.drive(&set, &run), paused);
    assert_eq!((ended, paused.pause_reason.as_deref()), (Ended::Paused, Some("lunch")));
    assert_eq!(fleet.counts(&run).await, [2, 0, 0, 1]);
    assert_eq!(fleet.ask("SELECT leader FROM control.migration_runs").await, "null", "nobody waits for its lease");

    holder.batch_execute("COMMIT").await.unwrap();
    fleet.act(&set, async |bridge| bridge.run_resume(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.counts(&run).await, [3, 0, 0, 0]);
}

#[tokio::test]
async fn a_run_that_is_paused_is_taken_back_as_far_as_it_went() {
    let fleet = Fleet::of(3).await;
    let set = set_of([column(1)]);
    let holder = fleet.hold(2).await;
    let (run, _) = fleet.run(&set, &options()).await;
    assert_eq!(fleet.counts(&run).await, [2, 1, 0, 0]);
    let back = fleet.act(&set, async |bridge| bridge.run_rollback(None).await).await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(fleet.drive(&set, &back).await, Ended::Completed);
    assert_eq!(fleet.counts(&back).await, [2, 0, 0, 0], "the third has nothing to take back");
    for tenant in 0..3 {
        fleet.assert_at(tenant, &[]).await;
    }
}

#[tokio::test]
async fn two_leaders_take_turns_and_do_each_step_once() {
    let fleet = Fleet::of(5).await;
    let set = set_of([column(1)]);
    let run = fleet.start(&set, &options()).await.unwrap();
    let drive = async || fleet.driver(&set).drive(run.id, std::future::pending()).await.unwrap();
    let ends = tokio::join!(drive(), drive(), drive());
    let ends = [ends.0, ends.1, ends.2];
    assert_eq!(ends.iter().filter(|end| **end == Ended::Elsewhere).count(), 2, "{ends:?}");
    assert_eq!(fleet.counts(&run).await, [5, 0, 0, 0]);
    assert_eq!(fleet.ask("SELECT max(attempts) FROM control.migration_steps").await, "1");
    assert_eq!(fleet.ask("SELECT leader_fence FROM control.migration_runs").await, "1");
}

#[tokio::test]
async fn who_has_lost_the_lease_does_nothing_more_and_who_takes_it_goes_on() {
    let fleet = Fleet::of(3).await;
    let set = set_of([column(1)]);
    let holder = fleet.hold(2).await;
    let run = fleet.start(&set, &Options { attempts_max: 100, ..options() }).await.unwrap();
    let lost = async {
        fleet.until("SELECT count(*) FROM control.migration_steps WHERE status = 'completed'", "2").await;
        // As if it had slept for so long that another came.
        fleet
            .sql(
                "UPDATE control.migration_runs SET leader = 'other', leader_fence = leader_fence + 1,
                 leader_until = now() + interval '700 milliseconds'",
            )
            .await;
    };
    let (ended, ()) = tokio::join!(fleet.drive(&set, &run), lost);
    assert_eq!(ended, Ended::Elsewhere);
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(fleet.ask("SELECT leader FROM control.migration_runs").await, "other");
    fleet.until("SELECT leader_until < now() FROM control.migration_runs", "true").await;
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed, "the other one is lost: its lease is over");
    assert_eq!(fleet.counts(&run).await, [3, 0, 0, 0]);
}

#[tokio::test]
async fn a_leader_whose_beats_fail_stops_before_its_lease_is_over() {
    let fleet = Fleet::of(2).await;
    let set = set_of([column(1)]);
    let _holder = fleet.hold(1).await;
    let run = fleet.start(&set, &Options { attempts_max: 100, ..options() }).await.unwrap();
    let lease = Lease { length: Duration::from_millis(300), beat: Duration::from_millis(50) };
    let driver = Driver { lease, ..fleet.driver(&set) };
    let cut = async {
        fleet.until("SELECT count(*) FROM control.migration_steps WHERE status = 'completed'", "1").await;
        fleet.sql("UPDATE control.migration_runs SET leader_until = NULL").await;
    };
    let (ended, ()) = tokio::join!(driver.drive(run.id, std::future::pending()), cut);
    assert_eq!(ended.unwrap(), Ended::Elsewhere);
}

#[tokio::test]
async fn a_run_holds_after_its_canaries_whatever_has_paused_it_before() {
    let fleet = Fleet::of(3).await;
    let set = set_of([extras()]);
    block(&fleet, 1).await;
    let canaries = vec![fleet.tenants[1].slug.clone()];
    let wanted = Options { canaries, hold_after_canaries: true, ..options() };
    let (run, ended) = fleet.run(&set, &wanted).await;
    assert_eq!((ended, run.pause_reason.as_deref()), (Ended::Paused, Some("a canary failed")));
    fleet.sql(&format!(r#"DROP TABLE "{}".extras"#, fleet.schema(1))).await;
    fleet.act(&set, async |bridge| bridge.run_retry(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Paused);
    let reason = fleet.read(run.id).await.pause_reason;
    assert_eq!(reason.as_deref(), Some("the canaries are done; resume to go on"));
    assert_eq!(fleet.counts(&run).await, [1, 0, 0, 2]);
    fleet.act(&set, async |bridge| bridge.run_resume(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.counts(&run).await, [3, 0, 0, 0]);
}

#[tokio::test]
async fn a_retry_that_comes_as_the_run_ends_is_heard() {
    let fleet = Fleet::of(2).await;
    let set = set_of([extras(), column(2)]);
    block(&fleet, 0).await;
    let holder = fleet.hold(1).await;
    let run = fleet.start(&set, &Options { attempts_max: 100, ..options() }).await.unwrap();
    let retry = async {
        fleet.until("SELECT count(*) FROM control.migration_steps WHERE status = 'failed'", "1").await;
        fleet.sql(&format!(r#"DROP TABLE "{}".extras"#, fleet.schema(0))).await;
        // What a retry does, held open until the leader looks for latecomers: after that it ends the run.
        let operator = psql_of(&fleet.database).await;
        operator
            .batch_execute(
                "BEGIN; SELECT FROM control.migration_runs FOR NO KEY UPDATE;
                 UPDATE control.migration_steps SET status = 'pending', finished_at = NULL, due_at = now()
                 WHERE status = 'failed'",
            )
            .await
            .unwrap();
        holder.batch_execute("COMMIT").await.unwrap();
        fleet
            .until(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                 AND query LIKE '%WITH asked AS%'",
                "1",
            )
            .await;
        operator.batch_execute("COMMIT").await.unwrap();
    };
    // Its beats would wait for the same row.
    let lease = Lease { length: Duration::from_secs(120), beat: Duration::from_secs(60) };
    let driver = Driver { lease, ..fleet.driver(&set) };
    let (ended, ()) = tokio::join!(driver.drive(run.id, std::future::pending()), retry);
    assert_eq!((ended.unwrap(), fleet.counts(&run).await), (Ended::Completed, [2, 0, 0, 0]));
    fleet.assert_at(0, &[1, 2]).await;
}
