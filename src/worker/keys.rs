//! Jobs of tenants' keys.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use uuid::Uuid;

use super::tenants::{ForTenant, TenantHandler, setback};
use crate::app::App;
use crate::control::tenants::keys::{RESEAL, RESEAL_MARGIN};
use crate::db::TenantTx;
use crate::jobs::{Answer, Handlers, Job, Setback};
use crate::kernel::keys::Purpose;
use crate::kernel::tenant::TenantCtx;
use crate::tenant::orders::customers::service::keys_reseal;
use crate::tenant::settings;
use crate::tenant::settings::service::settings_reseal;
use crate::tenant::webhooks::endpoints::sealed::Sealing;
use crate::tenant::webhooks::endpoints::service::endpoints_reseal;

/// How long an attempt may take: a shop may have very many customers. The next one passes over what this one has done.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Seals customers' keys, endpoints' secrets and those among settings with the tenant's new key, a page a transaction. Twice is safe:
/// what the new key has sealed is passed over, or sealed with it once more.
struct Reseal(Arc<App>);

/// What `keys.reseal` is about.
#[derive(Deserialize)]
struct OfKey {
    key: Uuid,
}

/// These handlers, and those of tenants' keys.
pub(super) fn with_keys(handlers: Handlers, app: &Arc<App>) -> Handlers {
    handlers.with(ForTenant::of(app, Reseal(Arc::clone(app))))
}

impl Reseal {
    async fn reseal(&self, tenant: Arc<TenantCtx>, job: Job) -> Answer {
        let services = &self.0.services;
        let OfKey { key } = serde_json::from_value(job.payload)?;
        let key = tenant.keys.by_id(Purpose::Data, key);
        let key = key.ok_or_else(|| Setback::GiveUp("the tenant has no such key".to_owned()))?;
        if key.from > services.clock.now() {
            return Err(Setback::Snooze(key.from + RESEAL_MARGIN));
        }
        let session = services.tenants.session(Arc::clone(&tenant));
        let (mut after, mut damaged) = (None, 0);
        loop {
            let page = session
                .write(async |tx: &mut TenantTx| {
                    if !tx.hold_job(job.id, job.fence).await? {
                        return Ok(None);
                    }
                    keys_reseal(tx, (&services.vault, &tenant), after).await.map(Some)
                })
                .await;
            // Whoever has the claim goes on.
            let Some(page) = page.map_err(setback)? else { return Ok(()) };
            damaged += page.damaged;
            after = page.next;
            // Each page begins behind the last one's end, so the loop ends with the customers.
            if after.is_none() {
                break;
            }
        }
        let sealing = Sealing { vault: &services.vault, tenant: &tenant };
        let endpoints = session
            .write(
                async |tx: &mut TenantTx| {
                    if tx.hold_job(job.id, job.fence).await? { endpoints_reseal(tx, sealing).await } else { Ok(0) }
                },
            )
            .await;
        damaged += endpoints.map_err(setback)?;
        let sealing = settings::sealed::Sealing { vault: &services.vault, tenant: &tenant };
        let settings = session
            .write(
                async |tx: &mut TenantTx| {
                    if tx.hold_job(job.id, job.fence).await? { settings_reseal(tx, sealing).await } else { Ok(0) }
                },
            )
            .await;
        damaged += settings.map_err(setback)?;
        if damaged > 0 {
            return Err(Setback::GiveUp(format!("the keys of {damaged} customers are not what was sealed")));
        }
        Ok(())
    }
}

impl TenantHandler for Reseal {
    fn kind(&self) -> &'static str {
        RESEAL
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        self.reseal(tenant, job).boxed()
    }
}
