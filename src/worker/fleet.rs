//! Jobs of the fleet: one leads a run of migrations, others fill in, shop by shop, what migrations have left open.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use uuid::Uuid;

use super::tenants::{ForTenant, TenantHandler};
use crate::app::App;
use crate::control::migrations::drive::{Driver, Ended, Lease};
use crate::control::migrations::{FLEET_MIGRATE, MigrationSet, backfills};
use crate::db::migrate::fleet::{BACKFILL, fill_batch};
use crate::db::{DbError, TenantTx};
use crate::jobs::{Answer, Handler, Handlers, Job, Setback};
use crate::kernel::ids::{MigrationRunId, base32_encode};
use crate::kernel::tenant::TenantCtx;

/// The longest that a run is led in one go; then it goes on in another attempt.
const RUN_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How long it takes until somebody looks whether who leads a run is still there.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(10);

/// Batches of a backfill in one go; then the shop's other jobs have a turn.
const BATCHES_MAX: usize = 100;

/// Leads a run. Twice is safe: a run has one leader, and a step is done once.
struct Migrate(Driver);

#[derive(Deserialize)]
struct MigratePayload {
    run: Uuid,
}

/// Fills in what a migration has left open. Twice is safe: a batch takes rows that are not filled in.
struct Backfill {
    app: Arc<App>,
    set: MigrationSet,
}

#[derive(Deserialize)]
struct BackfillPayload {
    version: String,
}

/// These handlers, and those of the fleet with the migrations of a set. Where no owner's login is known, runs wait for a
/// worker that has one.
#[must_use]
pub fn with_fleet(handlers: Handlers, app: &Arc<App>, set: MigrationSet) -> Handlers {
    let handlers = handlers.with(ForTenant::of(app, Backfill { app: Arc::clone(app), set: set.clone() }));
    let Some(owner) = &app.owner else { return handlers };
    let clock = Arc::clone(&app.services.clock);
    let name = format!("worker {}", base32_encode(clock.new_id()));
    let driver =
        Driver { control: app.control.clone(), owner: owner.clone(), set, clock, name, lease: Lease::default() };
    handlers.with(Migrate(driver))
}

impl Handler for Migrate {
    fn kind(&self) -> &'static str {
        FLEET_MIGRATE
    }

    fn timeout(&self) -> Duration {
        RUN_TIMEOUT
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Answer> {
        async move {
            let MigratePayload { run } = serde_json::from_value(job.payload)?;
            match self.0.drive(MigrationRunId(run), std::future::pending()).await? {
                Ended::Completed | Ended::Paused => Ok(()),
                // It may be lost where it is led, and a newer worker may know what this one does not.
                Ended::Elsewhere | Ended::Unknown => Err(Setback::Snooze(self.0.clock.now() + LOOK_AGAIN)),
            }
        }
        .boxed()
    }
}

impl TenantHandler for Backfill {
    fn kind(&self) -> &'static str {
        BACKFILL
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        async move {
            let services = &self.app.services;
            let (id, fence) = (job.id, job.fence);
            let BackfillPayload { version } = serde_json::from_value(job.payload)?;
            let unknown = || Setback::Retry(format!("this release does not know the backfill of {version}"));
            let backfill = self.set.get(&version).and_then(|m| m.backfill.as_deref()).ok_or_else(unknown)?;
            if !backfills::is_open(&self.app.control, tenant.id, &version).await? {
                return Ok(());
            }
            let session = services.tenants.session(Arc::clone(&tenant));
            for _ in 0..BATCHES_MAX {
                let batch = async |tx: &mut TenantTx| {
                    if !tx.hold_job(id, fence).await? {
                        return Ok(None);
                    }
                    fill_batch(tx, backfill).await.map(Some)
                };
                let Some(rows) = session.write::<_, DbError>(batch).await? else { return Ok(()) };
                backfills::note(&self.app.control, tenant.id, &version, rows, rows == 0).await?;
                if rows == 0 {
                    return Ok(());
                }
            }
            Err(Setback::Snooze(services.clock.now()))
        }
        .boxed()
    }
}
