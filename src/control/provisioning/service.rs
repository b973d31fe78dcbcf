//! Decisions of provisioning.

use std::time::Duration;

use serde_json::json;

use super::model::{Entry, NewTenant, ValidTenant};
use super::repo;
use super::steps::{Step, StepName, Steps};
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::jobs::{NewJob, job_enqueue};
use crate::control::notices::notice_insert;
use crate::control::spares::service::{defaults_write, refill_ask, schemas_make};
use crate::control::spares::{Stock, spare_take};
use crate::control::tenants::keys::to_json;
use crate::control::tenants::{Registry, Tenant};
use crate::db::migrate::{Plane, newest_version};
use crate::db::{DbError, OwnerDb, OwnerTx, TenantDb};
use crate::kernel::clock::Clock;
use crate::kernel::email::Email;
use crate::kernel::ids::TenantId;
use crate::tenant::seed;
use crate::vault::Vault;

/// The kind of the job that mails the first owner an invitation, as it does everybody's.
pub const OWNER_MAIL: &str = "mail.invitation";

/// The kind of the job that mails the first owner where the shop is.
pub const WELCOME: &str = "mail.welcome";

/// What operators are told of.
const NOTICE: &str = "tenant.provisioned";

/// Who makes tenants, and by what.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Who makes schemas.
    pub owner: &'a OwnerDb,
    /// Makes tenants' keys.
    pub vault: &'a Vault,
    /// Time and ids.
    pub clock: &'a dyn Clock,
    /// Who acts.
    pub operator: &'a Operator,
    /// How many spare schemas are to be in stock: more are asked for where less than half of it is left. `None`: the stock is
    /// not looked at.
    pub stock: Option<u16>,
}

/// A tenant that was made, and how.
#[derive(Debug, Clone)]
pub struct Provisioned {
    /// The tenant.
    pub tenant: Tenant,
    /// What was done, in the order of doing.
    pub steps: Vec<Step>,
}

impl Provisioned {
    /// How long all of it took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.steps.iter().map(|step| step.took).sum()
    }
}

/// Makes a tenant without a look at the stock.
///
/// # Errors
/// As [`Desk::tenant_provision`].
pub async fn tenant_provision(
    owner: &OwnerDb,
    vault: &Vault,
    clock: &dyn Clock,
    operator: &Operator,
    new: &NewTenant,
) -> Result<Tenant, ControlError> {
    let desk = Desk { owner, vault, clock, operator, stock: None };
    Ok(desk.tenant_provision(new).await?.tenant)
}

impl Desk<'_> {
    /// Makes a tenant, all or nothing: of a spare schema where there is one, else of nothing.
    ///
    /// # Errors
    /// A refusal for every field that is wrong, for a plan that does not exist, or for a slug that is taken; or there is no
    /// master key.
    pub async fn tenant_provision(&self, new: &NewTenant) -> Result<Provisioned, ControlError> {
        let valid = new.validate().map_err(ControlError::Refused)?;
        let mut steps = Steps::default();
        let tenant = self.owner.write(async |tx: &mut OwnerTx| self.provision(tx, &valid, &mut steps).await).await?;
        steps.done(StepName::Commit);
        let steps = steps.finish();
        let took = steps.iter().map(|step| step.took.as_millis()).sum::<u128>();
        tracing::debug!(tenant.slug = %tenant.slug, duration_ms = took, "Provisioned `{}`", tenant.slug);
        Ok(Provisioned { tenant, steps })
    }

    async fn provision(
        &self,
        tx: &mut OwnerTx,
        valid: &ValidTenant,
        steps: &mut Steps,
    ) -> Result<Tenant, ControlError> {
        let Self { clock, operator, .. } = *self;
        let mut found = None;
        if self.stock.is_some() {
            found = Some(spare_take(tx).await?);
            steps.done(StepName::Spare);
        }
        let spare = found.and_then(|found| found.taken);
        let id = spare.unwrap_or_else(|| TenantId(clock.new_id()));
        let tenant = self.register(tx, id, valid).await?;
        steps.done(StepName::Registry);
        if spare.is_none() {
            schemas_make(tx, &[id]).await?;
            steps.done(StepName::Schema);
            defaults_write(tx, clock, &[id]).await?;
            steps.done(StepName::DefaultData);
        }
        seed::owner(&mut tx.as_tenant(id).await?, clock, &valid.owner_email).await?;
        steps.done(StepName::Owner);
        mails_enqueue(tx, clock, id, &valid.owner_email, &[OWNER_MAIL, WELCOME]).await?;
        steps.done(StepName::Mails);
        let is_spare = spare.is_some();
        record(tx, clock, operator, ("tenant.provision", valid.slug.as_str()), json!({ "plan": valid.plan })).await?;
        let details = json!({ "slug": valid.slug.as_str(), "plan": valid.plan, "spare": is_spare });
        notice_insert(tx, clock, NOTICE, details).await?;
        // Last, because two that ask at once wait for each other.
        if let (Some(Stock { left, .. }), Some(wanted)) = (found, self.stock) {
            refill_ask(tx, clock, wanted, left).await?;
        }
        steps.done(StepName::Notification);
        Ok(tenant)
    }

    async fn register(&self, tx: &mut OwnerTx, id: TenantId, valid: &ValidTenant) -> Result<Tenant, ControlError> {
        let keys = to_json(&self.vault.tenant_keys_new(id)?);
        let version = newest_version(Plane::Tenant);
        let refused =
            |code, message: String, field: &'static str| ControlError::refused(code, message, &["input", field]);
        let entry = Entry { slug: &valid.slug, name: &valid.name, plan: &valid.plan, currency: valid.currency };
        let tenant = repo::tenant_insert(tx, id, entry, &version, keys, self.clock.now()).await;
        tenant.map_err(|error| match error {
            DbError::Unique(constraint) if constraint == "tenants_slug_key" => {
                refused(ControlErrorCode::SlugTaken, format!("The slug `{}` is taken.", valid.slug), "slug")
            }
            DbError::ForeignKey(_) => {
                refused(ControlErrorCode::PlanNotFound, format!("There is no plan `{}`.", valid.plan), "plan")
            }
            error => error.into(),
        })
    }
}

/// Has a tenant's first owner mailed, in the caller's transaction.
///
/// # Errors
/// The database failed.
pub async fn mails_enqueue(
    tx: &mut OwnerTx,
    clock: &dyn Clock,
    tenant: TenantId,
    owner: &Email,
    kinds: &[&'static str],
) -> Result<(), DbError> {
    for kind in kinds {
        let payload = json!({ "email": owner.key() });
        let mail = NewJob { id: clock.new_id(), tenant: Some(tenant), kind, payload, unique_key: None, at: None };
        job_enqueue(tx, mail).await?;
    }
    Ok(())
}

/// Has this server look a new tenant up and read from its schema, so that the first visitor does not wait for it. The
/// tenant is there whatever comes of it.
pub async fn warm(registry: &Registry, tenants: &TenantDb, provisioned: &mut Provisioned) {
    let mut steps = Steps::default();
    let tenant = &provisioned.tenant;
    let look = async {
        if let Ok(slug) = tenant.slug.parse() {
            registry.resolve(&slug).await?;
        }
        let Some(context) = tenant.context() else { return Ok(()) };
        let session = tenants.session(context);
        seed::look(&session.read().await?).await?;
        session.finish().await;
        Ok::<_, DbError>(())
    };
    if let Err(error) = look.await {
        tracing::warn!(tenant.slug = %tenant.slug, %error, "A new tenant could not be looked at");
    }
    steps.done(StepName::Caches);
    provisioned.steps.extend(steps.finish());
}
