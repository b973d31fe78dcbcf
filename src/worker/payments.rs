//! Jobs of payments.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;

use super::tenants::{ForTenant, TenantHandler};
use crate::app::App;
use crate::jobs::{Answer, Handlers, Job, Setback};
use crate::kernel::ids::{OrderId, PaymentId};
use crate::kernel::settings::PAYMENTS_SECRET_KEY;
use crate::kernel::tenant::TenantCtx;
use crate::payments::{Account, PaymentProvider};
use crate::tenant::orders::payments::saga::{Cashier, SagaError, collect, refund};
use crate::tenant::orders::payments::service::{COLLECT, REFUND};
use crate::tenant::settings::sealed::Sealing;

/// Attempts before a payment is a dead letter. With the engine's pauses that is about six days; the shop's sweep then
/// has it taken on again.
const ATTEMPTS_MAX: i16 = 20;

/// Takes payments on. Twice is safe: the saga goes on from where it is, and the provider does each step once.
struct TakeOn {
    app: Arc<App>,
    provider: Arc<dyn PaymentProvider>,
    kind: &'static str,
}

/// What `payment.collect` is about.
#[derive(Deserialize)]
struct OfPayment {
    payment: String,
}

/// What `payment.refund` is about: it reacts to `order.refunded`.
#[derive(Deserialize)]
struct OfOrder {
    entity: String,
}

/// These handlers, and those of payments, where there is somebody who takes them.
pub(super) fn with_payments(handlers: Handlers, app: &Arc<App>) -> Handlers {
    let Some(provider) = &app.services.payments else { return handlers };
    let handler = |kind| ForTenant {
        control: app.control.clone(),
        clock: Arc::clone(&app.services.clock),
        handler: TakeOn { app: Arc::clone(app), provider: Arc::clone(provider), kind },
    };
    handlers.with(handler(COLLECT)).with(handler(REFUND))
}

impl TakeOn {
    async fn take_on(&self, tenant: Arc<TenantCtx>, job: Job) -> Answer {
        let services = &self.app.services;
        let session = services.tenants.session(Arc::clone(&tenant));
        let settings = services.settings.of(&tenant, &session.read().await?).await?;
        session.finish().await;
        let sealing = Sealing { vault: &services.vault, tenant: &tenant };
        let secret_key =
            sealing.secret(&settings, PAYMENTS_SECRET_KEY).context("the account's key cannot be opened")?;
        let account = Account { secret_key };
        let cashier = Cashier {
            session: &session,
            provider: &*self.provider,
            account: &account,
            vault: &services.vault,
            clock: &*services.clock,
            claim: (job.id, job.fence),
        };
        let done = if self.kind == REFUND {
            let OfOrder { entity } = serde_json::from_value(job.payload)?;
            refund(&cashier, entity.parse::<OrderId>().context("the payload names no order")?).await
        } else {
            let OfPayment { payment } = serde_json::from_value(job.payload)?;
            collect(&cashier, payment.parse::<PaymentId>().context("the payload names no payment")?).await
        };
        match done {
            // Whoever has the claim goes on.
            Ok(()) | Err(SagaError::ClaimLost) => Ok(()),
            Err(SagaError::Db(error)) => Err(error.into()),
            // It waits for people; the shop's sweep has it taken on again.
            Err(error @ SagaError::OtherAccount { .. }) => Err(Setback::GiveUp(error.to_string())),
            Err(error) => Err(Setback::Retry(error.to_string())),
        }
    }
}

impl TenantHandler for TakeOn {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn attempts_max(&self) -> i16 {
        ATTEMPTS_MAX
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        self.take_on(tenant, job).boxed()
    }
}
