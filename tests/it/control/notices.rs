//! What operators are told of.

use secrecy::ExposeSecret as _;
use serde_json::json;
use shelfwise::app::owner;
use shelfwise::control::notices::notice_insert;
use shelfwise::db::{DbError, OwnerTx};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::worker::handlers;

use crate::harness::World;
use crate::harness::smtp::{Fate, Offer, SmtpServer};
use crate::jobs::queue::{Queue, Worker};

/// Notices that nobody was told of.
const UNTOLD: &str = "SELECT count(*) FROM control.notices WHERE notified_at IS NULL";

/// Notices in a database of their own.
async fn notices(count: usize) -> Queue {
    let queue = Queue::new().await;
    let write = async |tx: &mut OwnerTx| {
        for number in 0..count {
            notice_insert(tx, &SystemClock, "tenant.provisioned", json!({ "slug": format!("shop-{number}") })).await?;
        }
        Ok::<_, DbError>(())
    };
    owner(&queue.urls).unwrap().write(write).await.unwrap();
    queue
}

/// A server whose operators are mailed, if anybody is.
async fn site(queue: &Queue, mail: &[(&str, &str)]) -> World {
    let (runtime, owner) = (&queue.urls.runtime, queue.urls.owner.as_ref().unwrap());
    let databases = [("DATABASE_URL", runtime.expose_secret()), ("DATABASE_OWNER_URL", owner.expose_secret())];
    let world = World::start(&[&databases[..], mail].concat()).await;
    // Its own two shops are nobody's news here.
    queue.sql("DELETE FROM control.jobs; DELETE FROM control.notices WHERE details->>'slug' NOT LIKE 'shop-%'").await;
    world
}

fn mailed(url: &str) -> [(&'static str, &str); 4] {
    [
        ("SMTP_URL", url),
        ("MAIL_FROM", "ShelfWise <mail@shelfwise.example>"),
        ("APP_URL", "https://app.shelfwise.example/"),
        ("OPERATIONS_EMAIL", "operations@shelfwise.example"),
    ]
}

#[tokio::test]
async fn very_many_events_are_told_in_few_mails() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let queue = notices(1_200).await;
    let url = server.url();
    let world = site(&queue, &mailed(&url)).await;
    let worker = Worker::start(queue.runner(handlers(&world.app)));
    queue.add("operations.notices", None).await;
    let (one, two) = (server.next().await, server.next().await);
    queue.until(UNTOLD, "0").await;
    server.assert_quiet();
    assert_eq!(one.to, "operations@shelfwise.example");
    assert_eq!(one.header("Subject"), "ShelfWise: tenant.provisioned (1000)");
    assert_eq!(two.header("Subject"), "ShelfWise: tenant.provisioned (200)");
    assert_ne!(one.header("Message-ID"), two.header("Message-ID"));
    let text = one.text();
    assert!(text.contains("tenant.provisioned: slug shop-49") && text.contains("and 950 more"), "{text}");
    assert!(!text.contains("shop-50\n"), "{text}");
    assert!(text.len() < 8_000, "{} bytes", text.len());
    assert!(text.contains("for the platform's operators"), "{text}");
    // Nothing new: nothing is sent.
    let job = queue.add("operations.notices", None).await;
    queue.until_state(job, "completed").await;
    server.assert_quiet();
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn what_could_not_be_sent_is_told_later_by_the_same_mail() {
    let mut server = SmtpServer::start(Offer::StartTls).await;
    let queue = notices(2).await;
    let url = server.url();
    let world = site(&queue, &mailed(&url)).await;
    let worker = Worker::start(queue.runner(handlers(&world.app)));
    server.next_fates(&[Fate::HangUp]);
    let job = queue.add("operations.notices", None).await;
    let first = server.next().await;
    queue.until_state(job, "retryable").await;
    assert_eq!(queue.ask(UNTOLD).await, "2", "nobody was told");
    queue.pass_the_time().await;
    let second = server.next().await;
    queue.until_state(job, "completed").await;
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    assert_eq!(queue.ask(UNTOLD).await, "0");
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn where_nobody_is_named_it_is_logged_and_marked() {
    let queue = notices(3).await;
    let world = site(&queue, &[]).await;
    let worker = Worker::start(queue.runner(handlers(&world.app)));
    let job = queue.add("operations.notices", None).await;
    queue.until_state(job, "completed").await;
    assert_eq!(queue.ask(UNTOLD).await, "0");
    // Old ones go.
    queue
        .sql("UPDATE control.notices SET notified_at = now() - interval '91 days' WHERE details->>'slug' = 'shop-0'")
        .await;
    let job = queue.add("operations.notices", None).await;
    queue.until_state(job, "completed").await;
    assert_eq!(queue.ask("SELECT count(*) FROM control.notices").await, "2");
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn where_somebody_is_named_and_nothing_can_be_mailed_it_is_logged_and_marked() {
    let queue = notices(3).await;
    let world = site(&queue, &[("OPERATIONS_EMAIL", "operations@shelfwise.example")]).await;
    let worker = Worker::start(queue.runner(handlers(&world.app)));
    let job = queue.add("operations.notices", None).await;
    queue.until_state(job, "completed").await;
    assert_eq!(queue.ask(UNTOLD).await, "0");
    worker.stop().await;
    world.end().await;
}
