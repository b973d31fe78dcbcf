//! Calling it off: as if nothing had been, or not at all.

use chrono::TimeDelta;
use serde_json::json;

use super::{GRACE, Site};

/// The tenant's entry but for when it last changed.
const ENTRY: &str = "SELECT (to_jsonb(tenants) - 'updated_at')::text FROM control.tenants WHERE id = ";

#[tokio::test]
async fn within_the_grace_period_service_is_restored_exactly() {
    let mut site = Site::start().await;
    let entry = format!("{ENTRY}'{}'", site.world.a.id.0);
    let before = (site.queue.ask(&entry).await, site.everything(&site.world.a).await);
    site.offboard("a mistake").await;
    site.until_answered("TENANT_SUSPENDED").await;
    site.work();
    site.until("waiting").await;
    site.pass(TimeDelta::days(29)).await;
    let job = site.queue.add("audit.anchor", Some(site.world.a.id.0)).await;

    let payload = site.cancel().await;
    assert_eq!(payload["offboarding"]["status"], "CANCELED");
    assert_eq!(payload["offboarding"]["tenant"], json!({ "status": "ACTIVE", "suspensionReason": null }));
    site.until_answered("").await;
    assert_eq!(site.queue.ask(&entry).await, before.0);
    // Its jobs go on, and nothing of it is deleted when the time comes.
    site.queue.until_state(job, "completed").await;
    site.pass(GRACE).await;
    site.queue
        .until("SELECT count(*) FROM control.jobs WHERE kind = 'offboarding.advance' AND finalized_at IS NULL", "0")
        .await;
    let rows =
        |text: &str| text.lines().filter(|line| line.starts_with("books: ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows(&site.everything(&site.world.a).await), rows(&before.1));
    assert_eq!(site.acts().await.last().unwrap(), "cli:test tenant.offboard_cancel");
    site.end().await;
}

#[tokio::test]
async fn a_shop_that_was_suspended_is_suspended_again_for_the_same_reason() {
    let site = Site::start().await;
    let slug = json!({ "slug": site.world.a.slug.as_str() });
    let suspend = "mutation($slug: String!) { tenantSuspend(slug: $slug, reason: \"unpaid\") { userErrors { code } } }";
    site.world.admin().data(suspend, slug.clone()).await;
    let entry = format!("{ENTRY}'{}'", site.world.a.id.0);
    let before = site.queue.ask(&entry).await;
    site.offboard("gone").await;
    let payload = site.cancel().await;
    assert_eq!(payload["offboarding"]["tenant"], json!({ "status": "SUSPENDED", "suspensionReason": "unpaid" }));
    assert_eq!(site.queue.ask(&entry).await, before);
    // And it may leave another time.
    assert_eq!(site.offboard("really gone").await["userErrors"], json!([]));
    site.end().await;
}

#[tokio::test]
async fn once_the_keys_are_destroyed_there_is_no_way_back() {
    let mut site = Site::start().await;
    site.offboard("gone").await;
    // Somebody has a table in use, so that the deletion stands still after it has begun.
    let holder = crate::harness::cluster::psql_of(&site.queue.database().await).await;
    site.work();
    site.until("waiting").await;
    let lock = format!(r#"BEGIN; LOCK TABLE "{}".books IN ACCESS SHARE MODE"#, site.world.a.schema);
    holder.batch_execute(&lock).await.unwrap();
    site.pass(GRACE).await;
    site.until("deleting").await;
    let before = site.acts().await;
    assert_eq!(site.cancel().await["userErrors"], json!([{ "code": "TENANT_DELETION_BEGUN", "path": ["slug"] }]));
    let entry = format!("SELECT status FROM control.tenants WHERE id = '{}'", site.world.a.id.0);
    assert_eq!(site.queue.ask(&entry).await, "offboarding");
    assert!(!site.acts().await.iter().any(|act| act.ends_with("offboard_cancel")), "{before:?}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    site.until("completed").await;
    assert_eq!(site.cancel().await["userErrors"], json!([{ "code": "TENANT_STATUS_CONFLICT", "path": ["slug"] }]));
    site.end().await;
}
