//! Jobs of tenants: what they get beside the job is the context of their tenant. A handler that needs more is made with it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt as _};

use crate::app::App;
use crate::control::tenants::{TenantStatus, service};
use crate::db::ControlDb;
use crate::db::migrate::TENANT_VERSION_MIN;
use crate::failure::Failure;
use crate::jobs::handler::{ATTEMPTS_MAX, TIMEOUT};
use crate::jobs::{Answer, Handler, Job, Setback};
use crate::kernel::clock::Clock;
use crate::kernel::tenant::TenantCtx;
use crate::telemetry::frames;

/// How long a job is put off whose tenant was closed after it was claimed, or is not migrated yet.
const CLOSED_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Does one kind of jobs of tenants. Who acts is [`Actor::System`](crate::kernel::actor::Actor::System).
pub trait TenantHandler: Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> &'static str;

    /// After so many failed attempts a job is discarded.
    fn attempts_max(&self) -> i16 {
        ATTEMPTS_MAX
    }

    /// How long an attempt may take.
    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    /// Makes one attempt. A job that writes begins its transaction with [`hold_job`](crate::db::TenantTx::hold_job).
    fn run(&self, tenant: Arc<TenantCtx>, job: Job) -> BoxFuture<'_, Answer>;
}

/// A handler of tenants' jobs as the engine takes it.
pub struct ForTenant<H> {
    /// Where tenants are looked up.
    pub control: ControlDb,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is done.
    pub handler: H,
}

impl<H> ForTenant<H> {
    /// A handler among an app's parts.
    pub(super) fn of(app: &App, handler: H) -> Self {
        Self { control: app.control.clone(), clock: Arc::clone(&app.services.clock), handler }
    }
}

/// What becomes of a job whose service has failed. It tells ids and never a key.
pub(super) fn setback<C: Debug>(failure: Failure<C>) -> Setback {
    match failure {
        Failure::Db(error) => error.into(),
        Failure::Key(error) => Setback::Retry(error.to_string()),
        other => Setback::Retry(format!("{other:?}")),
    }
}

impl<H: TenantHandler> ForTenant<H> {
    async fn attempt(&self, job: Job) -> Answer {
        let id = job.tenant().ok_or_else(|| Setback::GiveUp("the job is no tenant's".to_owned()))?;
        let tenant = service::tenant_by_id(&self.control, id).await?;
        let tenant = tenant.ok_or_else(|| Setback::GiveUp("the tenant is gone".to_owned()))?;
        frames::note_tenant(&tenant.slug);
        // Jobs of closed tenants are not claimed; this one's was closed since.
        if tenant.status() != TenantStatus::Active {
            return Err(Setback::Snooze(self.clock.now() + CLOSED_PAUSE));
        }
        if tenant.schema_version.as_str() < TENANT_VERSION_MIN {
            return Err(Setback::Snooze(self.clock.now() + CLOSED_PAUSE));
        }
        let unreadable = || Setback::Retry("the tenant's entry holds what this version cannot read".to_owned());
        self.handler.run(tenant.context().ok_or_else(unreadable)?, job).await
    }
}

impl<H: TenantHandler> Handler for ForTenant<H> {
    fn kind(&self) -> &'static str {
        self.handler.kind()
    }

    fn attempts_max(&self) -> i16 {
        self.handler.attempts_max()
    }

    fn timeout(&self) -> Duration {
        self.handler.timeout()
    }

    fn run(&self, job: Job) -> BoxFuture<'_, Answer> {
        self.attempt(job).boxed()
    }
}
