//! What operators set for plans and for tenants.

use serde_json::{Value, json};

use super::{Replicas, becomes, noted, set, setting, told, trail};
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::harness::{World, world};

const FIELDS: &str = "name value isSet source isShops isOwn ruledValue ruledBy ruledAt";

/// Sends a mutation of settings and answers its payload.
async fn act(world: &World, mutation: &str, arguments: &str) -> Value {
    let query = format!(
        "mutation {{ r: {mutation}({arguments}) {{ setting {{ {FIELDS} }} userErrors {{ code message path }} }} }}"
    );
    world.admin().data(&query, json!({})).await["r"].clone()
}

/// One of a tenant's settings, as operators see it.
async fn seen(world: &World, slug: &str, name: &str) -> Value {
    let query = format!("query($slug: String!) {{ tenantSettings(slug: $slug) {{ {FIELDS} }} }}");
    let data = world.admin().data(&query, json!({ "slug": slug })).await;
    data["tenantSettings"].as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap().clone()
}

#[tokio::test]
async fn the_nearest_value_counts_on_every_replica_within_a_second() {
    let site = Replicas::start(&[("SETTING_CATALOG_STOCK_LOW", "5")]).await;
    let (slug, other) = (site.one.a.slug.as_str(), site.one.b.slug.as_str());
    let (here, there, elses) = (site.one.owner(), site.two.owner(), site.two.other_owner());
    let counts = async |value: i64, source: &str| {
        for owner in [&here, &there] {
            let expected = format!("{value} {source}");
            becomes(expected, async || {
                let setting = setting(owner, "CATALOG_STOCK_LOW").await;
                format!("{} {}", setting["value"], setting["source"].as_str().unwrap())
            })
            .await;
        }
    };
    counts(5, "ENVIRONMENT").await;
    let plan = act(&site.one, "planSettingUpdate", "plan: \"business\", name: CATALOG_STOCK_LOW, value: 6").await;
    assert_eq!((told(&plan["setting"]), &plan["setting"]["ruledBy"]), ((json!(6), "PLAN"), &json!("cli:test")));
    counts(6, "PLAN").await;
    assert_eq!(told(&setting(&elses, "CATALOG_STOCK_LOW").await), (json!(6), "PLAN"), "it is of the same plan");
    let update = format!("slug: \"{slug}\", name: CATALOG_STOCK_LOW, value: 7");
    assert_eq!(told(&act(&site.one, "tenantSettingUpdate", &update).await["setting"]), (json!(7), "OPERATORS"));
    counts(7, "OPERATORS").await;
    assert_eq!(
        told(&setting(&elses, "CATALOG_STOCK_LOW").await),
        (json!(6), "PLAN"),
        "the other tenant's is as it was"
    );
    set(&here, "CATALOG_STOCK_LOW", json!(8)).await;
    counts(8, "SHOP").await;
    let tenant = seen(&site.two, slug, "CATALOG_STOCK_LOW").await;
    assert_eq!((told(&tenant), &tenant["ruledValue"], &tenant["isOwn"]), ((json!(8), "SHOP"), &json!(7), &json!(true)));

    let reset = format!("slug: \"{slug}\", name: CATALOG_STOCK_LOW");
    assert_eq!(told(&act(&site.one, "tenantSettingReset", &reset).await["setting"]), (json!(8), "SHOP"));
    let own = format!("{reset}, takesOwn: true");
    assert_eq!(told(&act(&site.one, "tenantSettingReset", &own).await["setting"]), (json!(6), "PLAN"));
    counts(6, "PLAN").await;
    let plan = act(&site.two, "planSettingReset", "plan: \"business\", name: CATALOG_STOCK_LOW").await;
    assert_eq!((told(&plan["setting"]), &plan["setting"]["ruledValue"]), ((json!(5), "ENVIRONMENT"), &json!(null)));
    counts(5, "ENVIRONMENT").await;

    let name = "catalog.stock_low";
    assert_eq!(
        noted(&site.psql, slug).await,
        [
            ("tenant.setting_update".to_owned(), json!({ "setting": name, "before": null, "after": 7 })),
            ("tenant.setting_reset".to_owned(), json!({ "setting": name, "before": 7 })),
            ("tenant.setting_reset_own".to_owned(), json!({ "setting": name })),
        ]
    );
    let of_plan = noted(&site.psql, "business").await;
    assert_eq!(of_plan[0], ("plan.setting_update".to_owned(), json!({ "setting": name, "before": null, "after": 6 })));
    assert_eq!((of_plan.len(), of_plan[1].0.as_str()), (2, "plan.setting_reset"));
    let entries = trail(&site.psql, &site.one.a).await;
    assert_eq!((entries.len(), entries[1].0.as_str()), (2, "setting.reset"));
    assert_eq!(entries[1].3, json!({ "operator": "cli:test" }), "the shop is told who");
    assert_eq!((noted(&site.psql, other).await, trail(&site.psql, &site.one.b).await), (vec![], vec![]));
    site.end().await;
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_and_nothing_is_written() {
    world(async |world| {
        let slug = world.a.slug.as_str();
        let secret = "name: PAYMENTS_SECRET_KEY, value: \"sk_live_4eC39HqLyjWD\"";
        for (mutation, arguments, code) in [
            ("tenantSettingUpdate", format!("slug: \"{slug}\", {secret}"), "SETTING_IS_SECRET"),
            ("planSettingUpdate", format!("plan: \"free\", {secret}"), "SETTING_IS_SECRET"),
            (
                "tenantSettingUpdate",
                format!("slug: \"{slug}\", name: EVENTS_RETENTION_DAYS, value: 0"),
                "SETTING_VALUE_INVALID",
            ),
            (
                "planSettingUpdate",
                "plan: \"free\", name: MAIL_REPLY_TO, value: \"x\"".to_owned(),
                "SETTING_VALUE_INVALID",
            ),
            (
                "tenantSettingUpdate",
                "slug: \"nobody\", name: EVENTS_RETENTION_DAYS, value: 9".to_owned(),
                "TENANT_NOT_FOUND",
            ),
            ("planSettingUpdate", "plan: \"gold\", name: EVENTS_RETENTION_DAYS, value: 9".to_owned(), "PLAN_NOT_FOUND"),
            ("tenantSettingReset", "slug: \"nobody\", name: EVENTS_RETENTION_DAYS".to_owned(), "TENANT_NOT_FOUND"),
            ("planSettingReset", "plan: \"go\\u0000ld\", name: EVENTS_RETENTION_DAYS".to_owned(), "PLAN_NOT_FOUND"),
        ] {
            let payload = act(world, mutation, &arguments).await;
            assert_eq!((codes(&payload), &payload["setting"]), (vec![code], &json!(null)), "{mutation} {arguments}");
        }
        let psql = psql().await;
        assert_eq!(noted(&psql, slug).await, []);
        let count = "SELECT count(*) FROM control.tenant_settings WHERE tenant_id = $1";
        assert_eq!(psql.query_one(count, &[&world.a.id.0]).await.unwrap().get::<_, i64>(0), 0);
        let nobody = world.admin().gql("{ tenantSettings(slug: \"nobody\") { name } }", json!({})).await;
        assert_eq!(nobody.code(), "BAD_REQUEST");
    })
    .await;
}

#[tokio::test]
async fn what_is_set_already_is_not_noted_again() {
    world(async |world| {
        let slug = world.a.slug.as_str();
        let update = format!("slug: \"{slug}\", name: EVENTS_RETENTION_DAYS, value: 90");
        for _ in 0..2 {
            assert_eq!(told(&act(world, "tenantSettingUpdate", &update).await["setting"]), (json!(90), "OPERATORS"));
        }
        let reset = format!("slug: \"{slug}\", name: EVENTS_RETENTION_DAYS, takesOwn: false");
        for _ in 0..2 {
            assert_eq!(told(&act(world, "tenantSettingReset", &reset).await["setting"]), (json!(30), "DEFAULT"));
        }
        assert_eq!(noted(&psql().await, slug).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_operators_trail_has_no_address_of_anybody() {
    world(async |world| {
        let slug = world.a.slug.as_str();
        let target = format!("slug: \"{slug}\", name: MAIL_REPLY_TO");
        for address in ["ann@customers.example", "bob@customers.example"] {
            let update = format!("{target}, value: \"{address}\"");
            assert_eq!(
                told(&act(world, "tenantSettingUpdate", &update).await["setting"]),
                (json!(address), "OPERATORS")
            );
        }
        act(world, "tenantSettingReset", &target).await;
        let (name, set, unset) = ("mail.reply_to", json!({ "isSet": true }), json!({ "isSet": false }));
        assert_eq!(
            noted(&psql().await, slug).await,
            [
                ("tenant.setting_update".to_owned(), json!({ "setting": name, "before": unset, "after": set })),
                ("tenant.setting_update".to_owned(), json!({ "setting": name, "before": set, "after": set })),
                ("tenant.setting_reset".to_owned(), json!({ "setting": name, "before": set })),
            ]
        );
    })
    .await;
}
