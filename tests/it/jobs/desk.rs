//! What operators do with jobs, while workers run.

use std::process::{Command, Stdio};

use secrecy::ExposeSecret as _;
use serde_json::json;
use shelfwise::config::auth::JwtKey;
use shelfwise::control::error::ControlErrorCode;
use shelfwise::control::jobs::model::JobFilter;
use shelfwise::control::jobs::service::Desk;
use shelfwise::failure::Failure;
use shelfwise::jobs::{Bell, Handlers, Setback};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::ids::JobId;

use super::queue::{PATIENCE, Queue, Script, Worker, next, told};
use crate::harness::logs;
use crate::harness::world::operator;

/// The only code of a refusal.
fn code<T: std::fmt::Debug>(result: Result<T, Failure<ControlErrorCode>>) -> ControlErrorCode {
    match result.unwrap_err() {
        Failure::Refused(refusals) => refusals[0].code,
        failure => panic!("{failure:?}"),
    }
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_a_running_one_is_broken_off() {
    let queue = Queue::new().await;
    let (waiting, running) = (queue.add("test.nobody", None).await, queue.add("test.told", None).await);
    let (script, mut begun) = told("test.told");
    let runner = queue.runner(Handlers::default().with(script));
    let (control, bell, operator) = (runner.control.clone(), runner.bell.clone(), operator());
    let desk = Desk { control: &control, bell: &bell, clock: &SystemClock, operator: &operator };
    // Its next heartbeat is ten seconds away: it hears of it before.
    let worker = Worker::start(runner);
    let mut one = next(&mut begun).await;

    assert_eq!(desk.job_cancel(JobId(waiting)).await.unwrap().state, "cancelled");
    assert_eq!(desk.job_cancel(JobId(running)).await.unwrap().state, "cancelled");
    tokio::time::timeout(PATIENCE, one.end.closed()).await.expect("the job is broken off");
    assert_eq!(code(desk.job_cancel(JobId(running)).await), ControlErrorCode::JobStateConflict);
    assert_eq!(code(desk.job_cancel(JobId(uuid::Uuid::nil())).await), ControlErrorCode::JobNotFound);
    worker.stop().await;
    assert_eq!(queue.ask("SELECT string_agg(DISTINCT state, ',') FROM control.jobs").await, "cancelled");
    let acts = "SELECT string_agg(action || ' ' || target, ',') FROM control.admin_audit";
    assert_eq!(queue.ask(acts).await, "job.cancel platform,job.cancel platform");
}

#[tokio::test]
async fn dead_letters_are_replayed_one_or_many_and_put_away() {
    let queue = Queue::new().await;
    let tenants = queue.tenants(2).await;
    let mut dead = Vec::new();
    for (kind, tenant) in [("test.a", 0), ("test.a", 1), ("test.b", 0), ("test.b", 1), ("test.b", 1)] {
        dead.push(queue.add(kind, Some(tenants[tenant])).await);
    }
    let fails = |kind| Script::new(kind, async |_| Err(Setback::GiveUp("no".to_owned())));
    let worker = queue.work(Handlers::default().with(fails("test.a")).with(fails("test.b")));
    queue.until("SELECT count(*) FROM control.jobs WHERE state = 'discarded'", "5").await;
    worker.stop().await;

    let runner = queue.runner(Handlers::default());
    let operator = operator();
    let desk = Desk { control: &runner.control, bell: &runner.bell, clock: &SystemClock, operator: &operator };
    let job = desk.job_replay(JobId(dead[0])).await.unwrap();
    assert_eq!((job.state.as_str(), job.attempt, job.errors.as_array().unwrap().len()), ("available", 0, 1));
    assert_eq!(code(desk.job_replay(JobId(dead[0])).await), ControlErrorCode::JobStateConflict);
    assert_eq!(code(desk.job_discard(JobId(dead[0])).await), ControlErrorCode::JobStateConflict);

    let slug = queue.ask(&format!("SELECT slug FROM control.tenants WHERE id = '{}'", tenants[1])).await;
    let filter = |tenant: Option<&str>, kind: Option<&str>| JobFilter {
        tenant: tenant.map(str::to_owned),
        kind: kind.map(str::to_owned),
        state: None,
    };
    assert_eq!(desk.jobs_replay(filter(Some(&slug), Some("test.b"))).await.unwrap(), 2);
    assert_eq!(desk.jobs_discard(filter(None, Some("test.a"))).await.unwrap(), 1);
    assert_eq!(queue.state(dead[1]).await, "cancelled");
    assert_eq!(desk.jobs_replay(filter(None, None)).await.unwrap(), 1);
    assert_eq!(desk.jobs_replay(filter(None, None)).await.unwrap(), 0);
    let unknown = desk.jobs_replay(filter(Some("nobody"), None)).await;
    assert_eq!(code(unknown), ControlErrorCode::TenantNotFound);

    // What was replayed is done like any other.
    let worker = queue.work(
        Handlers::default().with(Script::new("test.a", async |_| Ok(()))).with(Script::new("test.b", async |_| Ok(()))),
    );
    queue.until("SELECT count(*) FROM control.jobs WHERE state = 'completed'", "4").await;
    worker.stop().await;
}

#[tokio::test]
async fn of_dead_letters_with_one_key_one_is_replayed_and_none_beside_an_unfinished_job() {
    let queue = Queue::new().await;
    for (kind, state) in [("a", "discarded"), ("a", "discarded"), ("b", "discarded"), ("b", "available")] {
        queue
            .sql(&format!(
                "INSERT INTO control.jobs (id, kind, payload, state, unique_key, finalized_at)
                 VALUES (gen_random_uuid(), 'test.{kind}', '{{}}', '{state}', 'key',
                         CASE WHEN '{state}' = 'discarded' THEN now() END)"
            ))
            .await;
    }
    let runner = queue.runner(Handlers::default());
    let (bell, operator) = (Bell::default(), operator());
    let desk = Desk { control: &runner.control, bell: &bell, clock: &SystemClock, operator: &operator };
    assert_eq!(desk.jobs_replay(JobFilter::default()).await.unwrap(), 1);
    let left: uuid::Uuid =
        queue.ask("SELECT id FROM control.jobs WHERE state = 'discarded' AND kind = 'test.b'").await.parse().unwrap();
    assert_eq!(code(desk.job_replay(JobId(left)).await), ControlErrorCode::JobStateConflict);
}

#[tokio::test]
async fn a_worker_process_that_is_killed_leaves_its_jobs_to_others() {
    let queue = Queue::new().await;
    // The patrol comes by its last table and waits there, for as long as a lock may be waited for.
    let blocker = crate::harness::cluster::psql_of(&queue.database().await).await;
    blocker.batch_execute("BEGIN; LOCK TABLE control.admin_tokens IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .arg("work")
        .env_clear()
        .env("DATABASE_URL", queue.urls.runtime.expose_secret())
        .env("JWT_KEYS", JwtKey::generate("test-1").unwrap().to_setting())
        .env("PORT", "0")
        .envs(logs::SETTINGS)
        .stdout(Stdio::null())
        .stderr(logs::file())
        .spawn()
        .unwrap();
    queue.until("SELECT state FROM control.jobs WHERE kind = 'platform.patrol'", "running").await;
    process.kill().unwrap();
    process.wait().unwrap();
    blocker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(queue.ask("SELECT state FROM control.jobs WHERE kind = 'platform.patrol'").await, "running");

    let worker = queue.work(Handlers::default().with(Script::new("platform.patrol", async |job| {
        assert_eq!(job.payload, json!({}));
        Ok(())
    })));
    queue.sql("UPDATE control.jobs SET lease_expires_at = now() WHERE state = 'running'").await;
    queue.until("SELECT state FROM control.jobs WHERE kind = 'platform.patrol'", "retryable").await;
    queue.pass_the_time().await;
    queue.until("SELECT state || attempt FROM control.jobs WHERE kind = 'platform.patrol'", "completed2").await;
    worker.stop().await;
}
