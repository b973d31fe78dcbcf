//! How many jobs of a tenant run at a time: what its plan says, and what was agreed in its place.

use shelfwise::jobs::queue::{Claim, claim};
use shelfwise::kernel::ids::base32_encode;
use uuid::Uuid;

use crate::jobs::queue::Queue;

/// Claims what can be claimed, as a worker with many slots does, and answers how many jobs that were of each tenant.
async fn claimed(queue: &Queue, tenants: &[Uuid]) -> Vec<usize> {
    let control = queue.runner(Default::default()).control;
    let wanted = Claim {
        kinds: vec!["test.told".to_owned()],
        attempts: vec![3],
        after: Uuid::nil(),
        lane_max: 10,
        slots: 100,
        worker: base32_encode(Uuid::nil()),
        lease: 30.0,
    };
    let (jobs, _) = claim(&control, wanted).await.unwrap();
    tenants.iter().map(|id| jobs.iter().filter(|job| job.tenant_id == Some(*id)).count()).collect()
}

#[tokio::test]
async fn a_tenants_jobs_run_as_its_plan_says_and_never_beyond_the_workers_own_bound() {
    let queue = Queue::new().await;
    let tenants = queue.tenants(4).await;
    for (tenant, plan) in tenants.iter().zip(["free", "starter", "business", "enterprise"]) {
        queue.sql(&format!("UPDATE control.tenants SET plan = '{plan}' WHERE id = '{tenant}'")).await;
        queue.add_many("test.told", Some(*tenant), 20).await;
    }
    assert_eq!(claimed(&queue, &tenants).await, [2, 4, 8, 10]);
    assert_eq!(claimed(&queue, &tenants).await, [0, 0, 0, 0], "they run");
}

#[tokio::test]
async fn what_was_agreed_about_jobs_counts_until_its_end() {
    let queue = Queue::new().await;
    let tenants = queue.tenants(2).await;
    queue.sql("UPDATE control.tenants SET plan = 'free'").await;
    for tenant in &tenants {
        queue.add_many("test.told", Some(*tenant), 20).await;
    }
    let agree = "INSERT INTO control.plan_overrides (tenant_id, limit_name, value, ends_at, reason, made_by, made_at)";
    queue
        .sql(&format!("{agree} VALUES ('{}', 'jobs', 5, now() + interval '1 day', 'x', 'x', now())", tenants[0]))
        .await;
    queue.sql(&format!("{agree} VALUES ('{}', 'jobs', 5, now(), 'x', 'x', now())", tenants[1])).await;
    assert_eq!(claimed(&queue, &tenants).await, [5, 2]);
}
