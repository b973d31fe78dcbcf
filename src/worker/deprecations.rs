//! Jobs about what goes away of the tenants' API.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::tenants::{ForTenant, TenantHandler, setback};
use crate::app::App;
use crate::control::deprecations::model::Used;
use crate::control::deprecations::{ANNOUNCE, notices, service};
use crate::db::{DbError, TenantTx};
use crate::jobs::{Answer, Handler, Handlers, Job, Periodic};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::deprecations::model::Usage;
use crate::tenant::deprecations::service::{Announcement, announcement_publish, kept_from, usage_all};
use crate::tenant::deprecations::{REPORT, UsageError};
use crate::tenant::journal::{self, Act};

/// The kind of the job that looks for tenants to be told.
const NOTIFY: &str = "deprecation.notify";

/// The pause between two looks: a notice is a day's matter, and a worker may have been away.
const NOTIFY_EVERY: Duration = Duration::from_secs(3600);

/// Tells the control plane what a shop's table says. Twice is safe: counts are kept, not added.
struct Report(Arc<App>);

/// Tells a shop that something which it uses goes away. Twice is safe: what is told is committed with the hold of the job.
struct Announce(Arc<App>);

/// Has shops told that are to be, and deletes what is old. Twice is safe: each notice is noted with the job that tells it.
pub(super) struct Notify(Arc<App>);

/// These handlers, and those about what goes away.
pub(super) fn with_deprecations(handlers: Handlers, app: &Arc<App>) -> Handlers {
    handlers
        .with(ForTenant::of(app, Report(Arc::clone(app))))
        .with(ForTenant::of(app, Announce(Arc::clone(app))))
        .with(Notify(Arc::clone(app)))
}

impl TenantHandler for Report {
    fn kind(&self) -> &'static str {
        REPORT
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        async move {
            let services = &self.0.services;
            let work = async |tx: &mut TenantTx| {
                if !tx.hold_job(job.id, job.fence).await? {
                    return Ok(Vec::new());
                }
                usage_all(tx, services.clock.now()).await
            };
            let rows = services.tenants.session(Arc::clone(&tenant)).write::<_, DbError>(work).await?;
            let rows = rows.into_iter().map(|Usage { key, count, first_used_at, last_used_at }| Used {
                part: key.part,
                operation: key.operation,
                credential: key.credential,
                client: key.client,
                count,
                first_used_at,
                last_used_at,
            });
            service::usage_put(&self.0.control, tenant.id, rows.collect()).await?;
            Ok(())
        }
        .boxed()
    }
}

impl TenantHandler for Announce {
    fn kind(&self) -> &'static str {
        ANNOUNCE
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        async move {
            let services = &self.0.services;
            let clock = &*services.clock;
            let announcement: Announcement = serde_json::from_value(job.payload)?;
            let work = async |tx: &mut TenantTx| {
                if tx.hold_job(job.id, job.fence).await? {
                    announcement_publish(tx, clock, &announcement).await?;
                }
                Ok::<_, UsageError>(())
            };
            let act = Act::of_system("deprecation.announce", &tenant, &services.vault, clock);
            let session = services.tenants.session(Arc::clone(&tenant));
            journal::service::write(&session, act, work).await.map_err(setback)
        }
        .boxed()
    }
}

impl Notify {
    /// How often it looks.
    pub(super) const PERIODIC: Periodic = Periodic { kind: NOTIFY, every: NOTIFY_EVERY };
}

impl Handler for Notify {
    fn kind(&self) -> &'static str {
        NOTIFY
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        async move {
            let (control, services) = (&self.0.control, &self.0.services);
            let clock = &*services.clock;
            service::usage_prune(control, kept_from(clock.now())).await?;
            let told = notices::announce(control, clock, services.deprecations.parts()).await?;
            if told > 0 {
                tracing::info!(notices = told, "Had tenants told of what goes away");
                services.bell.ring();
            }
            Ok(())
        }
        .boxed()
    }
}
