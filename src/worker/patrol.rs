//! The patrol: goes round the tenants all day, a few at a time, lets them probe the wall, and sweeps away what is over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use crate::app::App;
use crate::control::admins;
use crate::control::anchors::service::anchor;
use crate::control::isolation::{Report, patrol_page, try_against};
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

    /// A patrol that begins somewhere: workers that are started anew each day would never come to the last tenants if they all
    /// began with the first.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        let letters = app.services.clock.secret().map(|byte| char::from(b'a' + byte % 26));
        let from = Mutex::new(Some(letters[..3].iter().collect()));
        Self { app, from }
    }

    async fn round(&self) -> Answer {
        let from = self.from.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tenants = patrol_page(&self.app.control, from).await?;
        // Whatever comes of this round: a tenant whose turn fails must not keep the others from theirs.
        *self.from.lock().unwrap_or_else(PoisonError::into_inner) = tenants.last().map(|tenant| tenant.slug.clone());
        let mut failure = None;
        for (index, tenant) in tenants.iter().enumerate() {
            if let Err(error) = self.visit(tenant, &tenants[(index + 1) % tenants.len()]).await {
                tracing::warn!(%error, tenant.slug = %tenant.slug, "The patrol could not do all it does at a tenant's");
                failure = Some(error);
            }
        }
        let clock = &*self.app.services.clock;
        self.app.control.write::<_, DbError>(async |tx: &mut ControlTx| admins::sweep(tx, clock).await).await?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Lets a tenant try against another one, sweeps, and anchors its trail, should the job that a change asks for be lost.
    async fn visit(&self, tenant: &Tenant, other: &Tenant) -> Result<(), DbError> {
        let (services, clock) = (&self.app.services, &*self.app.services.clock);
        let mut report = Report::default();
        try_against(&self.app.control, &services.tenants, tenant, other, &mut report).await?;
        let count = |outcome: &str, attempts: usize| {
            self.app.metrics.isolation_probes.with_label_values(&[outcome]).inc_by(attempts as u64);
        };
        count("breach", report.breaches.len());
        count("denied", report.attempts - report.breaches.len());
        let Some(context) = tenant.context() else { return Ok(()) };
        let sweep = async |tx: &mut TenantTx| sessions::service::sweep(tx, clock).await;
        services.tenants.session(Arc::clone(&context)).write::<_, DbError>(sweep).await?;
        anchor(&self.app.control, &services.tenants, clock, context).await.map(drop)
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
