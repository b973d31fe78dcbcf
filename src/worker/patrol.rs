//! The patrol: goes round the tenants all day, a few at a time, lets them probe the wall, and sweeps away what is over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::app::App;
use crate::control::admins;
use crate::control::anchors::service::anchor;
use crate::control::isolation::{patrol_page, try_all};
use crate::control::tenants::Tenant;
use crate::db::{ControlTx, DbError, TenantTx};
use crate::jobs::{Answer, Handler, Job, Periodic};
use crate::tenant::identity::sessions;

/// The kind.
const KIND: &str = "platform.patrol";

/// The pause between two rounds.
const EVERY: Duration = Duration::from_secs(300);

/// One round of the patrol. Twice is safe: attempts are denied each time, and what is swept is gone.
pub struct Patrol {
    app: Arc<App>,
    /// After whom the next round begins. Each worker goes its own way round.
    from: Mutex<Option<String>>,
}

impl Patrol {
    /// How often it goes.
    pub const PERIODIC: Periodic = Periodic { kind: KIND, every: EVERY };

    /// A patrol that begins with the first tenant.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app, from: Mutex::default() }
    }

    async fn round(&self) -> Answer {
        let (services, clock) = (&self.app.services, &*self.app.services.clock);
        let from = self.from.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (tenants, next) = patrol_page(&self.app.control, from).await?;
        let report = try_all(&self.app.control, &services.tenants, &tenants).await?;
        let count = |outcome: &str, attempts: usize| {
            self.app.metrics.isolation_probes.with_label_values(&[outcome]).inc_by(attempts as u64);
        };
        count("breach", report.breaches.len());
        count("denied", report.attempts - report.breaches.len());
        for context in tenants.iter().filter_map(Tenant::context) {
            let sweep = async |tx: &mut TenantTx| sessions::service::sweep(tx, clock).await;
            services.tenants.session(Arc::clone(&context)).write::<_, DbError>(sweep).await?;
            // Should the job that a change asks for be lost.
            anchor(&self.app.control, &services.tenants, clock, context).await?;
        }
        self.app.control.write::<_, DbError>(async |tx: &mut ControlTx| admins::sweep(tx, clock).await).await?;
        *self.from.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

impl Handler for Patrol {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        self.round().boxed()
    }
}
