//! What workers count.

use shelfwise::jobs::{Handlers, Setback};
use shelfwise::telemetry::metrics::Metrics;

use super::{PATIENCE, Scrape, scrape, scrape_when};
use crate::harness::receiver::Receiver;
use crate::jobs::queue::{Queue, Script, Worker};
use crate::webhooks::{endpoint, site};

/// What metrics of a test's own tell.
fn told(metrics: &Metrics) -> Scrape {
    Scrape::read(&String::from_utf8(metrics.encode().unwrap()).unwrap())
}

/// What they tell when something is so.
async fn told_when(metrics: &Metrics, is_so: impl Fn(&Scrape) -> bool) -> Scrape {
    let so = async {
        while !is_so(&told(metrics)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, so).await.unwrap_or_else(|_| panic!("{:#?}", told(metrics)));
    told(metrics)
}

#[tokio::test]
async fn attempts_to_deliver_are_counted_by_their_outcome() {
    site(&[], async |site| {
        let (receiver, owner) = (Receiver::start().await, site.world.owner());
        endpoint(&owner, &receiver.url("/hook")).await;
        site.publish_all(&site.world.a, &[1, 2, 3]).await;
        site.rest().await;
        let accepted = receiver.received().len() as f64;
        receiver.status(500);
        site.publish(&site.world.a, 4).await;
        site.rest().await;
        assert_eq!((accepted, receiver.received().len()), (3.0, 4));
        scrape(&site.world).await.assert(&[
            ("shelfwise_webhook_attempts_total{outcome=\"accepted\"}", 3.0),
            ("shelfwise_webhook_attempts_total{outcome=\"refused\"}", 1.0),
            ("shelfwise_webhook_attempts_total{outcome=\"unanswered\"}", 0.0),
            ("shelfwise_webhook_attempt_duration_seconds_count", 4.0),
            ("shelfwise_webhook_suspensions_total", 0.0),
        ]);
        // As many jobs as have ended, each once.
        let ended = "SELECT count(*) FROM control.jobs WHERE kind = 'webhook.dispatch' AND state = 'completed'";
        let ended = site.psql.query_one(ended, &[]).await.unwrap().get::<_, i64>(0) as f64;
        let attempts = "shelfwise_job_attempts_total{kind=\"webhook.dispatch\",outcome=\"completed\"}";
        scrape_when(&site.world, |scrape| scrape.get(attempts) == Some(ended)).await;
    })
    .await;
}

#[tokio::test]
async fn the_queue_is_told_by_state_and_attempts_by_kind_and_outcome() {
    let (queue, metrics) = (Queue::new().await, Metrics::new().unwrap());
    queue.add_many("test.unknown", None, 5).await;
    queue
        .sql(
            "UPDATE control.jobs SET scheduled_at = now() - interval '5 minutes';
             UPDATE control.jobs SET state = 'discarded', finalized_at = now()
             WHERE id IN (SELECT id FROM control.jobs LIMIT 2)",
        )
        .await;
    queue.add_many("test.works", None, 3).await;
    queue.add("test.fails", None).await;
    let mut runner = queue.runner(
        Handlers::default()
            .with(Script::new("test.works", async |_| Ok(())))
            .with(Script::new("test.fails", async |_| Err(Setback::Retry("not today".to_owned())))),
    );
    runner.metrics = metrics.jobs.clone();
    let worker = Worker::start(runner);
    let attempts =
        |kind: &str, outcome: &str| format!("shelfwise_job_attempts_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
    let scrape = told_when(&metrics, |scrape| {
        scrape.sum("shelfwise_job_attempts_total") == 4.0 && scrape.get("shelfwise_jobs{state=\"discarded\"}").is_some()
    })
    .await;
    scrape.assert(&[
        (&attempts("test.works", "completed"), 3.0),
        (&attempts("test.fails", "failed"), 1.0),
        ("shelfwise_job_duration_seconds_count{kind=\"test.works\"}", 3.0),
        ("shelfwise_jobs{state=\"discarded\"}", 2.0),
    ]);
    let oldest = scrape.value("shelfwise_jobs_oldest_due_seconds");
    assert!((300.0..400.0).contains(&oldest), "{oldest}");
    worker.stop().await;
}
