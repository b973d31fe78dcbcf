//! Jobs that keep a shop in order. A shop's changes ask for them, so shops in which nothing happens cost nothing.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::json;

use super::tenants::{ForTenant, TenantHandler};
use crate::app::App;
use crate::control::anchors::service::anchor;
use crate::db::{DbError, TenantTx};
use crate::jobs::{Answer, Handlers, Job, Setback};
use crate::kernel::settings::{EVENTS_RETENTION_DAYS, WEBHOOKS_RETENTION_DAYS};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::audit::head::ANCHOR;
use crate::tenant::orders::payments::service::stuck_enqueue;
use crate::tenant::webhooks::deliveries;
use crate::tenant::webhooks::dispatch::look_enqueue;
use crate::tenant::{events, idempotency};

/// The kind of the job that removes what is over.
const SWEEP: &str = "shop.sweep";

/// The pause between two sweeps of a shop that has something left to remove.
const SWEEP_PAUSE: TimeDelta = TimeDelta::hours(1);

/// How long a payment stands still before it is taken on anew: longer than a worker and its provider take.
const STUCK_AFTER: TimeDelta = TimeDelta::hours(1);

/// Keeps where the trail ends outside of the shop's schema, and asks for a sweep. Twice is safe: an anchor is kept once.
struct Anchor(Arc<App>);

/// Removes keys that have expired and events that are old, and has payments taken on that stand still, as long as there is
/// anything to look after. Twice is safe: what is removed is gone, and a payment is taken on by one job at a time.
struct Sweep(Arc<App>);

/// These handlers, and those that keep shops in order.
pub(super) fn with_upkeep(handlers: Handlers, app: &Arc<App>) -> Handlers {
    handlers.with(ForTenant::of(app, Anchor(Arc::clone(app)))).with(ForTenant::of(app, Sweep(Arc::clone(app))))
}

impl TenantHandler for Anchor {
    fn kind(&self) -> &'static str {
        ANCHOR
    }

    fn run(&self, tenant: Arc<TenantCtx>, _: Job) -> BoxFuture<'_, Answer> {
        async move {
            let services = &self.0.services;
            let clock = &*services.clock;
            // A trail that is broken is told of once, and not tried again: it stays broken.
            anchor(&self.0.control, &services.tenants, clock, Arc::clone(&tenant)).await?;
            let work = async |tx: &mut TenantTx| {
                let at = Some(clock.now() + SWEEP_PAUSE);
                tx.enqueue_at(clock.new_id(), SWEEP, json!({}), Some(SWEEP.to_owned()), at).await
            };
            services.tenants.session(tenant).write::<_, DbError>(work).await?;
            Ok(())
        }
        .boxed()
    }
}

impl TenantHandler for Sweep {
    fn kind(&self) -> &'static str {
        SWEEP
    }

    fn run(&self, tenant: Arc<TenantCtx>, _: Job) -> BoxFuture<'_, Answer> {
        async move {
            let services = &self.0.services;
            let now = services.clock.now();
            let settings = services.settings.platforms(&tenant);
            let kept_from = now - TimeDelta::days(settings.get(EVENTS_RETENTION_DAYS));
            let deliveries_kept_from = now - TimeDelta::days(settings.get(WEBHOOKS_RETENTION_DAYS));
            let work = async |tx: &mut TenantTx| {
                let has_keys = idempotency::service::sweep(tx, now).await?;
                stuck_enqueue(tx, &*services.clock, now - STUCK_AFTER).await?;
                look_enqueue(tx, &*services.clock).await?;
                let has_deliveries = deliveries::service::delivery_exists(tx).await?;
                Ok(events::service::sweep(tx, kept_from).await? || has_keys || has_deliveries)
            };
            let session = services.tenants.session(tenant);
            // What is removed is over, so this ends when it is gone; the job's time is a bound as well.
            let page = async |tx: &mut TenantTx| deliveries::service::sweep(tx, deliveries_kept_from).await;
            while session.write::<_, DbError>(page).await? {}
            if session.write::<_, DbError>(work).await? {
                return Err(Setback::Snooze(now + SWEEP_PAUSE));
            }
            Ok(())
        }
        .boxed()
    }
}
