//! Jobs that move offboardings on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use uuid::Uuid;

use super::tenants::setback;
use crate::app::App;
use crate::control::offboarding::advance::{Next, Offboarder};
use crate::control::offboarding::service::{ADVANCE, look_after};
use crate::db::{ControlTx, DbError, OwnerDb};
use crate::jobs::{Answer, Handler, Handlers, Job, Periodic, Setback};
use crate::kernel::ids::OffboardingId;

/// The kind of the job that looks whether an offboarding has no job.
const LOOK_AFTER: &str = "offboarding.look_after";

/// The pause between two looks.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// How long an attempt may take: tables are counted, and archives are read back, as large as they are. The next one goes on
/// where it ended.
const TIMEOUT: Duration = Duration::from_secs(12 * 3_600);

/// Does the steps of an offboarding that are due. Twice is safe: each step finds what is done.
struct Advance {
    app: Arc<App>,
    owner: OwnerDb,
}

/// Has offboardings looked after whose job was called off or given up. Twice is safe: there is one job of each.
pub(super) struct LookAfter(Arc<App>);

/// What `offboarding.advance` is about.
#[derive(Deserialize)]
struct OfOffboarding {
    offboarding: Uuid,
}

/// These handlers, and those of offboardings. Where the owner's login is not known, the steps wait for a worker that has it.
pub(super) fn with_offboarding(handlers: Handlers, app: &Arc<App>) -> Handlers {
    let handlers = handlers.with(LookAfter(Arc::clone(app)));
    match &app.owner {
        Some(owner) => handlers.with(Advance { app: Arc::clone(app), owner: owner.clone() }),
        None => handlers,
    }
}

impl LookAfter {
    /// How often it is done.
    pub(super) const PERIODIC: Periodic = Periodic { kind: LOOK_AFTER, every: EVERY };

    async fn look(&self) -> Answer {
        let clock = &*self.0.services.clock;
        let work = async |tx: &mut ControlTx| look_after(tx, clock).await;
        if self.0.control.write::<_, DbError>(work).await? > 0 {
            self.0.services.bell.ring();
        }
        Ok(())
    }
}

impl Advance {
    async fn advance(&self, job: Job) -> Answer {
        let OfOffboarding { offboarding } = serde_json::from_value(job.payload)?;
        let services = &self.app.services;
        let offboarder = Offboarder {
            owner: &self.owner,
            control: &self.app.control,
            clock: &*services.clock,
            vault: &services.vault,
            objects: &self.app.objects,
            tokens: &services.tokens,
            backup_horizon: self.app.config.retention.backup_horizon,
        };
        // Each step leaves fewer, so the loop ends; the job's time is a bound as well.
        loop {
            match offboarder.advance(OffboardingId(offboarding)).await.map_err(setback)? {
                Next::Now => {}
                Next::At(at) => return Err(Setback::Snooze(at)),
                Next::Nothing => return Ok(()),
            }
        }
    }
}

impl Handler for LookAfter {
    fn kind(&self) -> &'static str {
        LOOK_AFTER
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        self.look().boxed()
    }
}

impl Handler for Advance {
    fn kind(&self) -> &'static str {
        ADVANCE
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Answer> {
        self.advance(job).boxed()
    }
}
