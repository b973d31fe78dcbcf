//! What operators have decided for a shop is gone with it, and comes back with its archive.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shelfwise::control::archives::restore::{Desk, From, To, tenant_restore};
use shelfwise::kernel::clock::Clock as _;
use shelfwise::kernel::ids::TenantId;
use shelfwise::kernel::settings::EVENTS_RETENTION_DAYS;
use uuid::Uuid;

use super::{GRACE, Site};
use crate::deprecations::extend;
use crate::harness::world::operator;
use crate::limits::OVERRIDE;

/// What is decided for a tenant, as its rows have it.
async fn decided(site: &Site, tenant: Uuid) -> Value {
    let query = format!(
        "SELECT json_build_object(
            'settings', (SELECT json_agg(json_build_array(name, value, updated_by, updated_at) ORDER BY name)
                FROM control.tenant_settings WHERE tenant_id = '{tenant}'),
            'flags', (SELECT json_agg(json_build_array(flag, is_on, ends_at, reason, updated_by, updated_at))
                FROM control.tenant_flags WHERE tenant_id = '{tenant}'),
            'limits', (SELECT json_agg(json_build_array(limit_name, value, ends_at, reason, made_by, made_at) ORDER BY limit_name)
                FROM control.plan_overrides WHERE tenant_id = '{tenant}'),
            'extensions', (SELECT json_agg(json_build_array(part, until, reason, made_by, made_at))
                FROM control.deprecation_extensions WHERE tenant_id = '{tenant}'))::text"
    );
    serde_json::from_str(&site.queue.ask(&query).await).unwrap()
}

/// Agrees to a limit for shop A, for so many days.
async fn agree(site: &Site, limit: &str, value: u32, days: i64) {
    let variables = json!({ "slug": site.world.a.slug.as_str(), "limit": limit, "value": value,
        "endsAt": site.clock.now() + TimeDelta::days(days), "reason": "by contract" });
    let data = site.world.admin().data(OVERRIDE, variables).await;
    assert_eq!(data["tenantLimitOverride"]["userErrors"], json!([]));
}

#[tokio::test]
async fn what_was_decided_for_a_shop_comes_back_with_its_archive_after_the_deletion() {
    let mut site = Site::start().await;
    let update = "mutation($slug: String!) {
        tenantSettingUpdate(slug: $slug, name: EVENTS_RETENTION_DAYS, value: 3650) { userErrors { code } } }";
    site.world.admin().data(update, json!({ "slug": site.world.a.slug.as_str() })).await;
    agree(&site, "BOOKS", 70, 400).await;
    assert_eq!(
        extend(&site.world.admin(), &site.world.a, "Book.priceCents", "2027-09-01").await["userErrors"],
        json!([])
    );
    let (old, other) = (site.world.a.id.0, decided(&site, site.world.b.id.0).await);
    let before = decided(&site, old).await;
    assert_eq!(before["settings"].as_array().unwrap().len(), 2, "{before}");
    // What has ended when the shop comes back, and what this release does not know.
    agree(&site, "WEBHOOK_ENDPOINTS", 9, 10).await;
    site.queue
        .sql(&format!("INSERT INTO control.tenant_settings VALUES ('{old}', 'of.the_future', '5', 'test', now())"))
        .await;

    site.offboard("gone").await;
    site.work();
    site.until("waiting").await;
    site.pass(GRACE).await;
    site.until("completed").await;
    let none = json!({ "settings": null, "flags": null, "limits": null, "extensions": null });
    assert_eq!(decided(&site, old).await, none);
    let archive = site.ask("archive_id::text").await;
    let manifest = format!("SELECT manifest::text FROM control.archives WHERE id = '{archive}'");
    assert!(!site.queue.ask(&manifest).await.contains("by contract"), "the row outlives the tenant");

    let app = &site.world.app;
    let clock = &*app.services.clock;
    let desk = Desk {
        control: &app.control,
        owner: app.owner.as_ref().unwrap(),
        vault: &app.services.vault,
        objects: &app.objects,
        clock,
    };
    let to = To { id: TenantId(clock.new_id()), slug: site.world.a.slug.as_str().to_owned(), name: None };
    let from = From::Archive(archive.parse::<Uuid>().unwrap().into());
    let tenant = tenant_restore(desk, &operator(), &from, to, &|_| {}).await.unwrap();

    assert_eq!(decided(&site, tenant.id.0).await, before, "by whom and when it was");
    let shop = tenant_context(&site, tenant.id).await;
    assert_eq!(app.services.settings.platforms(&shop).get(EVENTS_RETENTION_DAYS), 3_650, "no sweep removes its events");
    assert_eq!((shop.limits.books, shop.extensions.0.len()), (70, 1));
    let terms = "SELECT details ->> 'terms' FROM control.admin_audit WHERE action = 'tenant.restore'";
    let terms: Value = serde_json::from_str(&site.queue.ask(terms).await).unwrap();
    assert_eq!(terms, json!({ "settings": 2, "flags": 1, "limits": 1, "extensions": 1, "leftOut": 2 }));
    assert_eq!(decided(&site, site.world.b.id.0).await, other, "the other shop is as it was");
    site.end().await;
}

#[tokio::test]
async fn nothing_is_decided_for_a_shop_on_its_way_out() {
    let site = Site::start().await;
    site.offboard("gone").await;
    let (before, acts) = (decided(&site, site.world.a.id.0).await, site.acts().await);
    let slug = site.world.a.slug.as_str();
    for mutation in [
        format!(
            "tenantFlagSet(slug: \"{slug}\", name: \"stock_low_on_update\", input: {{ isOn: false, reason: \"x\" }})"
        ),
        format!("tenantSettingUpdate(slug: \"{slug}\", name: EVENTS_RETENTION_DAYS, value: 3650)"),
        format!("tenantSettingReset(slug: \"{slug}\", name: CATALOG_STOCK_LOW)"),
        format!(
            "tenantLimitOverride(slug: \"{slug}\", limit: BOOKS, value: 7, endsAt: \"2027-06-01T00:00:00Z\", reason: \"x\")"
        ),
        format!(
            "deprecationExtensionSet(slug: \"{slug}\", part: \"Book.priceCents\", until: \"2027-09-01\", reason: \"x\")"
        ),
    ] {
        let query = format!("mutation {{ r: {mutation} {{ userErrors {{ code path }} }} }}");
        let data = site.world.admin().data(&query, json!({})).await;
        assert_eq!(
            data["r"]["userErrors"],
            json!([{ "code": "TENANT_STATUS_CONFLICT", "path": ["slug"] }]),
            "{mutation}"
        );
    }
    assert_eq!((decided(&site, site.world.a.id.0).await, site.acts().await), (before, acts));
    site.end().await;
}

/// A tenant as servers have it.
async fn tenant_context(site: &Site, id: TenantId) -> std::sync::Arc<shelfwise::kernel::tenant::TenantCtx> {
    let tenant = shelfwise::control::tenants::service::tenant_by_id(&site.world.app.control, id).await.unwrap();
    tenant.unwrap().context().unwrap()
}
