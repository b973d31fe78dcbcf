//! Enqueuing: by whom, how often, and who hears of it.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::json;
use shelfwise::app::App;
use shelfwise::db::bell::CHANNEL;
use shelfwise::db::listen::{Liveness, Signal, listen};
use shelfwise::db::tls::Target;
use shelfwise::db::{DbError, TenantTx};
use shelfwise::jobs::Handlers;
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::tenant::TenantCtx;
use tokio::sync::mpsc;

use super::queue::{Queue, Worker, next, told};
use crate::harness::world::{config_over, shop};

async fn enqueue(app: &App, shop: &Arc<TenantCtx>, key: Option<&str>) -> bool {
    let work = async |tx: &mut TenantTx| {
        tx.enqueue(SystemClock.new_id(), "test.told", json!({}), key.map(str::to_owned)).await
    };
    app.services.tenants.session(Arc::clone(shop)).write::<_, DbError>(work).await.unwrap()
}

/// A server over a queue of a test's own, and a shop without jobs.
async fn server(queue: &Queue) -> (App, Arc<TenantCtx>) {
    let app = App::new(config_over(&queue.urls, &[]), Arc::new(SystemClock)).unwrap();
    let shop = shop(&app, "a").await;
    queue.sql("DELETE FROM control.jobs").await;
    (app, shop)
}

#[tokio::test]
async fn a_job_that_a_transaction_enqueued_is_heard_by_workers_of_other_processes() {
    let queue = Queue::new().await;
    let (app, shop) = server(&queue).await;
    let (script, mut begun) = told("test.told");
    let mut runner = queue.runner(Handlers::default().with(script));
    // It looks once and then not for an hour.
    runner.pace.poll = Duration::from_secs(3_600);
    let bell = runner.bell.clone();
    let (connected, mut connections) = mpsc::unbounded_channel();
    let target = Target::from_url(queue.urls.listen.expose_secret()).unwrap();
    let listener =
        tokio::spawn(listen(target, CHANNEL, "test".to_owned(), Liveness::default(), move |signal| match signal {
            Signal::Connected => drop(connected.send(())),
            Signal::Payload(payload) => bell.hear(&payload),
        }));
    next(&mut connections).await;
    let worker = Worker::start(runner);
    assert!(enqueue(&app, &shop, None).await);
    assert_eq!(next(&mut begun).await.job.tenant(), Some(shop.id));
    worker.kill().await;
    listener.abort();
}

#[tokio::test]
async fn a_key_is_good_for_one_unfinished_job() {
    let queue = Queue::new().await;
    let (app, shop) = server(&queue).await;
    assert!(enqueue(&app, &shop, Some("key")).await);
    assert!(!enqueue(&app, &shop, Some("key")).await, "while it waits");
    let (script, mut begun) = told("test.told");
    let worker = queue.work(Handlers::default().with(script));
    let one = next(&mut begun).await;
    assert!(!enqueue(&app, &shop, Some("key")).await, "while it runs");
    one.end.send(Ok(())).unwrap();
    queue.until_state(one.job.id, "completed").await;
    assert!(enqueue(&app, &shop, Some("key")).await, "once it is done");
    assert_ne!(next(&mut begun).await.job.id, one.job.id);
    worker.kill().await;
}

#[tokio::test]
async fn a_job_of_a_transaction_that_is_rolled_back_never_was() {
    let queue = Queue::new().await;
    let (app, shop) = server(&queue).await;
    let work = async |tx: &mut TenantTx| {
        tx.enqueue(SystemClock.new_id(), "test.told", json!({}), None).await?;
        Err::<(), DbError>(DbError::Busy)
    };
    app.services.tenants.session(shop).write(work).await.unwrap_err();
    assert_eq!(queue.ask("SELECT count(*) FROM control.jobs").await, "0");
}
