//! Where there is no archive, nothing is deleted.

use chrono::TimeDelta;
use shelfwise::telemetry::metrics::Metrics;
use shelfwise::worker::gauges::count;

use super::{GRACE, Site};

/// Makes the archives of shop A that are being waited for fail for good, as their job would.
async fn fail(site: &Site) {
    site.queue
        .sql(
            "DELETE FROM control.jobs WHERE kind = 'archive.export';
             UPDATE control.archives SET status = 'failed', error = 'the object store is full', finished_at = now()
             WHERE status IN ('pending', 'running')",
        )
        .await;
}

#[tokio::test]
async fn an_export_that_fails_keeps_everything_is_seen_and_is_tried_again() {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    fail(&site).await;
    let before = site.everything(&site.world.a).await;
    site.work();
    let error = "SELECT error LIKE '%the object store is full%' FROM control.offboardings";
    site.queue.until(error, "t").await;
    // However long it takes.
    site.queue.sql("UPDATE control.offboardings SET delete_after = now() - interval '1 year'").await;
    site.queue.until("SELECT state FROM control.jobs WHERE kind = 'offboarding.advance'", "scheduled").await;
    assert_eq!((site.status().await.as_str(), site.ask("failures").await.as_str()), ("exporting", "1"));
    assert_eq!(site.everything(&site.world.a).await, before);
    assert!(site.acts().await.contains(&"platform offboarding.export_failed".to_owned()));
    let metrics = Metrics::new().unwrap();
    count(&site.world.app.control, &metrics).await.unwrap();
    let told = String::from_utf8(metrics.encode().unwrap()).unwrap();
    for line in ["shelfwise_offboardings{state=\"exporting\"} 1", "shelfwise_offboardings{state=\"failed\"} 1"] {
        assert!(told.contains(line), "{line}: {told}");
    }

    // An hour later others are asked for, and then it goes its way.
    let archives = site.ask("archive_id::text || audit_archive_id::text").await;
    site.pass(TimeDelta::minutes(61)).await;
    site.until("completed").await;
    assert_ne!(site.ask("archive_id::text || audit_archive_id::text").await, archives);
    assert_eq!(site.ask("error").await, "null");
    site.end().await;
}

#[tokio::test]
async fn an_archive_that_is_lost_or_damaged_meanwhile_is_made_again_before_anything_is_destroyed() {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    let before = site.everything(&site.world.a).await;
    damage(site.objects.path());
    site.pass(GRACE).await;
    site.until("exporting").await;
    assert_eq!(site.ask("failures").await, "1");
    assert_eq!(site.everything(&site.world.a).await, before);
    site.pass(TimeDelta::minutes(61)).await;
    site.until("completed").await;
    assert_eq!(site.traces().await, Vec::<String>::new());
    site.end().await;
}

/// Changes a byte in the middle of every file below a folder.
pub(super) fn damage(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_written_after_the_archive_is_archived_before_it_is_destroyed() {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    let archive = site.ask("archive_id").await;
    // A request that was under way when the shop was closed has committed late.
    let late = format!(
        r#"SET ROLE shelfwise_owner;
           INSERT INTO "{0}".audit_log SELECT (jsonb_populate_record(a, jsonb_build_object('sequence', a.sequence + 1))).*
           FROM "{0}".audit_log a ORDER BY sequence DESC LIMIT 1"#,
        site.world.a.schema
    );
    site.queue.sql(&late).await;
    site.pass(GRACE).await;
    site.until("completed").await;
    assert_ne!(site.ask("archive_id").await, archive);
    site.end().await;
}

#[tokio::test]
async fn an_offboarding_whose_job_was_called_off_is_looked_after() {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    site.queue.sql("DELETE FROM control.jobs WHERE kind = 'offboarding.advance'").await;
    site.work();
    site.queue.add("offboarding.look_after", None).await;
    site.until("waiting").await;
    // There is one job of it, however often it is looked after.
    let look = site.queue.add("offboarding.look_after", None).await;
    site.queue.until_state(look, "completed").await;
    let live = "SELECT count(*) FROM control.jobs WHERE kind = 'offboarding.advance' AND finalized_at IS NULL";
    assert_eq!(site.queue.ask(live).await, "1");
    site.end().await;
}
