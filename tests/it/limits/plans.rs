//! Operators change plans and agree to limits: what is allowed, who hears of it and when, and what the trail says.

use chrono::TimeDelta;
use serde_json::{Value, json};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::limits::LimitKind;

use super::{OVERRIDE, agreed, limit};
use crate::harness::cluster::psql;
use crate::harness::{World, world};

const UPDATE: &str = "mutation($code: String!, $input: PlanUpdateInput!) {
    planUpdate(code: $code, input: $input) { plan { name limits { books pageSize } } userErrors { code path } } }";
const CHANGE: &str = "mutation($slug: String!, $plan: String!) {
    tenantPlanChange(slug: $slug, plan: $plan) { tenant { plan limits { books } } userErrors { code path } } }";
const CLEAR: &str = "mutation($slug: String!, $limit: LimitKind!) {
    tenantLimitClear(slug: $slug, limit: $limit) { tenant { limits { books } } userErrors { code path } } }";

/// Entries of the trail about a target, the newest first.
async fn trail(world: &World, target: &str) -> Vec<Value> {
    let query = "query($target: String!) { auditLog(target: $target) { nodes { action operator details } } }";
    let data = world.admin().data(query, json!({ "target": target })).await;
    data["auditLog"]["nodes"].as_array().unwrap().clone()
}

#[tokio::test]
async fn plans_are_listed_from_the_smallest_and_a_change_reaches_every_server_within_a_second() {
    world(async |world| {
        let plans = world.admin().data("{ plans { code limits { books weight } } }", json!({})).await;
        let codes: Vec<&str> =
            plans["plans"].as_array().unwrap().iter().map(|plan| plan["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["free", "starter", "business", "enterprise"]);

        let beside = World::beside(world).await;
        let slug = world.a.slug.as_str();
        let changed = world.admin().data(CHANGE, json!({ "slug": slug, "plan": "starter" })).await;
        let expected = json!({ "tenant": { "plan": "starter", "limits": { "books": 20_000 } }, "userErrors": [] });
        assert_eq!(changed["tenantPlanChange"], expected);
        for server in [world, &beside] {
            server.context_when(|context| context.plan == "starter" && context.limits.books == 20_000).await;
        }
        // No other test has shops on this plan.
        let input = json!({ "books": 20_001, "pageSize": 50 });
        let updated = world.admin().data(UPDATE, json!({ "code": "starter", "input": input })).await;
        let plan = json!({ "name": "Starter", "limits": { "books": 20_001, "pageSize": 50 } });
        assert_eq!(updated["planUpdate"], json!({ "plan": plan, "userErrors": [] }));
        for server in [world, &beside] {
            server.context_when(|context| context.limits.books == 20_001 && context.limits.page_size == 50).await;
        }
        let input = json!({ "books": 20_000, "pageSize": 100 });
        world.admin().data(UPDATE, json!({ "code": "starter", "input": input })).await;

        assert_eq!(trail(world, slug).await[0]["details"], json!({ "from": "business", "to": "starter" }));
        let entry = &trail(world, "starter").await[1];
        assert_eq!(entry["details"]["changes"]["books"], json!({ "from": 20_000, "to": 20_001 }));
        beside.end().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_agreed_goes_before_the_plan_until_its_end_and_nobody_has_to_look() {
    world(async |world| {
        let plans = world.a.limits.books;
        limit(world, LimitKind::Books, 7).await;
        // Replaced, not added.
        limit(world, LimitKind::Books, 8).await;
        let query = "query($slug: String!) { tenantLimitOverrides(slug: $slug) { limit value reason madeBy } }";
        let slug = json!({ "slug": world.a.slug.as_str() });
        let listed = world.admin().data(query, slug.clone()).await["tenantLimitOverrides"].clone();
        assert_eq!(listed, json!([{ "limit": "BOOKS", "value": 8, "reason": "A test.", "madeBy": "cli:test" }]));
        let none = world.admin().data(query, json!({ "slug": "nobody" })).await;
        assert_eq!(none["tenantLimitOverrides"], Value::Null);

        let end =
            "UPDATE control.plan_overrides SET ends_at = clock_timestamp() + interval '300 ms' WHERE tenant_id = $1";
        psql().await.execute(end, &[&world.a.id.0]).await.unwrap();
        world.context_when(|context| context.limits.books == plans).await;
        assert_eq!(world.admin().data(query, slug).await["tenantLimitOverrides"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_was_agreed_can_be_ended_once() {
    world(async |world| {
        let plans = world.a.limits.books;
        limit(world, LimitKind::Books, 7).await;
        let arguments = json!({ "slug": world.a.slug.as_str(), "limit": "BOOKS" });
        let cleared = world.admin().data(CLEAR, arguments.clone()).await["tenantLimitClear"].clone();
        assert_eq!(cleared, json!({ "tenant": { "limits": { "books": plans } }, "userErrors": [] }));
        world.context_when(|context| context.limits.books == plans).await;
        let again = world.admin().data(CLEAR, arguments).await["tenantLimitClear"].clone();
        assert_eq!(again["userErrors"], json!([{ "code": "LIMIT_OVERRIDE_NOT_FOUND", "path": ["limit"] }]));
        let actions = trail(world, world.a.slug.as_str()).await;
        let actions: Vec<&str> = actions.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
        assert_eq!(actions[..2], ["tenant.limit_clear", "tenant.limit_override"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_out_of_bounds_is_refused_with_its_place_and_leaves_no_entry() {
    world(async |world| {
        let slug = world.a.slug.as_str();
        let before = trail(world, slug).await.len();
        let refused = async |change: Value, code: &str, path: &str| {
            let mut arguments = agreed(world, LimitKind::Books, 7);
            arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let data = world.admin().data(OVERRIDE, arguments).await;
            let errors = &data["tenantLimitOverride"]["userErrors"];
            assert_eq!(*errors, json!([{ "code": code, "path": [path] }]), "{change}");
        };
        refused(json!({ "value": -1 }), "LIMIT_INVALID", "value").await;
        refused(json!({ "limit": "PAGE_SIZE", "value": 101 }), "LIMIT_INVALID", "value").await;
        refused(json!({ "limit": "WEIGHT", "value": 0 }), "LIMIT_INVALID", "value").await;
        refused(json!({ "endsAt": SystemClock.now() - TimeDelta::seconds(1) }), "END_INVALID", "endsAt").await;
        refused(json!({ "endsAt": SystemClock.now() + TimeDelta::days(4_000) }), "END_INVALID", "endsAt").await;
        refused(json!({ "reason": " " }), "REASON_INVALID", "reason").await;
        refused(json!({ "slug": "nobody" }), "TENANT_NOT_FOUND", "slug").await;

        let change = async |slug: &str, plan: &str| {
            let data = world.admin().data(CHANGE, json!({ "slug": slug, "plan": plan })).await;
            data["tenantPlanChange"]["userErrors"].clone()
        };
        assert_eq!(change(slug, "golden").await, json!([{ "code": "PLAN_NOT_FOUND", "path": ["plan"] }]));
        assert_eq!(change("nobody", "free").await, json!([{ "code": "TENANT_NOT_FOUND", "path": ["slug"] }]));
        assert_eq!(change(slug, "business").await, json!([]), "as it is: nothing to do");

        let update = async |code: &str, input: Value| {
            let data = world.admin().data(UPDATE, json!({ "code": code, "input": input })).await;
            data["planUpdate"]["userErrors"].clone()
        };
        let invalid = json!([
            { "code": "LIMIT_INVALID", "path": ["input", "jobs"] },
            { "code": "LIMIT_INVALID", "path": ["input", "pageSize"] },
            { "code": "NAME_INVALID", "path": ["input", "name"] },
        ]);
        assert_eq!(update("free", json!({ "name": "", "jobs": 0, "pageSize": 19, "books": 1 })).await, invalid);
        assert_eq!(
            update("golden", json!({ "jobs": 1 })).await,
            json!([{ "code": "PLAN_NOT_FOUND", "path": ["code"] }])
        );
        assert_eq!(update("free", json!({})).await, json!([]), "nothing named: nothing done");
        assert_eq!(trail(world, slug).await.len(), before);
        assert_eq!(trail(world, "free").await, Vec::<Value>::new());
    })
    .await;
}

#[tokio::test]
async fn nothing_is_agreed_with_a_tenant_on_its_way_out() {
    world(async |world| {
        let leave = "UPDATE control.tenants SET status = 'offboarding' WHERE id = $1";
        psql().await.execute(leave, &[&world.a.id.0]).await.unwrap();
        let data = world.admin().data(OVERRIDE, agreed(world, LimitKind::Books, 7)).await;
        assert_eq!(data["tenantLimitOverride"]["userErrors"][0]["code"], "TENANT_STATUS_CONFLICT");
        let data = world.admin().data(CHANGE, json!({ "slug": world.a.slug.as_str(), "plan": "free" })).await;
        assert_eq!(data["tenantPlanChange"]["userErrors"][0]["code"], "TENANT_STATUS_CONFLICT");
        let back = "UPDATE control.tenants SET status = 'active' WHERE id = $1";
        psql().await.execute(back, &[&world.a.id.0]).await.unwrap();
    })
    .await;
}
