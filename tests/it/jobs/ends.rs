//! How workers end, and how they hear of jobs.

use std::time::Duration;

use shelfwise::jobs::Handlers;

use super::queue::{Queue, Worker, next, told};

#[tokio::test]
async fn a_worker_that_stops_claims_no_more_and_lets_jobs_finish() {
    let queue = Queue::new().await;
    let (id, late) = (queue.add("test.told", None).await, queue.add("test.told", None).await);
    queue.sql(&format!("UPDATE control.jobs SET priority = 4 WHERE id = '{late}'")).await;
    let (script, mut begun) = told("test.told");
    let mut runner = queue.runner(Handlers::default().with(script));
    runner.room.slots = 1;
    let worker = Worker::start(runner);
    let one = next(&mut begun).await;
    let stopped = worker.tell_to_stop();
    one.end.send(Ok(())).unwrap();
    stopped.await.unwrap();
    assert_eq!((queue.state(id).await.as_str(), queue.state(late).await.as_str()), ("completed", "available"));
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_given_back_as_it_was() {
    let queue = Queue::new().await;
    let id = queue.add("test.told", None).await;
    let (script, mut begun) = told("test.told");
    let mut runner = queue.runner(Handlers::default().with(script));
    runner.pace.drain = Duration::from_millis(50);
    let worker = Worker::start(runner);
    let _one = next(&mut begun).await;
    worker.stop().await;
    let row = format!("SELECT state || attempt || (errors = '[]')::text FROM control.jobs WHERE id = '{id}'");
    assert_eq!(queue.ask(&row).await, "available0true");
}

#[tokio::test]
async fn a_ring_wakes_a_worker_that_would_not_look_for_an_hour() {
    let queue = Queue::new().await;
    let (script, mut begun) = told("test.told");
    let mut runner = queue.runner(Handlers::default().with(script));
    runner.pace.poll = Duration::from_secs(3_600);
    let bell = runner.bell.clone();
    let worker = Worker::start(runner);
    let id = queue.add("test.told", None).await;
    bell.ring();
    assert_eq!(next(&mut begun).await.job.id, id);
    worker.kill().await;
}

#[tokio::test]
async fn without_a_listener_jobs_are_found_by_looking() {
    let queue = Queue::new().await;
    let (script, mut begun) = told("test.told");
    let worker = queue.work(Handlers::default().with(script));
    let id = queue.add("test.told", None).await;
    assert_eq!(next(&mut begun).await.job.id, id);
    worker.kill().await;
}
