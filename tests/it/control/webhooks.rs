//! Tenants' webhooks in the operators' API, and what workers count of them.

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::app::App;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::ids::{WebhookDeliveryId, WebhookEndpointId};
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::telemetry::metrics::Metrics;
use shelfwise::worker::gauges::{TENANTS_TOLD_MAX, count};
use shelfwise::worker::{handlers, work};
use uuid::Uuid;

use crate::audit::verified;
use crate::graphql_helpers::codes;
use crate::harness::cluster::psql;
use crate::harness::world::{config_over, fingerprint};
use crate::harness::{Client, World, world};
use crate::jobs::queue::{PATIENCE, Queue};
use crate::orders::order;

/// Adds an endpoint and answers its id.
pub async fn endpoint(client: &Client<'_>) -> String {
    let query = "mutation { webhookEndpointCreate(input: { url: \"https://hooks.example/in?key=secret\" }) {
        webhookEndpoint { id } userErrors { code } } }";
    let data = client.data(query, json!({})).await;
    data["webhookEndpointCreate"]["webhookEndpoint"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
}

/// Adds a delivery to an endpoint in a state, and answers its id.
pub async fn delivery(shop: &TenantCtx, endpoint: &str, state: &str, kind: &str) -> String {
    let insert = format!(
        r#"INSERT INTO "{}".webhook_deliveries (id, endpoint_id, event_id, position, kind, body, state, attempts,
               attempts_total, next_attempt_at, created_at, finished_at)
           VALUES (gen_random_uuid(), $1, gen_random_uuid(), 1, $3, '{{}}', $2, 3, 3,
               CASE WHEN $2 = 'pending' THEN now() END, now(), CASE WHEN $2 <> 'pending' THEN now() END)
           RETURNING id"#,
        shop.schema
    );
    let endpoint: WebhookEndpointId = endpoint.parse().unwrap();
    let row = psql().await.query_one(&insert, &[&endpoint.0, &state, &kind]).await.unwrap();
    WebhookDeliveryId(row.get::<_, Uuid>(0)).to_string()
}

/// The states of a shop's deliveries, as text.
async fn states(shop: &TenantCtx) -> Vec<String> {
    let query = format!(r#"SELECT state FROM "{}".webhook_deliveries ORDER BY state"#, shop.schema);
    psql().await.query(&query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// What the platform's entries of a shop's trail keep, the oldest first: the action and what came of it.
pub async fn trail(shop: &TenantCtx) -> Vec<(String, Value)> {
    let query = format!(
        r#"SELECT action, after::text FROM "{}".audit_log WHERE actor = 'system' ORDER BY sequence"#,
        shop.schema
    );
    let rows = psql().await.query(&query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap())).collect()
}

/// What operators did to a shop's webhooks, the oldest first, and with what.
pub async fn noted(shop: &TenantCtx) -> Vec<(String, Value)> {
    let query = "SELECT action, details::text FROM control.admin_audit WHERE target = $1 AND action LIKE '%webhook%'
        ORDER BY id";
    let rows = psql().await.query(query, &[&shop.slug.as_str()]).await.unwrap();
    rows.iter().map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap())).collect()
}

/// A shop's endpoints as operators see them.
async fn endpoints(world: &World, shop: &TenantCtx) -> Value {
    let query = "query($slug: String!) { tenantWebhookEndpoints(slug: $slug) {
        id host status suspensionReason breakerState failureCount backlogCount } }";
    world.admin().data(query, json!({ "slug": shop.slug.as_str() })).await["tenantWebhookEndpoints"].clone()
}

/// Suspends all endpoints of a shop and answers the payload.
async fn suspend(world: &World, slug: &str, reason: &str) -> Value {
    let mutation = "mutation($slug: String!, $reason: String!) { tenantWebhooksSuspend(slug: $slug, reason: $reason) {
        endpoints { count } userErrors { code path } } }";
    world.admin().data(mutation, json!({ "slug": slug, "reason": reason })).await["tenantWebhooksSuspend"].clone()
}

/// Resumes all endpoints of a shop and answers the payload.
async fn resume(world: &World, slug: &str, skip: bool) -> Value {
    let mutation = "mutation($slug: String!, $skip: Boolean!) { tenantWebhooksResume(slug: $slug, skipBacklog: $skip) {
        endpoints { count } userErrors { code path } } }";
    world.admin().data(mutation, json!({ "slug": slug, "skip": skip })).await["tenantWebhooksResume"].clone()
}

/// Replays deliveries of a shop and answers the payload.
async fn replay(world: &World, input: Value) -> Value {
    let mutation = "mutation($input: TenantWebhooksReplayInput!) { tenantWebhooksReplay(input: $input) {
        deliveries { count } userErrors { code path } } }";
    world.admin().data(mutation, json!({ "input": input })).await["tenantWebhooksReplay"].clone()
}

#[tokio::test]
async fn all_active_endpoints_of_one_shop_are_suspended_and_resumed_and_both_trails_tell_it() {
    let own = World::start(&[]).await;
    let world = &own;
    let owner = world.owner();
    let (one, two, off) = (endpoint(&owner).await, endpoint(&owner).await, endpoint(&owner).await);
    endpoint(&world.other_owner()).await;
    let disable = "mutation($id: ID!) { webhookEndpointDisable(id: $id, reason: \"old\") { userErrors { code } } }";
    owner.data(disable, json!({ "id": off })).await;
    let other = fingerprint(&world.b).await;
    let slug = world.a.slug.as_str();

    let done = |count: i32| json!({ "endpoints": { "count": count }, "userErrors": [] });
    assert_eq!(suspend(world, slug, "  too many\n complaints ").await, done(2));
    assert_eq!(suspend(world, slug, "again").await, done(0));
    let listed = endpoints(world, &world.a).await;
    let row = |id: &str, status: &str, reason: Value| {
        json!({ "id": id, "host": "hooks.example", "status": status, "suspensionReason": reason,
                "breakerState": "CLOSED", "failureCount": 0, "backlogCount": 0 })
    };
    let reason = json!("too many complaints");
    assert_eq!(
        listed,
        json!([
            row(&one, "SUSPENDED", reason.clone()),
            row(&two, "SUSPENDED", reason),
            row(&off, "DISABLED", json!("old"))
        ])
    );
    assert_eq!(resume(world, slug, false).await, done(2));
    assert_eq!(resume(world, slug, false).await, done(0));
    let listed = endpoints(world, &world.a).await;
    let statuses: Vec<&Value> = listed.as_array().unwrap().iter().map(|endpoint| &endpoint["status"]).collect();
    assert_eq!(statuses, ["ACTIVE", "ACTIVE", "DISABLED"], "who is disabled stays so");

    let both = json!([one, two]);
    assert_eq!(
        trail(&world.a).await,
        [
            (
                "webhooks.suspend".to_owned(),
                json!({ "reason": "too many complaints", "endpoints": 2, "endpointIds": both, "operator": "cli:test" })
            ),
            (
                "webhooks.resume".to_owned(),
                json!({ "skipBacklog": false, "endpoints": 2, "endpointIds": both, "operator": "cli:test" })
            ),
        ],
        "what changed nothing is no change of the shop"
    );
    let reason = |text: &str| ("tenant.webhooks_suspend".to_owned(), json!({ "reason": text }));
    let skip = ("tenant.webhooks_resume".to_owned(), json!({ "skipBacklog": false }));
    assert_eq!(noted(&world.a).await, [reason("too many complaints"), reason("again"), skip.clone(), skip]);
    assert_eq!(verified(world).await.broken, None);
    assert_eq!(fingerprint(&world.b).await, other, "the other shop has changed");
    world.assert_nothing_borrowed().await;
    own.end().await;
}

#[tokio::test]
async fn a_shop_that_is_closed_has_its_webhooks_stopped_all_the_same() {
    world(async |world| {
        endpoint(&world.owner()).await;
        let slug = world.a.slug.as_str();
        let close =
            "mutation($slug: String!) { tenantSuspend(slug: $slug, reason: \"unpaid\") { userErrors { code } } }";
        world.admin().data(close, json!({ "slug": slug })).await;
        assert_eq!(suspend(world, slug, "unpaid").await["endpoints"]["count"], 1);
        assert_eq!(endpoints(world, &world.a).await[0]["status"], "SUSPENDED");
    })
    .await;
}

#[tokio::test]
async fn a_backlog_that_is_skipped_is_given_up_and_what_happens_next_is_sent() {
    world(async |world| {
        let (owner, slug) = (world.owner(), world.a.slug.as_str());
        let id = endpoint(&owner).await;
        suspend(world, slug, "a flood").await;
        order(&owner, &[]).await;
        order(&owner, &[]).await;
        delivery(&world.a, &id, "pending", "order.created").await;
        assert_eq!(endpoints(world, &world.a).await[0]["backlogCount"], 3);

        assert_eq!(resume(world, slug, true).await["endpoints"]["count"], 1);
        assert_eq!(endpoints(world, &world.a).await[0]["backlogCount"], 0);
        assert_eq!(states(&world.a).await, ["dead"], "it can be replayed");
        order(&owner, &[]).await;
        assert_eq!(endpoints(world, &world.a).await[0]["backlogCount"], 1);
        assert_eq!(noted(&world.a).await[1].1, json!({ "skipBacklog": true }));
    })
    .await;
}

#[tokio::test]
async fn deliveries_are_replayed_by_filter_and_by_id() {
    world(async |world| {
        let (owner, slug) = (world.owner(), world.a.slug.as_str());
        let (one, two) = (endpoint(&owner).await, endpoint(&owner).await);
        let dead = delivery(&world.a, &one, "dead", "order.paid").await;
        delivery(&world.a, &one, "dead", "order.placed").await;
        delivery(&world.a, &one, "delivered", "order.placed").await;
        delivery(&world.a, &two, "dead", "order.placed").await;

        let input = json!({ "slug": slug, "endpointId": one, "state": "DEAD", "eventType": "order.placed",
                            "from": "2020-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z" });
        let replayed = replay(world, input).await;
        assert_eq!(replayed, json!({ "deliveries": { "count": 1 }, "userErrors": [] }));
        assert_eq!(states(&world.a).await, ["dead", "dead", "delivered", "pending"]);
        let early = json!({ "slug": slug, "endpointId": one, "to": "2020-01-01T00:00:00Z" });
        assert_eq!(replay(world, early).await["deliveries"]["count"], 0);

        let mutation = "mutation($slug: String!, $id: ID!) { tenantWebhookDeliveryReplay(slug: $slug, id: $id) {
            delivery { id endpointId eventType state } userErrors { code path } } }";
        let by_id = async |id: &str| {
            let data = world.admin().data(mutation, json!({ "slug": slug, "id": id })).await;
            data["tenantWebhookDeliveryReplay"].clone()
        };
        assert_eq!(
            by_id(&dead).await["delivery"],
            json!({ "id": dead, "endpointId": one, "eventType": "order.paid", "state": "PENDING" })
        );
        assert_eq!(codes(&by_id(&dead).await), ["WEBHOOK_DELIVERY_PENDING"]);
        let nobody = WebhookDeliveryId(Uuid::nil()).to_string();
        assert_eq!(
            by_id(&nobody).await["userErrors"],
            json!([{ "code": "WEBHOOK_DELIVERY_NOT_FOUND", "path": ["id"] }])
        );

        let entries = trail(&world.a).await;
        let actions: Vec<&str> = entries.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(actions, ["webhooks.replay", "webhooks.replay", "webhook_delivery.replay"]);
        assert_eq!((&entries[0].1["replayed"], &entries[0].1["operator"]), (&json!(1), &json!("cli:test")));
        let noted = noted(&world.a).await;
        assert_eq!(noted.len(), 5, "tries are noted too");
        assert_eq!(
            (&noted[0].1["endpoint"], &noted[0].1["state"], &noted[2].1),
            (&json!(one), &json!("dead"), &json!({ "delivery": dead }))
        );
        assert_eq!(verified(world).await.broken, None);
    })
    .await;
}

#[tokio::test]
async fn what_operators_get_wrong_is_told_and_changes_no_shop() {
    let own = World::start(&[]).await;
    let world = &own;
    let mine = endpoint(&world.owner()).await;
    let theirs = endpoint(&world.other_owner()).await;
    delivery(&world.b, &theirs, "dead", "order.paid").await;
    let before = (fingerprint(&world.a).await, fingerprint(&world.b).await);
    let slug = world.a.slug.as_str();
    let error = |payload: &Value| (payload["userErrors"][0]["code"].clone(), payload["userErrors"][0]["path"].clone());

    let missing = (json!("TENANT_NOT_FOUND"), json!(["slug"]));
    assert_eq!(error(&suspend(world, "nobody", "why").await), missing);
    assert_eq!(error(&resume(world, "nobody", false).await), missing);
    let nobody = replay(world, json!({ "slug": "nobody", "endpointId": mine })).await;
    assert_eq!(error(&nobody), (json!("TENANT_NOT_FOUND"), json!(["input", "slug"])));
    for reason in ["", " \n ", &"x".repeat(501)] {
        assert_eq!(error(&suspend(world, slug, reason).await), (json!("REASON_INVALID"), json!(["reason"])));
    }
    assert_eq!(noted(&world.a).await, [], "what is malformed is no try");
    let foreign = replay(world, json!({ "slug": slug, "endpointId": theirs })).await;
    assert_eq!(error(&foreign), (json!("WEBHOOK_ENDPOINT_NOT_FOUND"), json!(["input", "endpointId"])));
    let backwards = json!({ "slug": slug, "endpointId": mine,
                            "from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z" });
    assert_eq!(error(&replay(world, backwards).await), (json!("TIME_RANGE_INVALID"), json!(["input", "to"])));
    let pending = replay(world, json!({ "slug": slug, "endpointId": mine, "state": "PENDING" })).await;
    assert_eq!(error(&pending), (json!("WEBHOOK_DELIVERY_PENDING"), json!(["input", "state"])));
    let none = "{ tenantWebhookEndpoints(slug: \"nobody\") { id } }";
    assert_eq!(world.admin().data(none, json!({})).await, json!({ "tenantWebhookEndpoints": null }));

    assert_eq!(noted(&world.a).await.len(), 3, "a try without effect is in the trail");
    assert_eq!((fingerprint(&world.a).await, fingerprint(&world.b).await), before);
    world.assert_nothing_borrowed().await;
    own.end().await;
}

#[tokio::test]
async fn endpoints_that_are_not_well_are_listed_the_newest_first() {
    world(async |world| {
        // Ahead of what other tests have in the book.
        let insert = "INSERT INTO control.webhook_troubles (tenant_id, endpoint_id, state, backlog, since, updated_at)
            SELECT $1, ('00000000-0000-7000-8000-00000000000' || n)::uuid, state, n,
                '2999-01-01'::timestamptz + least(n, 2) * interval '1 day', now()
            FROM unnest(ARRAY['suspended', 'open', 'half_open']) WITH ORDINALITY AS trouble (state, n)";
        psql().await.execute(insert, &[&world.a.id.0]).await.unwrap();
        let query = "query($after: String) { webhookTroubles(first: 2, after: $after) {
            nodes { tenantSlug state backlogCount since } pageInfo { endCursor } } }";
        let page =
            async |after: Value| world.admin().data(query, json!({ "after": after })).await["webhookTroubles"].clone();
        let first = page(Value::Null).await;
        let node = |state: &str, backlog: i32, day: i32| {
            json!({ "tenantSlug": world.a.slug.as_str(), "state": state, "backlogCount": backlog,
                    "since": format!("2999-01-0{day}T00:00:00+00:00") })
        };
        assert_eq!(first["nodes"], json!([node("HALF_OPEN", 3, 3), node("OPEN", 2, 3)]));
        let second = page(first["pageInfo"]["endCursor"].clone()).await;
        assert_eq!(second["nodes"][0], node("SUSPENDED", 1, 2));
    })
    .await;
}

/// The series of a family that have a tenant as their label, with their values.
fn series(metrics: &Metrics, family: &str) -> Vec<(String, f64)> {
    let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
    let start = format!("{family}{{tenant=\"");
    let series = text.lines().filter_map(|line| line.strip_prefix(&start)?.split_once("\"} "));
    series.map(|(tenant, value)| (tenant.to_owned(), value.parse().unwrap())).collect()
}

#[tokio::test]
async fn metrics_name_the_ten_tenants_who_have_the_most_jobs_and_no_others() {
    let queue = Queue::new().await;
    for (index, tenant) in queue.tenants(12).await.into_iter().enumerate() {
        queue.add_many("test.waits", Some(tenant), i32::try_from(index).unwrap() + 1).await;
    }
    queue.add_many("test.waits", None, 50).await;
    // Of each tenant's jobs one runs and one has its time to come, where there are so many.
    for state in ["running", "scheduled"] {
        let change = format!(
            "UPDATE control.jobs SET state = '{state}', lease_expires_at = CASE WHEN '{state}' = 'running' THEN now() END,
                 scheduled_at = now() + interval '1 hour'
             WHERE id IN (SELECT min(id::text)::uuid FROM control.jobs WHERE state = 'available' GROUP BY lane
                 HAVING count(*) > 1)"
        );
        queue.sql(&change).await;
    }
    queue.sql("UPDATE control.jobs SET scheduled_at = now() - interval '5 minutes' WHERE state = 'available'").await;
    let metrics = Metrics::new().unwrap();
    let control = queue.runner(shelfwise::jobs::Handlers::default()).control;

    count(&control, &metrics).await.unwrap();
    let mut counts: Vec<f64> = series(&metrics, "shelfwise_jobs_tenant").into_iter().map(|(_, count)| count).collect();
    counts.sort_by(f64::total_cmp);
    assert_eq!(counts, (3..=12).map(f64::from).collect::<Vec<_>>());
    assert_eq!(i64::try_from(counts.len()).unwrap(), TENANTS_TOLD_MAX);
    let ages = series(&metrics, "shelfwise_jobs_tenant_oldest_due_seconds");
    assert_eq!(ages.len(), 10);
    assert!(ages.iter().all(|(_, age)| (300.0..400.0).contains(age)), "{ages:?}");

    // Who has no jobs any more is not told of, and whoever comes next is.
    queue
        .sql(
            "UPDATE control.jobs SET state = 'completed', finalized_at = now(), lease_expires_at = NULL
             WHERE lane IN (SELECT lane FROM control.jobs GROUP BY lane HAVING count(*) > 3)",
        )
        .await;
    count(&control, &metrics).await.unwrap();
    let mut counts: Vec<f64> = series(&metrics, "shelfwise_jobs_tenant").into_iter().map(|(_, count)| count).collect();
    counts.sort_by(f64::total_cmp);
    assert_eq!(counts, [1.0, 2.0, 3.0]);
}

#[tokio::test]
async fn a_worker_counts_endpoints_that_are_not_well_and_a_state_without_any_is_zero() {
    let queue = Queue::new().await;
    let tenants = queue.tenants(2).await;
    let insert = "INSERT INTO control.webhook_troubles (tenant_id, endpoint_id, state, backlog, since, updated_at)
        SELECT tenant, gen_random_uuid(), state, 7, now(), now()
        FROM unnest($1::uuid[]) AS tenant, unnest(ARRAY['suspended', 'open']) AS state";
    queue.psql.execute(insert, &[&tenants]).await.unwrap();
    let app = Arc::new(App::new(config_over(&queue.urls, &[]), Arc::new(SystemClock)).unwrap());
    let text = || String::from_utf8(app.metrics.encode().unwrap()).unwrap();
    let counted = async {
        while !text().contains("shelfwise_webhook_backlog 28") {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        worked = work(Arc::clone(&app), handlers(&app), std::future::pending()) => panic!("{worked:?}"),
        counted = tokio::time::timeout(PATIENCE, counted) => counted.unwrap_or_else(|_| panic!("{}", text())),
    }
    for (state, count) in [("open", 2), ("half_open", 0), ("suspended", 2)] {
        let line = format!("shelfwise_webhook_endpoints_troubled{{state=\"{state}\"}} {count}");
        assert!(text().contains(&line), "{line}:\n{}", text());
    }
    queue.sql("DELETE FROM control.webhook_troubles").await;
    count(&app.control, &app.metrics).await.unwrap();
    for line in ["shelfwise_webhook_backlog 0", "shelfwise_webhook_endpoints_troubled{state=\"open\"} 0"] {
        assert!(text().contains(line), "{line}:\n{}", text());
    }
}
