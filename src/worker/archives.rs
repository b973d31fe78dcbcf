//! Jobs of archives. They are the platform's own: jobs of closed tenants wait, and a tenant is exported when it is closed.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::app::App;
use crate::control::archives::export::Desk;
use crate::control::archives::restore::{self, From, RESTORE, Restoring, To, tenant_restore};
use crate::control::archives::service::{EXPORT, archive_fail, archive_make, archive_schedule, archive_sweep};
use crate::control::archives::{Archive, ArchiveError};
use crate::control::audit::Operator;
use crate::db::DbError;
use crate::jobs::{Answer, Handler, Handlers, Job, Periodic, Setback};
use crate::kernel::ids::{ArchiveId, TenantId};

/// How long an attempt may take: a shop may be very large, and a store slow.
const TIMEOUT: Duration = Duration::from_secs(12 * 3600);

/// How often an archive is tried.
const ATTEMPTS_MAX: i16 = 5;

/// Archives that a worker makes or restores at once: each has one of the connections that all other jobs share.
const AT_ONCE_MAX: usize = 2;

/// How long a job waits for those that are before it.
const QUEUE_PAUSE: TimeDelta = TimeDelta::seconds(10);

/// The kind of the job that lets archives expire.
const SWEEP: &str = "archive.sweep";

/// The pause between two.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The kind of the job that asks for archives of tenants who have had none for long.
const SCHEDULE: &str = "archive.schedule";

/// The pause between two. A worker's archives of a batch are made by then, and what is left is asked for the next time.
const SCHEDULE_EVERY: Duration = Duration::from_secs(3600);

/// Makes an archive. Twice is safe: each try has an object and a key of its own, and the one that began last is kept.
struct Export(Arc<App>, Arc<Semaphore>);

/// Restores an archive. Twice is safe: it is one transaction, and the new tenant's id tells that it was done.
struct Restore(Arc<App>, Arc<Semaphore>);

/// Lets archives expire. Twice is safe: what is gone is gone.
pub(super) struct Sweep(Arc<App>);

/// Asks for archives of all tenants in their turns, where that is configured. Twice is safe: it asks for what there is not.
pub(super) struct Schedule(Arc<App>);

/// What `archive.export` is about.
#[derive(Deserialize)]
struct OfArchive {
    archive: Uuid,
}

/// These handlers, and those of archives. Whoever has no owner's login makes no schemas, and leaves restoring to others.
pub(super) fn with_archives(handlers: Handlers, app: &Arc<App>) -> Handlers {
    let room = Arc::new(Semaphore::new(AT_ONCE_MAX));
    let handlers = handlers
        .with(Export(Arc::clone(app), Arc::clone(&room)))
        .with(Sweep(Arc::clone(app)))
        .with(Schedule(Arc::clone(app)));
    if app.owner.is_some() { handlers.with(Restore(Arc::clone(app), room)) } else { handlers }
}

impl App {
    /// What archives are made with.
    #[must_use]
    pub fn archive_desk(&self) -> Desk<'_> {
        Desk {
            control: &self.control,
            tenants: &self.services.tenants,
            vault: &self.services.vault,
            objects: &self.objects,
            clock: &*self.services.clock,
        }
    }
}

impl Export {
    async fn export(&self, job: Job) -> Answer {
        let OfArchive { archive } = serde_json::from_value(job.payload)?;
        let (app, id) = (&self.0, ArchiveId(archive));
        let Ok(_room) = self.1.try_acquire() else { return Err(full(app)) };
        match archive_make(app.archive_desk(), &app.config.retention, id).await {
            Ok(archive) => {
                if archive.is_some() {
                    app.services.bell.ring();
                    told(&archive);
                }
                Ok(())
            }
            Err(error) => {
                let setback = setback(&error);
                let is_last = matches!(setback, Setback::GiveUp(_))
                    || matches!(setback, Setback::Retry(_)) && job.attempt >= job.attempts_max;
                archive_fail(&app.control, &*app.services.clock, id, &error.to_string(), is_last).await?;
                Err(setback)
            }
        }
    }
}

fn told(archive: &Option<Archive>) {
    let Some(archive) = archive else { return };
    tracing::info!(
        tenant.slug = %archive.slug, archive.id = %archive.id, archive.purpose = %archive.purpose,
        archive.bytes = archive.bytes, "An archive was made"
    );
}

impl Handler for Export {
    fn kind(&self) -> &'static str {
        EXPORT
    }

    fn attempts_max(&self) -> i16 {
        ATTEMPTS_MAX
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Answer> {
        self.export(job).boxed()
    }
}

impl Restore {
    async fn restore(&self, job: Job) -> Answer {
        let Restoring { archive, tenant, slug, name, operator } = serde_json::from_value(job.payload)?;
        let app = &self.0;
        let Ok(_room) = self.1.try_acquire() else { return Err(full(app)) };
        let owner = app.owner.as_ref().ok_or_else(|| Setback::GiveUp("this worker makes no schemas".to_owned()))?;
        let desk = restore::Desk {
            control: &app.control,
            owner,
            vault: &app.services.vault,
            objects: &app.objects,
            clock: &*app.services.clock,
        };
        let to = To { id: TenantId(tenant), slug, name };
        let operator = Operator { name: operator, ..Operator::platform() };
        let from = From::Archive(ArchiveId(archive));
        let restored = tenant_restore(desk, &operator, &from, to, &|_| {}).await;
        let tenant = restored.map_err(|error| setback(&error))?;
        tracing::info!(tenant.slug = %tenant.slug, archive.id = %ArchiveId(archive), "A tenant was restored");
        app.services.bell.ring();
        Ok(())
    }
}

impl Handler for Restore {
    fn kind(&self) -> &'static str {
        RESTORE
    }

    fn attempts_max(&self) -> i16 {
        ATTEMPTS_MAX
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Answer> {
        self.restore(job).boxed()
    }
}

impl Sweep {
    /// How often it is done.
    pub const PERIODIC: Periodic = Periodic { kind: SWEEP, every: SWEEP_EVERY };
}

impl Handler for Sweep {
    fn kind(&self) -> &'static str {
        SWEEP
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        async {
            let App { control, objects, services, .. } = &*self.0;
            archive_sweep(control, objects, &*services.clock).await.map_err(|error| setback(&error))
        }
        .boxed()
    }
}

impl Schedule {
    /// How often it is looked who is due.
    pub const PERIODIC: Periodic = Periodic { kind: SCHEDULE, every: SCHEDULE_EVERY };
}

impl Handler for Schedule {
    fn kind(&self) -> &'static str {
        SCHEDULE
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        async {
            let App { control, config, services, .. } = &*self.0;
            let Some(every) = config.retention.archive_every else { return Ok(()) };
            let asked =
                archive_schedule(control, &*services.clock, every).await.map_err(|error| setback(&error.into()))?;
            if asked > 0 {
                services.bell.ring();
            }
            Ok(())
        }
        .boxed()
    }
}

/// Puts a job off that would take one connection too many.
fn full(app: &App) -> Setback {
    Setback::Snooze(app.services.clock.now() + QUEUE_PAUSE)
}

/// What becomes of a job whose archive failed. What an operator has to mend is not tried again.
fn setback(error: &ArchiveError) -> Setback {
    match error {
        // The tenant was changed meanwhile. One that always is must be told in the end.
        ArchiveError::Db(error @ DbError::Conflict(_)) => Setback::Retry(error.to_string()),
        ArchiveError::Db(error) => error.clone().into(),
        ArchiveError::Refused(_) => Setback::GiveUp(error.to_string()),
        // A store that is read again may read better.
        ArchiveError::Damaged(_) | ArchiveError::File(_) | ArchiveError::Object(_) | ArchiveError::Key(_) => {
            Setback::Retry(error.to_string())
        }
    }
}
