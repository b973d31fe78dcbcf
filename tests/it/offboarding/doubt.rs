//! What is in doubt is not destroyed: clocks, archives, trails, and who has not finished.

use serde_json::json;
use shelfwise::control::archives::Purpose;
use shelfwise::control::archives::service::{archive_make, archive_request};
use shelfwise::control::offboarding::service::look_after;
use shelfwise::control::tenants::service::tenant_by_id;
use shelfwise::db::{ControlTx, DbError};

use super::{GRACE, PATIENCE, Site};
use crate::harness::cluster::psql_of;
use crate::harness::world::operator;

/// A shop that waits for the end of its grace period.
async fn waiting() -> Site {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    site
}

/// An entry of shop A's trail, written by hand beside its head.
fn entry(site: &Site) -> String {
    format!(
        r#"SET LOCAL ROLE shelfwise_owner;
           INSERT INTO "{0}".audit_log SELECT (jsonb_populate_record(a, jsonb_build_object('sequence', a.sequence + 1))).*
           FROM "{0}".audit_log a ORDER BY sequence DESC LIMIT 1"#,
        site.world.a.schema
    )
}

/// Waits until the offboarding says what it waits for, with the jobs hurried on.
async fn until_error(site: &Site, part: &str) {
    let started = std::time::Instant::now();
    while !site.ask("error").await.contains(part) {
        assert!(started.elapsed() < PATIENCE, "{}", site.row().await);
        site.queue.pass_the_time().await;
    }
}

#[tokio::test]
async fn a_worker_whose_clock_is_ahead_begins_nothing() {
    let site = waiting().await;
    let job = "FROM control.jobs WHERE kind = 'offboarding.advance'";
    site.queue.until(&format!("SELECT state {job}"), "scheduled").await;
    let fence = site.queue.ask(&format!("SELECT fence {job}")).await;
    site.clock.advance(GRACE);
    site.queue.pass_the_time().await;
    site.queue.until(&format!("SELECT state = 'scheduled' AND fence > {fence} {job}"), "t").await;
    assert_eq!(site.status().await, "waiting");
    let looks =
        format!("SELECT scheduled_at BETWEEN now() + interval '11 hours' AND now() + interval '12 hours' {job}");
    assert_eq!(site.queue.ask(&looks).await, "t");
    site.end().await;
}

#[tokio::test]
async fn a_trail_that_was_archived_too_early_is_archived_again() {
    let site = waiting().await;
    let (archive, audit) = (site.ask("archive_id").await, site.ask("audit_archive_id").await);
    site.queue.sql(&format!("BEGIN; {}; COMMIT", entry(&site))).await;
    // The archive of all has the entry, the one that is kept for years has not.
    let app = &site.world.app;
    let tenant = tenant_by_id(&app.control, site.world.a.id).await.unwrap().unwrap();
    let request =
        async |tx: &mut ControlTx| archive_request(tx, &*site.clock, &operator(), &tenant, Purpose::Offboarding).await;
    let newer = app.control.write(request).await.unwrap();
    let newer_id = format!("'{}'", newer.0);
    let completed = format!("SELECT status FROM control.archives WHERE id = {newer_id}");
    app.services.bell.ring();
    site.queue.until(&completed, "completed").await;
    site.queue.sql(&format!("UPDATE control.offboardings SET archive_id = {newer_id}")).await;
    site.pass(GRACE).await;
    site.until("completed").await;
    assert_ne!(site.ask("archive_id").await, archive);
    assert_ne!(site.ask("audit_archive_id").await, audit);
    site.end().await;
}

#[tokio::test]
async fn an_archive_that_is_about_to_expire_is_made_again() {
    let site = waiting().await;
    let audit = site.ask("audit_archive_id").await;
    let soon =
        format!("UPDATE control.archives SET expires_at = now() + interval '31 days 1 hour' WHERE id = '{audit}'");
    site.queue.sql(&soon).await;
    site.pass(GRACE).await;
    site.until("completed").await;
    assert_ne!(site.ask("audit_archive_id").await, audit);
    site.end().await;
}

#[tokio::test]
async fn who_writes_in_the_shop_yet_is_waited_for() {
    let site = waiting().await;
    let holder = psql_of(&site.queue.database().await).await;
    let hold = format!(r#"BEGIN; UPDATE "{}".tenant_head SET order_number = order_number"#, site.world.a.schema);
    holder.batch_execute(&hold).await.unwrap();
    site.pass(GRACE).await;
    until_error(&site, "lock timeout").await;
    assert_eq!(site.status().await, "waiting");

    // A job that hangs is waited for as well.
    let run = format!(
        "UPDATE control.jobs SET state = 'running', fence = fence + 1, attempt = attempt + 1,
             lease_expires_at = now() + interval '1 hour', attempted_at = now(), attempted_by = 'test'
         WHERE id = (SELECT id FROM control.jobs WHERE tenant_id = '{}' AND state = 'available' LIMIT 1)",
        site.world.a.id.0
    );
    site.queue.sql(&run).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    until_error(&site, "a job of the shop is running").await;
    assert_eq!(site.status().await, "waiting");
    site.queue
        .sql("UPDATE control.jobs SET state = 'available', lease_expires_at = NULL WHERE state = 'running' AND tenant_id IS NOT NULL")
        .await;
    site.until("completed").await;
    site.end().await;
}

#[tokio::test]
async fn an_entry_that_comes_after_the_keys_are_gone_is_told() {
    let site = waiting().await;
    let holder = psql_of(&site.queue.database().await).await;
    holder.batch_execute(&format!("BEGIN; {}", entry(&site))).await.unwrap();
    site.pass(GRACE).await;
    site.until("deleting").await;
    until_error(&site, "lock timeout").await;
    holder.batch_execute("COMMIT").await.unwrap();
    site.until("completed").await;
    let query = "query($slug: String!) { offboarding(slug: $slug) { certificate { statement } } }";
    let data = site.world.admin().data(query, json!({ "slug": site.world.a.slug.as_str() })).await;
    let end = &data["offboarding"]["certificate"]["statement"]["auditTrailEnd"];
    assert_eq!(end["unarchived"], 1, "{data}");
    site.end().await;
}

#[tokio::test]
async fn archives_are_read_back_when_both_are_there() {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    site.queue.sql("DELETE FROM control.jobs WHERE kind = 'archive.export'").await;
    let app = &site.world.app;
    let id = site.ask("archive_id").await.parse().map(shelfwise::kernel::ids::ArchiveId).unwrap();
    archive_make(app.archive_desk(), &app.config.retention, id).await.unwrap().unwrap();
    // One that was read back would be found to be damaged.
    super::export::damage(site.objects.path());
    site.work();
    site.queue.until("SELECT state FROM control.jobs WHERE kind = 'offboarding.advance'", "scheduled").await;
    assert_eq!((site.ask("failures").await.as_str(), site.ask("error").await.as_str()), ("0", "null"));
    site.end().await;
}

#[tokio::test]
async fn who_has_no_job_is_looked_after_behind_a_thousand_who_have() {
    let site = Site::start().await;
    let others = "WITH t AS (
            INSERT INTO control.tenants
                (id, slug, schema_name, name, plan, currency, status, schema_version, created_at, updated_at)
            SELECT gen_random_uuid(), 'shop-' || n, 'none-' || n, 'Shop', 'free', 'EUR', 'offboarding', '0', now(), now()
            FROM generate_series(1, 1000) n RETURNING id, slug
        ), a AS (
            INSERT INTO control.archives (id, tenant_id, slug, purpose, status, requested_by, created_at)
            SELECT gen_random_uuid(), id, slug, 'offboarding', 'pending', 'test', now() FROM t RETURNING id, tenant_id, slug
        ), o AS (
            INSERT INTO control.offboardings (id, tenant_id, slug, status, reason, prior_status, requested_by, requested_at,
                delete_after, archive_id, audit_archive_id, updated_at)
            SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(row_number() OVER ()), 12, '0'))::uuid, tenant_id, slug,
                'exporting', 'x', 'active', 'test', now(), now(), id, id, now() FROM a RETURNING id
        )
        INSERT INTO control.jobs (id, kind, payload, unique_key)
        SELECT gen_random_uuid(), 'offboarding.advance', jsonb_build_object('offboarding', id), id::text FROM o";
    site.queue.sql(others).await;
    site.offboard("gone").await;
    site.queue.sql("DELETE FROM control.jobs WHERE kind = 'offboarding.advance' AND unique_key !~ '^0{8}-'").await;
    let look = async |tx: &mut ControlTx| look_after(tx, &*site.clock).await;
    assert_eq!(site.world.app.control.write::<_, DbError>(look).await.unwrap(), 1);
    assert_eq!(site.world.app.control.write::<_, DbError>(look).await.unwrap(), 0);
    site.end().await;
}

#[tokio::test]
async fn who_has_no_keys_is_not_taken_leave_of() {
    let site = Site::start().await;
    site.queue.sql(&format!("UPDATE control.tenants SET keys = '[]' WHERE id = '{}'", site.world.a.id.0)).await;
    let before = (site.everything(&site.world.a).await, site.acts().await);
    let query = "mutation($slug: String!) { tenantOffboard(slug: $slug, reason: \"x\") { userErrors { code } } }";
    let answer = site.world.admin().gql(query, json!({ "slug": site.world.a.slug.as_str() })).await;
    assert_eq!(answer.code(), "INTERNAL_ERROR");
    assert_eq!((site.everything(&site.world.a).await, site.acts().await), before);
    assert_eq!(site.queue.ask("SELECT count(*) FROM control.offboardings").await, "0");
    site.end().await;
}

#[tokio::test]
async fn one_that_was_called_off_while_a_step_failed_has_no_note_of_it() {
    let site = waiting().await;
    let holder = psql_of(&site.queue.database().await).await;
    let hold = format!("BEGIN; SELECT FROM control.tenants WHERE id = '{}' FOR UPDATE", site.world.a.id.0);
    holder.batch_execute(&hold).await.unwrap();
    site.pass(GRACE).await;
    let waits = "SELECT count(*) > 0 FROM pg_locks
        WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
    site.queue.until(waits, "t").await;
    site.queue.sql("UPDATE control.offboardings SET status = 'canceled', completed_at = now()").await;
    site.queue.until("SELECT state FROM control.jobs WHERE kind = 'offboarding.advance'", "scheduled").await;
    assert_eq!((site.ask("failures").await.as_str(), site.ask("error").await.as_str()), ("0", "null"));
    holder.batch_execute("ROLLBACK").await.unwrap();
    site.end().await;
}
