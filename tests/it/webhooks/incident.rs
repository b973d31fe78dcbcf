//! The incident that webhooks are built for: an endpoint answers 500 for a day, and nobody else is to notice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use chrono::TimeDelta;
use serde_json::json;
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::tenant::TenantCtx;

use super::{Site, act, endpoint, endpoint_with, shown, site};
use crate::harness::receiver::Receiver;
use crate::harness::world::shop;

/// Minutes that pass between two looks.
const TICK_MINUTES: i64 = 3;

/// Looks in a day.
const TICKS: usize = 480;

/// Events of the failing shop between two looks: 200 an hour.
const EVENTS: usize = 10;

/// What happens to so many entities.
const ENTITIES: u128 = 7;

/// Lets some time pass in which things happen in both shops, and answers the greatest depth of the queue for the first.
async fn pass(site: &Site, failing: Option<&Arc<TenantCtx>>, healthy: &Arc<TenantCtx>, ticks: usize) -> i64 {
    let mut deepest = 0;
    for tick in 0..ticks {
        if let Some(shop) = failing {
            let entities: Vec<u128> = (0..EVENTS).map(|one| (tick * EVENTS + one) as u128 % ENTITIES + 1).collect();
            site.publish_all(shop, &entities).await;
            deepest = deepest.max(site.queued(shop).await);
        }
        site.publish(healthy, 1).await;
        site.rest().await;
        if let Some(shop) = failing {
            deepest = deepest.max(site.queued(shop).await);
        }
        site.advance(TimeDelta::minutes(TICK_MINUTES)).await;
    }
    site.rest().await;
    deepest
}

/// The 99th percentile of the time from an event to its delivery, in milliseconds, for events behind a position.
async fn p99(site: &Site, shop: &TenantCtx, after: i64) -> f64 {
    let query = format!(
        r#"SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - at)::float8 * 1000),
               count(*), count(finished_at)
           FROM "{0}".events LEFT JOIN "{0}".webhook_deliveries ON event_id = events.id WHERE events.position > $1"#,
        shop.schema
    );
    let row = site.psql.query_one(&query, &[&after]).await.unwrap();
    assert_eq!(row.get::<_, i64>(1), row.get::<_, i64>(2), "every event was delivered");
    row.get(0)
}

#[tokio::test]
async fn a_day_of_failure_fills_no_queue_delays_nobody_and_loses_nothing() {
    site(&[("WEBHOOK_DRAIN_PER_SECOND", "5000")], async |site| {
        let (broken, well) = (Receiver::start().await, Receiver::start().await);
        let (failing, healthy) = (&site.world.a, shop(&site.world.app, "c").await);
        let owner = site.world.owner();
        let input = json!({ "url": broken.url("/hook"), "eventTypes": ["book.stock_low"] });
        let (id, _) = endpoint_with(&owner, input).await;
        endpoint(&site.world.user(&healthy, Role::Owner), &well.url("/hook")).await;
        broken.answer(|_, _| StatusCode::INTERNAL_SERVER_ERROR.into_response());

        pass(site, None, &healthy, TICKS / 4).await;
        let without = p99(site, &healthy, 0).await;
        let deepest = pass(site, Some(failing), &healthy, TICKS).await;
        let with = p99(site, &healthy, (TICKS / 4) as i64).await;

        println!(
            "p99 of the healthy shop: {without:.0} ms without the incident, {with:.0} ms within it; deepest {deepest}"
        );
        assert!(deepest <= 3, "{deepest} jobs of the failing endpoint were queued");
        // Simulated time passes in steps of three minutes: a delivery that had waited for another's turn would show.
        assert!(with < without + 1_000.0, "{without} → {with}");
        let suspended = shown(&owner, &id).await;
        assert_eq!(suspended["status"], "SUSPENDED");
        assert_eq!(suspended["backlogCount"], TICKS * EVENTS);
        assert!(broken.received().len() < 50, "{} attempts", broken.received().len());

        broken.status(200);
        let failed = broken.received().len();
        act(&owner, "webhookEndpointResume", &id, "").await;
        let arrived = broken.wait_for("/hook", failed + TICKS * EVENTS).await.split_off(failed);
        site.rest().await;

        let ids: HashSet<&str> = arrived.iter().map(|one| one.header("webhook-id")).collect();
        assert_eq!((arrived.len(), ids.len()), (TICKS * EVENTS, TICKS * EVENTS), "each once");
        let mut last: HashMap<String, i64> = HashMap::new();
        for one in &arrived {
            let body = one.json();
            let position = body["position"].as_str().unwrap().parse().unwrap();
            let before = last.insert(body["entity"].as_str().unwrap().to_owned(), position);
            assert!(before.is_none_or(|before| before < position), "out of order: {body}");
        }
        assert_eq!(last.len(), usize::try_from(ENTITIES).unwrap());
        assert_eq!(site.queued(failing).await, 0);
    })
    .await;
}
