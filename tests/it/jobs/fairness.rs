//! Who gets the slots.

use std::collections::BTreeMap;

use shelfwise::jobs::Handlers;
use shelfwise::jobs::runner::Room;
use uuid::Uuid;

use super::queue::{Begun, Queue, Worker, next, told};

#[tokio::test]
async fn a_tenants_first_job_waits_for_one_job_of_a_tenant_who_has_a_hundred_thousand() {
    let queue = Queue::new().await;
    let tenants = queue.tenants(2).await;
    // Whichever of the two comes first in the order of lanes.
    for (flood, other) in [(tenants[0], tenants[1]), (tenants[1], tenants[0])] {
        queue.sql("TRUNCATE control.jobs").await;
        queue.add_many("test.told", Some(flood), 100_000).await;
        let (script, mut begun) = told("test.told");
        let mut runner = queue.runner(Handlers::default().with(script));
        runner.room = Room { slots: 4, per_tenant_max: 4 };
        let worker = Worker::start(runner);
        let mut running: Vec<Begun> = Vec::new();
        for _ in 0..4 {
            running.push(next(&mut begun).await);
        }
        let first = queue.add("test.told", Some(other)).await;
        // One job ends, and nothing else happens: the slot is the other's.
        running.pop().unwrap().end.send(Ok(())).unwrap();
        let after = next(&mut begun).await;
        assert_eq!((after.job.id, after.job.tenant_id), (first, Some(other)));
        worker.kill().await;
    }
}

#[tokio::test]
async fn free_slots_are_shared_evenly_among_those_who_wait() {
    let queue = Queue::new().await;
    let tenants = queue.tenants(3).await;
    for tenant in &tenants {
        queue.add_many("test.told", Some(*tenant), 100).await;
    }
    queue.add_many("test.told", None, 100).await;
    let (script, mut begun) = told("test.told");
    let mut runner = queue.runner(Handlers::default().with(script));
    runner.room = Room { slots: 16, per_tenant_max: 16 };
    let worker = Worker::start(runner);
    let mut shares: BTreeMap<Option<Uuid>, usize> = BTreeMap::new();
    let mut running = Vec::new();
    for _ in 0..16 {
        let one = next(&mut begun).await;
        *shares.entry(one.job.tenant_id).or_default() += 1;
        running.push(one);
    }
    assert_eq!(shares.into_values().collect::<Vec<_>>(), [4, 4, 4, 4]);
    worker.kill().await;
}

#[tokio::test]
async fn the_bound_of_a_tenant_is_exact_over_two_workers() {
    let queue = Queue::new().await;
    let tenant = queue.tenants(1).await[0];
    queue.add_many("test.told", Some(tenant), 200).await;
    let (one, mut begun) = told("test.told");
    let (two, mut twins) = told("test.told");
    let mut workers = Vec::new();
    for script in [one, two] {
        let mut runner = queue.runner(Handlers::default().with(script));
        runner.room = Room { slots: 8, per_tenant_max: 3 };
        workers.push(Worker::start(runner));
    }
    let most = "SELECT count(*) FROM control.jobs WHERE state = 'running'";
    // However often jobs end and others begin, there are never more.
    for _ in 0..60 {
        let job = tokio::select! {
            job = next(&mut begun) => job,
            job = next(&mut twins) => job,
        };
        let running: i64 = queue.ask(most).await.parse().unwrap();
        assert!(running <= 3, "{running} run");
        job.end.send(Ok(())).unwrap();
    }
    for worker in workers {
        worker.kill().await;
    }
}

#[tokio::test]
async fn jobs_of_a_closed_tenant_wait_and_those_of_others_pass_them() {
    let queue = Queue::new().await;
    let tenants = queue.tenants(2).await;
    let closed = queue.add("test.told", Some(tenants[0])).await;
    queue
        .sql(&format!(
            "UPDATE control.tenants SET status = 'suspended', suspension_reason = 'unpaid' WHERE id = '{}'",
            tenants[0]
        ))
        .await;
    let (script, mut begun) = told("test.told");
    let worker = queue.work(Handlers::default().with(script));
    let open = queue.add("test.told", Some(tenants[1])).await;
    let first = next(&mut begun).await;
    assert_eq!(first.job.id, open);
    first.end.send(Ok(())).unwrap();
    queue.until_state(open, "completed").await;
    assert_eq!(queue.state(closed).await, "available");
    queue.sql("UPDATE control.tenants SET status = 'active', suspension_reason = NULL").await;
    assert_eq!(next(&mut begun).await.job.id, closed);
    worker.kill().await;
}
