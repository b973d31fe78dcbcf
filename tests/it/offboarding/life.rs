//! A whole life's end, beside a shop that goes on.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shelfwise::control::tenants::Lookup;
use shelfwise::control::tenants::service::tenant_by_slug;
use shelfwise::vault::KeyError;

use super::{GRACE, Site};
use crate::harness::world::new_tenant;

#[tokio::test]
async fn a_shop_is_closed_archived_kept_for_the_grace_period_and_then_gone() {
    let mut site = Site::start().await;
    let other = site.everything(&site.world.b).await;
    site.until_answered("").await;

    // Day 0: closed within a second, and nothing is lost.
    let payload = site.offboard("  they \t have left ").await;
    assert_eq!(
        payload["offboarding"],
        json!({
            "status": "EXPORTING", "reason": "they have left", "requestedBy": "cli:test", "certificate": null,
            "tenant": { "status": "OFFBOARDING", "suspensionReason": "they have left" },
        })
    );
    site.until_answered("TENANT_SUSPENDED").await;
    site.world.owner().gql("{ books { totalCount } }", json!({})).await.assert_refused(403, "TENANT_SUSPENDED");
    site.work();
    site.until("waiting").await;

    // Within the grace period nothing is destroyed, and the shop's jobs wait.
    site.pass(TimeDelta::days(29)).await;
    let looked = "SELECT count(*) FROM control.jobs
        WHERE kind = 'offboarding.advance' AND state = 'scheduled' AND scheduled_at > now()";
    site.queue.until(looked, "1").await;
    assert_eq!(site.status().await, "waiting");
    let jobs =
        format!("SELECT string_agg(DISTINCT state, ',') FROM control.jobs WHERE tenant_id = '{}'", site.world.a.id.0);
    assert_eq!(site.queue.ask(&jobs).await, "available");

    // After it all is.
    let sealed = sealed(&site).await;
    site.pass(TimeDelta::days(2)).await;
    site.until("completed").await;
    assert_eq!(site.traces().await, Vec::<String>::new());
    site.until_answered("UNAUTHENTICATED").await;
    assert_eq!(
        site.acts().await,
        [
            "cli:test tenant.provision",
            "cli:test tenant.export",
            "cli:test tenant.export",
            "cli:test tenant.offboard",
            "platform offboarding.export",
            "platform offboarding.destroy_keys",
            "platform offboarding.drop_schema",
            "platform offboarding.complete",
        ]
    );

    // What is left of it opens nothing, and nobody gets its name.
    let services = &site.world.app.services;
    assert_eq!(services.registry.resolve(&site.world.a.slug).await.unwrap(), Lookup::Unknown);
    let tombstone = tenant_by_slug(&site.world.app.control, site.world.a.slug.as_str()).await.unwrap().unwrap();
    let context = tombstone.context().unwrap();
    let place = shelfwise::kernel::seal::Place { row: site.world.a.id.0, column: "test" };
    assert_eq!(services.vault.open(&context, place, &sealed), Err(KeyError::Gone));
    let query = "mutation($input: TenantProvisionInput!) { tenantProvision(input: $input) { userErrors { code } } }";
    let new = new_tenant(site.world.a.slug.as_str());
    let input = json!({ "slug": new.slug, "name": new.name, "plan": new.plan, "ownerEmail": new.owner_email });
    let data = site.world.admin().data(query, json!({ "input": input })).await;
    assert_eq!(data["tenantProvision"]["userErrors"], json!([{ "code": "SLUG_TAKEN" }]));

    assert_eq!(site.everything(&site.world.b).await, other, "the other shop has changed");
    site.end().await;
}

/// What the shop's key has sealed while it had one.
async fn sealed(site: &Site) -> Vec<u8> {
    let place = shelfwise::kernel::seal::Place { row: site.world.a.id.0, column: "test" };
    site.world.app.services.vault.seal(&site.world.a, place, b"ann@example.org").unwrap()
}

#[tokio::test]
async fn another_replica_that_had_the_keys_in_memory_cannot_get_them_again() {
    let mut site = Site::start().await;
    let settings = [("MASTER_KEYS", crate::harness::world::master_key().to_setting())];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let config = crate::harness::world::config_over(&site.queue.urls, &settings);
    let replica = shelfwise::app::App::new(config, site.clock.clone()).unwrap();
    let Lookup::Active(context) = replica.services.registry.resolve(&site.world.a.slug).await.unwrap() else {
        panic!()
    };
    let place = shelfwise::kernel::seal::Place { row: site.world.a.id.0, column: "test" };
    let sealed = replica.services.vault.seal(&context, place, b"x").unwrap();
    drop(context);

    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    site.pass(GRACE).await;
    site.until("completed").await;
    let started = std::time::Instant::now();
    while replica.services.registry.resolve(&site.world.a.slug).await.unwrap() != Lookup::Unknown {
        assert!(started.elapsed() < std::time::Duration::from_secs(1));
    }
    let entry = tenant_by_slug(&replica.control, site.world.a.slug.as_str()).await.unwrap().unwrap();
    let opened = replica.services.vault.open(&entry.context().unwrap(), place, &sealed);
    assert_eq!(opened, Err(KeyError::Gone));
    site.end().await;
}

#[tokio::test]
async fn what_cannot_be_offboarded_is_refused_and_nothing_is_written() {
    let site = Site::start().await;
    let count = "SELECT (SELECT count(*) FROM control.offboardings) + (SELECT count(*) FROM control.archives)
        + (SELECT count(*) FROM control.jobs WHERE tenant_id IS NULL)";
    let before = (site.everything(&site.world.a).await, site.acts().await);
    let long = "x".repeat(501);
    for (slug, reason, code, path) in [
        ("nobody", "x", "TENANT_NOT_FOUND", "slug"),
        ("no\u{0}body", "x", "TENANT_NOT_FOUND", "slug"),
        (site.world.a.slug.as_str(), " ", "REASON_INVALID", "reason"),
        (site.world.a.slug.as_str(), &long, "REASON_INVALID", "reason"),
    ] {
        let query = "mutation($slug: String!, $reason: String!) { tenantOffboard(slug: $slug, reason: $reason) {
            offboarding { id } userErrors { code path } } }";
        let data = site.world.admin().data(query, json!({ "slug": slug, "reason": reason })).await;
        let refusal = json!({ "offboarding": null, "userErrors": [{ "code": code, "path": [path] }] });
        assert_eq!(data["tenantOffboard"], refusal, "{slug} {reason}");
    }
    assert_eq!(site.cancel().await["userErrors"], json!([{ "code": "TENANT_STATUS_CONFLICT", "path": ["slug"] }]));
    assert_eq!(site.queue.ask(count).await, "0");
    assert_eq!((site.everything(&site.world.a).await, site.acts().await), before);

    assert_eq!(site.offboard("gone").await["userErrors"], json!([]));
    let before = (site.everything(&site.world.a).await, site.acts().await, site.row().await);
    let conflict = json!([{ "code": "TENANT_STATUS_CONFLICT", "path": ["slug"] }]);
    assert_eq!(site.offboard("again").await["userErrors"], conflict);
    for mutation in ["tenantSuspend(slug: $slug, reason: \"x\")", "tenantResume(slug: $slug)"] {
        let query = format!("mutation($slug: String!) {{ r: {mutation} {{ userErrors {{ code path }} }} }}");
        let data = site.world.admin().data(&query, json!({ "slug": site.world.a.slug.as_str() })).await;
        assert_eq!(data["r"]["userErrors"], conflict, "{mutation}");
    }
    assert_eq!((site.everything(&site.world.a).await, site.acts().await, site.row().await), before);
    site.end().await;
}

#[tokio::test]
async fn offboardings_are_listed_the_newest_first_and_found_by_slug() {
    let site = Site::start().await;
    site.offboard("first").await;
    site.cancel().await;
    site.offboard("second").await;
    let query =
        "query($slug: String!) { offboarding(slug: $slug) { reason status failureCount error deleteAfter requestedAt }
        none: offboarding(slug: \"nobody\") { id } nul: offboarding(slug: \"a\\u0000\") { id }
        all: offboardings { nodes { reason } }
        canceled: offboardings(status: CANCELED) { nodes { reason tenantSlug } pageInfo { hasNextPage } } }";
    let slug = site.world.a.slug.as_str();
    let data: Value = site.world.admin().data(query, json!({ "slug": slug })).await;
    assert_eq!(
        (&data["offboarding"]["reason"], &data["offboarding"]["status"]),
        (&json!("second"), &json!("EXPORTING"))
    );
    let at = |field: &str| {
        let text = data["offboarding"][field].as_str().unwrap().to_owned();
        text.parse::<chrono::DateTime<chrono::Utc>>().unwrap()
    };
    assert_eq!(at("deleteAfter") - at("requestedAt"), TimeDelta::days(30));
    assert_eq!((&data["none"], &data["nul"]), (&Value::Null, &Value::Null));
    assert_eq!(data["all"]["nodes"], json!([{ "reason": "second" }, { "reason": "first" }]));
    assert_eq!(data["canceled"]["nodes"], json!([{ "reason": "first", "tenantSlug": slug }]));
    site.end().await;
}
