//! What becomes of a job, by what its handler answers.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use shelfwise::db::DbError;
use shelfwise::jobs::{Handlers, Periodic, Setback};
use shelfwise::kernel::clock::{Clock as _, SystemClock};

use super::queue::{Queue, Script, Worker, next, told};

/// A job's state, attempt, number of errors, and last error.
async fn row(queue: &Queue, id: uuid::Uuid) -> (String, String, String, String) {
    let ask = async |column: &str| queue.ask(&format!("SELECT {column} FROM control.jobs WHERE id = '{id}'")).await;
    (
        ask("state").await,
        ask("attempt").await,
        ask("jsonb_array_length(errors)").await,
        ask("errors -> -1 ->> 'message'").await,
    )
}

fn told_row(row: &(String, String, String, String)) -> (&str, &str, &str, &str) {
    (&row.0, &row.1, &row.2, &row.3)
}

#[tokio::test]
async fn a_job_is_done_once_and_says_so() {
    let queue = Queue::new().await;
    let (script, mut begun) = told("test.once");
    let worker = queue.work(Handlers::default().with(script));
    let tenant = queue.tenants(1).await[0];
    let id = queue.add("test.once", Some(tenant)).await;
    let first = next(&mut begun).await;
    assert_eq!((first.job.id, first.job.attempt, first.job.fence), (id, 1, 1));
    assert_eq!(first.job.tenant().map(|tenant| tenant.0), Some(tenant));
    assert_eq!(queue.state(id).await, "running");
    first.end.send(Ok(())).unwrap();
    queue.until_state(id, "completed").await;
    worker.stop().await;
    assert!(begun.try_recv().is_err());
    let row = row(&queue, id).await;
    assert_eq!(told_row(&row), ("completed", "1", "0", "null"));
}

#[tokio::test]
async fn a_failed_job_waits_longer_each_time_and_is_discarded_after_its_last_attempt() {
    let queue = Queue::new().await;
    let id = queue.add("test.fails", None).await;
    let worker =
        queue.work(Handlers::default().with(Script::new("test.fails", async |job| {
            Err(Setback::Retry(format!("attempt {} failed", job.attempt)))
        })));
    let wait = format!(
        "SELECT extract(epoch FROM scheduled_at - (errors -> -1 ->> 'at')::timestamptz) FROM control.jobs WHERE id = '{id}'"
    );
    for (attempt, seconds) in [(1, 1.0), (2, 16.0)] {
        queue
            .until(
                &format!("SELECT state || attempt FROM control.jobs WHERE id = '{id}'"),
                &format!("retryable{attempt}"),
            )
            .await;
        let waits: f64 = queue.ask(&wait).await.parse().unwrap();
        assert!((seconds * 0.89..seconds * 1.11).contains(&waits), "{waits} after attempt {attempt}");
        queue.pass_the_time().await;
    }
    queue.until_state(id, "discarded").await;
    let row = row(&queue, id).await;
    assert_eq!(told_row(&row), ("discarded", "3", "3", "attempt 3 failed"));
    worker.stop().await;
}

#[tokio::test]
async fn panics_poison_and_delays_are_failed_attempts_and_harm_no_other_job() {
    #[derive(serde::Deserialize)]
    struct Payload {
        _email: String,
    }
    let queue = Queue::new().await;
    let mut slow = Script::new("test.slow", async |_| std::future::pending().await);
    slow.timeout = Duration::from_millis(20);
    let handlers = Handlers::default()
        .with(Script::new("test.panics", async |_| panic!("out of cheese")))
        .with(Script::new("test.poison", async |job| {
            serde_json::from_value::<Payload>(job.payload)?;
            Ok(())
        }))
        .with(slow)
        .with(Script::new("test.fine", async |_| Ok(())));
    let worker = queue.work(handlers);
    for (kind, message) in [
        ("test.panics", "panicked: out of cheese"),
        ("test.poison", "the payload is not as it should be, at its column 0"),
        ("test.slow", "took longer than 20ms"),
    ] {
        let id = queue.add(kind, None).await;
        queue.until(&format!("SELECT jsonb_array_length(errors) FROM control.jobs WHERE id = '{id}'"), "1").await;
        let row = row(&queue, id).await;
        assert_eq!((row.1.as_str(), row.3.as_str()), ("1", message), "{row:?}");
    }
    let fine = queue.add("test.fine", None).await;
    queue.until_state(fine, "completed").await;
    worker.stop().await;
}

#[tokio::test]
async fn snoozing_uses_up_no_attempt_and_giving_up_uses_up_all() {
    let queue = Queue::new().await;
    let handlers = Handlers::default()
        .with(Script::new("test.snoozes", async |_| Err(Setback::Snooze(SystemClock.now() + TimeDelta::hours(1)))))
        .with(Script::new("test.gives_up", async |_| Err(Setback::GiveUp("hopeless".to_owned()))));
    let (snoozed, hopeless) = (queue.add("test.snoozes", None).await, queue.add("test.gives_up", None).await);
    let worker = queue.work(handlers);
    for fence in 1..=5 {
        queue
            .until(
                &format!("SELECT state || attempt || fence FROM control.jobs WHERE id = '{snoozed}'"),
                &format!("scheduled0{fence}"),
            )
            .await;
        queue.pass_the_time().await;
    }
    queue.until_state(hopeless, "discarded").await;
    let row = row(&queue, hopeless).await;
    assert_eq!(told_row(&row), ("discarded", "1", "1", "hopeless"));
    worker.stop().await;
}

#[tokio::test]
async fn a_database_out_of_reach_uses_up_no_attempt() {
    let queue = Queue::new().await;
    let mut script = Script::new("test.starves", async |job| match job.fence {
        1..=3 => Err(DbError::Busy.into()),
        _ => Ok(()),
    });
    script.attempts_max = 1;
    let id = queue.add("test.starves", None).await;
    let worker = queue.work(Handlers::default().with(script));
    for fence in 1..=3 {
        let row = format!("SELECT state || attempt || fence FROM control.jobs WHERE id = '{id}'");
        queue.until(&row, &format!("scheduled0{fence}")).await;
        queue.pass_the_time().await;
    }
    queue.until_state(id, "completed").await;
    worker.stop().await;
}

#[tokio::test]
async fn errors_are_bounded_in_number_and_length() {
    let queue = Queue::new().await;
    let mut script =
        Script::new("test.fails", async |job| Err(Setback::Retry(format!("{} {}\0", job.attempt, "x".repeat(5_000)))));
    script.attempts_max = 15;
    let id = queue.add("test.fails", None).await;
    let worker = queue.work(Handlers::default().with(script));
    for attempt in 1..15 {
        queue
            .until(
                &format!("SELECT state || attempt FROM control.jobs WHERE id = '{id}'"),
                &format!("retryable{attempt}"),
            )
            .await;
        queue.pass_the_time().await;
    }
    queue.until_state(id, "discarded").await;
    let errors: Value = queue.ask(&format!("SELECT errors FROM control.jobs WHERE id = '{id}'")).await.parse().unwrap();
    let attempts: Vec<i64> =
        errors.as_array().unwrap().iter().map(|error| error["attempt"].as_i64().unwrap()).collect();
    assert_eq!(attempts, (6..=15).collect::<Vec<_>>(), "the last ten");
    assert_eq!(errors[9]["message"].as_str().unwrap().len(), 1_000);
    worker.stop().await;
}

#[tokio::test]
async fn a_scheduled_job_waits_for_its_time_and_unknown_kinds_for_who_knows_them() {
    let queue = Queue::new().await;
    let later = queue.add("test.told", None).await;
    queue.sql("UPDATE control.jobs SET state = 'scheduled', scheduled_at = now() + interval '1 hour'").await;
    let unknown = queue.add("test.unknown", None).await;
    let now = queue.add("test.told", None).await;
    let (script, mut begun) = told("test.told");
    let worker = queue.work(Handlers::default().with(script));
    let first = next(&mut begun).await;
    assert_eq!(first.job.id, now);
    assert_eq!((queue.state(later).await.as_str(), queue.state(unknown).await.as_str()), ("scheduled", "available"));
    queue.pass_the_time().await;
    assert_eq!(next(&mut begun).await.job.id, later);

    let newer = queue.work(Handlers::default().with(Script::new("test.unknown", async |_| Ok(()))));
    queue.until_state(unknown, "completed").await;
    newer.stop().await;
    worker.kill().await;
}

#[tokio::test]
async fn priority_goes_first_within_a_tenant() {
    let queue = Queue::new().await;
    let late = queue.add("test.told", None).await;
    queue.sql("UPDATE control.jobs SET priority = 4").await;
    let urgent = queue.add("test.other", None).await;
    let (one, mut begun) = told("test.told");
    let (other, mut others) = told("test.other");
    let mut runner = queue.runner(Handlers::default().with(one).with(other));
    runner.room.slots = 1;
    let worker = Worker::start(runner);
    let first = next(&mut others).await;
    assert_eq!(first.job.id, urgent);
    first.end.send(Ok(())).unwrap();
    assert_eq!(next(&mut begun).await.job.id, late);
    worker.kill().await;
}

#[tokio::test]
async fn a_periodic_job_is_enqueued_once_by_two_workers_and_not_doubled_while_it_is_unfinished() {
    let queue = Queue::new().await;
    let (script, mut begun) = told("test.periodic");
    let (twin, mut twins) = told("test.periodic");
    let periodic = Periodic { kind: "test.periodic", every: Duration::from_secs(3_600) };
    let mut workers = Vec::new();
    for script in [script, twin] {
        let mut runner = queue.runner(Handlers::default().with(script));
        runner.periodic = vec![periodic];
        workers.push(Worker::start(runner));
    }
    let first = tokio::select! {
        first = next(&mut begun) => first,
        first = next(&mut twins) => first,
    };
    // Due again while it runs: the time goes on, and there is still one job.
    queue.sql("UPDATE control.periodic_jobs SET next_due = now()").await;
    queue.until("SELECT next_due > now() FROM control.periodic_jobs", "t").await;
    assert_eq!(queue.ask("SELECT count(*) FROM control.jobs").await, "1");
    first.end.send(Ok(())).unwrap();
    queue.until_state(first.job.id, "completed").await;
    queue.sql("UPDATE control.periodic_jobs SET next_due = now()").await;
    queue.until("SELECT count(*) FROM control.jobs", "2").await;
    for worker in workers {
        worker.kill().await;
    }
}
