//! Runs from their start to their end, and back.

use shelfwise::control::error::ControlErrorCode;
use shelfwise::control::migrations::drive::Ended;
use shelfwise::control::migrations::service::{failed_list, plan};
use shelfwise::control::migrations::{Options, RunStatus};
use shelfwise::db::migrate::{Plane, newest_version};
use shelfwise::kernel::page::{Direction, PageRequest};

use super::fleet::{Fleet, codes, column, migration, options, set_of, version};

const PAGE: fn() -> PageRequest<uuid::Uuid> = || PageRequest { limit: 10, direction: Direction::Forward, from: None };

#[tokio::test]
async fn every_schema_is_brought_to_the_newest_version_once() {
    let fleet = Fleet::of(3).await;
    let set = set_of([column(1), column(2)]);
    let planned = plan(&fleet.control, &set).await.unwrap();
    assert_eq!((planned.target.clone(), planned.migrations.len(), planned.waves), (version(2), 2, 1));
    assert_eq!((planned.behind[0].version.clone(), planned.behind[0].tenants), (newest_version(Plane::Tenant), 3));

    let (run, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, run.status()), (Ended::Completed, RunStatus::Completed));
    assert_eq!(fleet.counts(&run).await, [3, 0, 0, 0]);
    for tenant in 0..3 {
        fleet.assert_at(tenant, &[1, 2]).await;
        assert!(fleet.has_column(tenant, "extra_2").await);
    }
    let steps = "SELECT string_agg(DISTINCT attempts || ' ' || array_to_string(versions, ','), ';')
                 FROM control.migration_steps";
    assert_eq!(fleet.ask(steps).await, format!("1 {},{}", version(1), version(2)));

    assert_eq!(codes(fleet.start(&set, &options()).await), [ControlErrorCode::MigrationNothingToDo]);
    assert_eq!(fleet.ask("SELECT count(*) FROM control.migration_runs").await, "1", "there is no run without steps");
    let acts =
        "SELECT string_agg(action || ' ' || target, ',') FROM control.admin_audit WHERE action LIKE 'migration%'";
    assert_eq!(fleet.ask(acts).await, "migration.start platform");
}

#[tokio::test]
async fn one_failing_tenant_does_not_keep_the_others() {
    let fleet = Fleet::of(3).await;
    let set = set_of([migration(1, "CREATE TABLE extras ()", "DROP TABLE extras")]);
    // One schema has a table in the way.
    fleet.sql(&format!(r#"CREATE TABLE "{}".extras (mine int)"#, fleet.schema(1))).await;

    let (run, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&run).await), (Ended::Completed, [2, 1, 0, 0]));
    let failed = failed_list(&fleet.control, run.id, PAGE()).await.unwrap().items;
    assert_eq!(failed[0].slug.as_deref(), Some(fleet.tenants[1].slug.as_str()));
    assert_eq!((failed[0].attempts, failed[0].error.as_deref().unwrap().contains("already exists")), (1, true));
    fleet.assert_at(0, &[1]).await;
    fleet.assert_at(1, &[]).await;

    fleet.sql(&format!(r#"DROP TABLE "{}".extras"#, fleet.schema(1))).await;
    let (again, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&again).await), (Ended::Completed, [1, 0, 0, 0]), "it goes on with the one behind");
    fleet.assert_at(1, &[1]).await;
}

#[tokio::test]
async fn what_has_failed_is_tried_again_at_a_word() {
    let fleet = Fleet::of(2).await;
    let set = set_of([migration(1, "CREATE TABLE extras ()", "DROP TABLE extras")]);
    fleet.sql(&format!(r#"CREATE TABLE "{}".extras (mine int)"#, fleet.schema(1))).await;
    let (run, _) = fleet.run(&set, &options()).await;
    assert_eq!(fleet.counts(&run).await, [1, 1, 0, 0]);
    fleet.sql(&format!(r#"DROP TABLE "{}".extras"#, fleet.schema(1))).await;

    let retried = fleet.act(&set, async |bridge| bridge.run_retry(Some(run.id)).await).await.unwrap();
    assert_eq!((retried.status(), retried.finished_at), (RunStatus::Running, None));
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.counts(&run).await, [2, 0, 0, 0]);
    let nothing = fleet.act(&set, async |bridge| bridge.run_retry(Some(run.id)).await).await;
    assert_eq!(codes(nothing), [ControlErrorCode::MigrationNothingToDo]);
}

#[tokio::test]
async fn the_ledger_says_what_is_there_whatever_the_registry_thinks() {
    let fleet = Fleet::of(2).await;
    let set = set_of([column(1)]);
    fleet.run(&set, &options()).await;
    // As after a crash of an older release, or a restore of the registry alone.
    fleet.sql("UPDATE control.tenants SET schema_version = '0'").await;
    let (run, ended) = fleet.run(&set, &options()).await;
    assert_eq!((ended, fleet.counts(&run).await), (Ended::Completed, [2, 0, 0, 0]));
    fleet.assert_at(0, &[1]).await;
    assert_eq!(
        fleet
            .ask(
                "SELECT max(cardinality(versions)) FROM control.migration_steps s JOIN control.migration_runs r
        ON r.id = s.run_id WHERE r.id = (SELECT max(id::text)::uuid FROM control.migration_runs)"
            )
            .await,
        "0"
    );
}

#[tokio::test]
async fn spare_schemas_go_first_and_newcomers_last() {
    let mut fleet = Fleet::of(3).await;
    // A tenant's schema that is a spare one, as far as the fleet is concerned.
    let spare = fleet.tenants[2].id.0;
    fleet
        .sql(&format!(
            "INSERT INTO control.spare_schemas (id, schema_version, created_at)
                 SELECT id, schema_version, now() FROM control.tenants WHERE id = '{spare}';
             DELETE FROM control.jobs; DELETE FROM control.tenants WHERE id = '{spare}'"
        ))
        .await;
    let set = set_of([column(1)]);
    let canary = fleet.tenants[1].slug.clone();
    let wanted = Options { canaries: vec![canary], hold_after_canaries: true, ..options() };
    let (run, ended) = fleet.run(&set, &wanted).await;
    assert_eq!((ended, run.status()), (Ended::Paused, RunStatus::Paused));
    assert!(run.pause_reason.unwrap().starts_with("the canaries are done"));
    assert!(fleet.has_column(2, "extra_1").await, "the spare schema is done");
    assert_eq!(fleet.ask("SELECT schema_version FROM control.spare_schemas").await, version(1));
    fleet.assert_at(1, &[1]).await;
    fleet.assert_at(0, &[]).await;

    // A release that knows no better makes a tenant meanwhile.
    fleet.join().await;
    fleet.act(&set, async |bridge| bridge.run_resume(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &fleet.read(run.id).await).await, Ended::Completed);
    fleet.assert_at(0, &[1]).await;
    fleet.assert_at(3, &[1]).await;
    let waves = "SELECT string_agg(wave::text, ',' ORDER BY wave) FROM control.migration_steps";
    assert_eq!(fleet.ask(waves).await, "0,1,2,3");
}

#[tokio::test]
async fn a_spare_schema_that_a_sign_up_takes_meanwhile_is_migrated_as_a_tenants() {
    let fleet = Fleet::of(1).await;
    let id = fleet.tenants[0].id.0;
    fleet
        .sql(&format!(
            "INSERT INTO control.spare_schemas (id, schema_version, created_at) VALUES ('{id}', '0', now());
             UPDATE control.tenants SET status = 'deleted', suspension_reason = 'x' WHERE id = '{id}'"
        ))
        .await;
    let set = set_of([column(1)]);
    let run = fleet.start(&set, &options()).await.unwrap();
    fleet
        .sql(
            "DELETE FROM control.spare_schemas;
             UPDATE control.tenants SET status = 'active', suspension_reason = NULL",
        )
        .await;
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    fleet.assert_at(0, &[1]).await;
}

#[tokio::test]
async fn a_tenant_that_is_deleted_meanwhile_is_left_out() {
    let fleet = Fleet::of(2).await;
    let set = set_of([column(1)]);
    let run = fleet.start(&set, &options()).await.unwrap();
    fleet
        .sql(&format!(
            r#"UPDATE control.tenants SET status = 'deleted', suspension_reason = 'x' WHERE id = '{}';
               DROP SCHEMA "{}" CASCADE"#,
            fleet.tenants[1].id.0,
            fleet.schema(1)
        ))
        .await;
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.counts(&run).await, [1, 0, 1, 0]);
}

#[tokio::test]
async fn a_run_is_taken_back_and_nothing_but_what_it_did() {
    let fleet = Fleet::of(3).await;
    let (first, second) = (set_of([column(1)]), set_of([column(1), column(2), column(3)]));
    let (one, _) = fleet.run(&first, &options()).await;
    let (two, _) = fleet.run(&second, &options()).await;

    // What came later is taken back before.
    let early = fleet.act(&second, async |bridge| bridge.run_rollback(Some(one.id)).await).await;
    assert_eq!(codes(early), [ControlErrorCode::MigrationRunStatusConflict]);
    fleet.assert_at(0, &[1, 2, 3]).await;

    let back = fleet.act(&second, async |bridge| bridge.run_rollback(Some(two.id)).await).await.unwrap();
    assert_eq!((back.direction.as_str(), back.reverts), ("down", Some(two.id.0)));
    assert_eq!(fleet.drive(&second, &back).await, Ended::Completed);
    assert_eq!(fleet.counts(&back).await, [3, 0, 0, 0]);
    for tenant in 0..3 {
        fleet.assert_at(tenant, &[1]).await;
        assert!(fleet.has_column(tenant, "extra_1").await && !fleet.has_column(tenant, "extra_2").await);
    }
    let twice = fleet.act(&second, async |bridge| bridge.run_rollback(Some(back.id)).await).await;
    assert_eq!(codes(twice), [ControlErrorCode::MigrationRunStatusConflict], "a way back has none itself");
    let (again, _) = fleet.run(&second, &options()).await;
    assert_eq!(fleet.counts(&again).await, [3, 0, 0, 0], "and up again");
}

#[tokio::test]
async fn nobody_goes_back_below_what_the_release_works_on() {
    let fleet = Fleet::of(1).await;
    let mut set = set_of([column(1)]);
    let (run, _) = fleet.run(&set, &options()).await;
    set.version_min = version(1);
    let refused = fleet.act(&set, async |bridge| bridge.run_rollback(Some(run.id)).await).await;
    assert_eq!(codes(refused), [ControlErrorCode::MigrationRunStatusConflict]);
    assert_eq!(fleet.ask("SELECT count(*) FROM control.migration_runs").await, "1", "nothing is written");
    fleet.assert_at(0, &[1]).await;
}

#[tokio::test]
async fn what_an_operator_does_wrong_is_said_and_changes_nothing() {
    let fleet = Fleet::of(1).await;
    let set = set_of([column(1)]);
    let nobody = fleet.act(&set, async |bridge| bridge.run_pause(None, "why").await).await;
    assert_eq!(codes(nobody), [ControlErrorCode::MigrationRunNotFound]);
    let bad = Options { wave_size: 0, concurrency: 0, ..options() };
    assert_eq!(codes(fleet.start(&set, &bad).await), [ControlErrorCode::MigrationOptionsInvalid; 2]);
    let unknown = Options { canaries: vec!["nobody".to_owned()], ..options() };
    assert_eq!(codes(fleet.start(&set, &unknown).await), [ControlErrorCode::TenantNotFound]);
    let unsafe_set =
        set_of([migration(1, "CREATE TYPE t AS ENUM ('a')", "DROP TYPE t"), migration(2, "DROP TABLE books", "")]);
    assert_eq!(codes(fleet.start(&unsafe_set, &options()).await), [ControlErrorCode::MigrationsUnsafe; 3]);
    assert_eq!(fleet.ask("SELECT count(*) FROM control.migration_runs").await, "0");

    let run = fleet.start(&set, &options()).await.unwrap();
    assert_eq!(codes(fleet.start(&set, &options()).await), [ControlErrorCode::MigrationRunUnfinished]);
    let conflict = [ControlErrorCode::MigrationRunStatusConflict];
    assert_eq!(codes(fleet.act(&set, async |bridge| bridge.run_resume(None).await).await), conflict);
    assert_eq!(codes(fleet.act(&set, async |bridge| bridge.run_rollback(None).await).await), conflict);
    let blank = fleet.act(&set, async |bridge| bridge.run_pause(None, " ").await).await;
    assert_eq!(codes(blank), [ControlErrorCode::ReasonInvalid]);
    let supersede = Options { supersede: true, ..options() };
    assert_eq!(codes(fleet.start(&set, &supersede).await), [ControlErrorCode::MigrationRunUnfinished], "it is running");

    fleet.act(&set, async |bridge| bridge.run_pause(None, "a look").await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Paused);
    let none = fleet.act(&set, async |bridge| bridge.run_rollback(None).await).await;
    assert_eq!(codes(none), [ControlErrorCode::MigrationNothingToDo], "it has done nothing");
    assert_eq!(fleet.read(run.id).await.status(), RunStatus::Paused, "and is as it was");
    let other = fleet.start(&set, &supersede).await.unwrap();
    assert_eq!(fleet.read(run.id).await.status(), RunStatus::Abandoned);
    assert_eq!(fleet.drive(&set, &other).await, Ended::Completed);
    fleet.assert_at(0, &[1]).await;
}

#[tokio::test]
async fn a_release_that_does_not_know_the_target_leaves_the_run_alone() {
    let fleet = Fleet::of(1).await;
    let run = fleet.start(&set_of([column(1)]), &options()).await.unwrap();
    assert_eq!(fleet.drive(&set_of([]), &run).await, Ended::Unknown);
    assert_eq!(fleet.drive(&set_of([column(1)]), &run).await, Ended::Completed);
}

#[tokio::test]
async fn a_run_that_is_over_is_over_for_every_release() {
    let fleet = Fleet::of(1).await;
    let set = set_of([column(1)]);
    let run = fleet.start(&set, &options()).await.unwrap();
    fleet.act(&set, async |bridge| bridge.run_pause(None, "a look").await).await.unwrap();
    assert_eq!(fleet.drive(&set_of([]), &run).await, Ended::Paused);
    fleet.act(&set, async |bridge| bridge.run_resume(None).await).await.unwrap();
    assert_eq!(fleet.drive(&set, &run).await, Ended::Completed);
    assert_eq!(fleet.drive(&set_of([]), &run).await, Ended::Completed);
}

#[tokio::test]
async fn a_constraint_is_validated_when_the_locks_before_it_are_let_go() {
    let fleet = Fleet::of(1).await;
    let add = "ALTER TABLE books ADD CONSTRAINT books_extra_check CHECK (title <> '-') NOT VALID;";
    let validate = "ALTER TABLE books VALIDATE CONSTRAINT books_extra_check;";
    let set = set_of([
        migration(1, add, "ALTER TABLE books DROP CONSTRAINT books_extra_check;"),
        migration(2, validate, "SELECT 1;"),
    ]);
    let (run, _) = fleet.run(&set, &options()).await;
    assert_eq!(fleet.counts(&run).await, [1, 0, 0, 0]);
    fleet.assert_at(0, &[1, 2]).await;
    let ledger = format!(
        r#"SELECT count(DISTINCT xmin::text) FROM "{}".__diesel_schema_migrations WHERE version > '2099'"#,
        fleet.schema(0)
    );
    assert_eq!(fleet.ask(&ledger).await, "2", "two transactions");
}
