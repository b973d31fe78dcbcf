//! Jobs of the fleet: one leads a run of migrations, others fill in, shop by shop, what migrations have left open.

use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// How long batches of a backfill follow each other in one go; then the shop's other jobs have a turn.
const BATCHES_TIME: Duration = Duration::from_secs(20);

/// How long one go may take: a batch that has begun in time is let end.
const BACKFILL_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a backfill is put off that only a newer release knows: its workers are about to come.
const UNKNOWN_PAUSE: TimeDelta = TimeDelta::seconds(30);

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

    fn timeout(&self) -> Duration {
        BACKFILL_TIMEOUT
    }

    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer> {
        async move {
            let services = &self.app.services;
            let (id, fence) = (job.id, job.fence);
            let BackfillPayload { version } = serde_json::from_value(job.payload)?;
            if !backfills::is_open(&self.app.control, tenant.id, &version).await? {
                return Ok(());
            }
            // The fleet is migrated before the deploy, so it is not this job's fault.
            let Some(backfill) = self.set.get(&version).and_then(|migration| migration.backfill.as_deref()) else {
                tracing::info!(tenant.id = %tenant.id, version, "A backfill waits for a release that knows it");
                return Err(Setback::Snooze(services.clock.now() + UNKNOWN_PAUSE));
            };
            let session = services.tenants.session(Arc::clone(&tenant));
            let begun = Instant::now();
            while begun.elapsed() < BATCHES_TIME {
                let batch = async |tx: &mut TenantTx| {
                    if !tx.hold_job(id, fence).await? {
                        return Ok(None);
                    }
                    // Which rows is the statement's to know.
                    tx.tell_anything();
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
