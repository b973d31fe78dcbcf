//! Jobs of webhooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;

use super::tenants::{ForTenant, TenantHandler, setback};
use crate::app::App;
use crate::control::webhooks::service::standing_set;
use crate::jobs::{Answer, Handlers, Job};
use crate::kernel::ids::WebhookEndpointId;
use crate::kernel::tenant::TenantCtx;
use crate::outbound::Outbound;
use crate::tenant::webhooks::courier::round::{Outcome, Standing};
use crate::tenant::webhooks::courier::{Courier, CourierPace};
use crate::tenant::webhooks::dispatch::dispatch;
use crate::tenant::webhooks::endpoints::sealed::Sealing;
use crate::tenant::webhooks::endpoints::service::trouble;
use crate::tenant::webhooks::{DELIVER, DISPATCH};

/// After so long an endpoint's job ends and another goes on, so that every endpoint has its turn.
const BUDGET: Duration = Duration::from_secs(20);

/// How long an attempt may take: the budget, a last round of calls that take their time, and some statements.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Attempts before a job is a dead letter: it fails where the database or a key does, never where an endpoint does.
const ATTEMPTS_MAX: i16 = 20;

/// Wakes the endpoints of a shop. Twice is safe: an endpoint that is awake stays so.
struct Wake(Arc<App>);

/// Sends to one endpoint. Twice is safe: an event has one id, by which a receiver knows it again, and whose job it is not any
/// more writes nothing.
struct Deliver {
    app: Arc<App>,
    outbound: Outbound,
}

/// What `webhook.deliver` is about.
#[derive(Deserialize)]
struct OfEndpoint {
    endpoint: String,
}

/// The handlers of webhooks. They have slots of their own: they mostly wait for endpoints, and nobody else waits for them.
#[must_use]
pub fn webhook_handlers(app: &Arc<App>, outbound: Outbound) -> Handlers {
    let deliver = Deliver { app: Arc::clone(app), outbound };
    Handlers::default().with(ForTenant::of(app, Wake(Arc::clone(app)))).with(ForTenant::of(app, deliver))
}

impl TenantHandler for Wake {
    fn kind(&self) -> &'static str {
        DISPATCH
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        async move {
            let services = &self.0.services;
            dispatch(&services.tenants.session(tenant), &*services.clock, (job.id, job.fence)).await?;
            Ok(())
        }
        .boxed()
    }
}

impl Deliver {
    async fn deliver(&self, tenant: Arc<TenantCtx>, job: Job) -> Answer {
        let services = &self.app.services;
        let OfEndpoint { endpoint } = serde_json::from_value(job.payload)?;
        let endpoint: WebhookEndpointId = endpoint.parse().context("the payload names no endpoint")?;
        let session = services.tenants.session(Arc::clone(&tenant));
        let courier = Courier {
            session: &session,
            outbound: &self.outbound,
            sealing: Sealing { vault: &services.vault, tenant: &tenant },
            clock: &*services.clock,
            job: (job.id, job.fence),
            pace: CourierPace { drain_per_second: self.app.config.webhooks.drain_per_second, budget: BUDGET },
        };
        let has_failed = AtomicBool::new(false);
        let observe = |outcome: &Outcome| {
            has_failed.fetch_or(!outcome.is_success(), Ordering::Relaxed);
            self.observe(outcome);
        };
        let (standing, is_news) = courier.deliver(endpoint, observe).await.map_err(setback)?;
        if standing == Standing::Suspended && has_failed.load(Ordering::Relaxed) {
            self.app.metrics.webhooks.suspensions.inc();
        }
        // An earlier attempt of this job may have ended before it told.
        let is_told = job.attempt == 1 && (standing == Standing::Others || standing == Standing::Well && !is_news);
        if is_told {
            return Ok(());
        }
        // As it is now: others may have gone on meanwhile.
        let trouble = trouble(&session.read().await?, endpoint).await?;
        session.finish().await;
        standing_set(&self.app.control, &*services.clock, (tenant.id, endpoint), trouble).await?;
        Ok(())
    }

    fn observe(&self, outcome: &Outcome) {
        let metrics = &self.app.metrics.webhooks;
        let name = match &outcome.reply {
            _ if outcome.is_success() => "accepted",
            Ok(_) => "refused",
            Err(_) => "unanswered",
        };
        metrics.attempts.with_label_values(&[name]).inc();
        metrics.duration.observe(f64::from(outcome.latency_ms) / 1e3);
    }
}

impl TenantHandler for Deliver {
    fn kind(&self) -> &'static str {
        DELIVER
    }

    fn attempts_max(&self) -> i16 {
        ATTEMPTS_MAX
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        self.deliver(tenant, job).boxed()
    }
}
