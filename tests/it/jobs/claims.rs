//! Leases, fences and rescue: a job is one worker's at a time, and a worker that is gone keeps nothing.

use std::time::Duration;

use shelfwise::app::App;
use shelfwise::db::{DbError, TenantTx};
use shelfwise::jobs::Handlers;
use shelfwise::kernel::clock::SystemClock;

use super::queue::{Queue, Worker, next, told};
use crate::harness::world::{config_over, shop};

const EXPIRE: &str = "UPDATE control.jobs SET lease_expires_at = now() WHERE state = 'running'";

#[tokio::test]
async fn a_killed_workers_job_is_rescued_and_done_by_another() {
    let queue = Queue::new().await;
    let id = queue.add("test.told", None).await;
    let (script, mut begun) = told("test.told");
    let first = queue.work(Handlers::default().with(script));
    let begun_first = next(&mut begun).await;
    first.kill().await;
    assert_eq!(queue.state(id).await, "running");

    let (script, mut begun) = told("test.told");
    let second = queue.work(Handlers::default().with(script));
    queue.sql(EXPIRE).await;
    queue.until_state(id, "retryable").await;
    assert_eq!(
        queue.ask("SELECT errors -> 0 ->> 'message' FROM control.jobs").await,
        "the worker was not heard of for a whole lease"
    );
    queue.pass_the_time().await;
    let again = next(&mut begun).await;
    assert_eq!((again.job.id, again.job.attempt), (id, 2));
    assert!(again.job.fence > begun_first.job.fence);
    again.end.send(Ok(())).unwrap();
    queue.until_state(id, "completed").await;
    second.stop().await;
}

#[tokio::test]
async fn heartbeats_keep_a_claim_for_longer_than_its_lease() {
    let queue = Queue::new().await;
    let id = queue.add("test.told", None).await;
    let (script, mut begun) = told("test.told");
    let mut runner = queue.runner(Handlers::default().with(script));
    runner.pace.lease = Duration::from_secs(1);
    runner.pace.heartbeat = Duration::from_millis(100);
    let worker = Worker::start(runner);
    let one = next(&mut begun).await;
    queue.until("SELECT clock_timestamp() > attempted_at + interval '1500 ms' FROM control.jobs", "t").await;
    assert_eq!(queue.state(id).await, "running");
    one.end.send(Ok(())).unwrap();
    queue.until_state(id, "completed").await;
    assert_eq!(queue.ask("SELECT attempt FROM control.jobs").await, "1");
    worker.stop().await;
}

#[tokio::test]
async fn what_a_worker_says_of_a_job_that_was_taken_from_it_changes_nothing() {
    let queue = Queue::new().await;
    let id = queue.add("test.told", None).await;
    // It sends no heartbeats, as one whose machine stands still.
    let (script, mut begun) = told("test.told");
    let first = queue.work(Handlers::default().with(script));
    let stale = next(&mut begun).await;
    let (script, mut twins) = told("test.other");
    let tender = queue.work(Handlers::default().with(script));
    queue.sql(EXPIRE).await;
    queue.until_state(id, "retryable").await;
    stale.end.send(Ok(())).unwrap();
    // What it does next proves that it has written down the end before.
    let marker = queue.add("test.told", None).await;
    next(&mut begun).await.end.send(Ok(())).unwrap();
    queue.until_state(marker, "completed").await;
    assert_eq!(queue.state(id).await, "retryable");

    queue.pass_the_time().await;
    let again = next(&mut begun).await;
    assert_eq!((again.job.id, again.job.fence, again.job.attempt), (id, 2, 2));
    assert!(twins.try_recv().is_err());
    first.kill().await;
    tender.kill().await;
}

#[tokio::test]
async fn a_job_whose_claim_is_lost_is_dropped_at_the_next_heartbeat() {
    let queue = Queue::new().await;
    queue.add("test.told", None).await;
    let (script, mut begun) = told("test.told");
    let mut runner = queue.runner(Handlers::default().with(script));
    runner.pace.heartbeat = Duration::from_millis(50);
    let worker = Worker::start(runner);
    let mut one = next(&mut begun).await;
    queue.sql("UPDATE control.jobs SET fence = fence + 1, state = 'cancelled', finalized_at = now(), lease_expires_at = NULL").await;
    // The job's end is closed when its future is dropped.
    tokio::time::timeout(super::queue::PATIENCE, one.end.closed()).await.expect("the job is dropped");
    worker.stop().await;
    assert_eq!(queue.ask("SELECT state FROM control.jobs").await, "cancelled");
}

#[tokio::test]
async fn a_tenants_transaction_holds_its_claim_and_no_other() {
    let queue = Queue::new().await;
    let app = App::new(config_over(&queue.urls, &[]), std::sync::Arc::new(SystemClock)).unwrap();
    let (a, b) = (shop(&app, "a").await, shop(&app, "b").await);
    queue.sql("DELETE FROM control.jobs").await;
    let id = queue.add("test.told", Some(a.id.0)).await;
    let (script, mut begun) = told("test.told");
    let worker = queue.work(Handlers::default().with(script));
    let one = next(&mut begun).await;
    let (job, fence) = (one.job.id, one.job.fence);

    let asked = async |shop, fence| {
        let work = async |tx: &mut TenantTx| tx.hold_job(job, fence).await;
        app.services.tenants.session(shop).write::<_, DbError>(work).await.unwrap()
    };
    assert!(asked(a.clone(), fence).await);
    assert!(!asked(a.clone(), fence - 1).await, "an older claim");
    assert!(!asked(b.clone(), fence).await, "another tenant");

    // While a transaction holds the claim it is not rescued, though its lease is over; and heartbeats do not wait.
    let work = async |tx: &mut TenantTx| {
        assert!(tx.hold_job(job, fence).await?);
        queue
            .sql("SET lock_timeout = '2s'; UPDATE control.jobs SET lease_expires_at = now() WHERE state = 'running'")
            .await;
        // The tender has looked twice since.
        for _ in 0..2 {
            let passing = queue.add("test.nobody", None).await;
            queue.sql(&format!("UPDATE control.jobs SET state = 'retryable' WHERE id = '{passing}'")).await;
            queue.until_state(passing, "available").await;
        }
        assert_eq!(queue.state(id).await, "running");
        Ok::<_, DbError>(())
    };
    app.services.tenants.session(a.clone()).write(work).await.unwrap();
    queue.until_state(id, "retryable").await;
    assert!(!asked(a.clone(), fence).await, "a rescued job is nobody's");
    worker.kill().await;
}
