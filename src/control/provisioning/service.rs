//! Decisions of provisioning.

use serde_json::json;

use super::model::NewTenant;
use super::repo;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::jobs::{NewJob, job_enqueue};
use crate::control::tenants::Tenant;
use crate::control::tenants::keys::to_json;
use crate::db::migrate::{Plane, newest_version, tenant_script};
use crate::db::{DbError, OwnerDb, OwnerTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;
use crate::tenant::seed::seed;
use crate::vault::Vault;

/// The kind of the job that mails the first owner an invitation, as it does everybody's.
const OWNER_MAIL: &str = "mail.invitation";

/// Makes a tenant, all or nothing.
///
/// # Errors
/// A refusal for every field that is wrong, for a plan that does not exist, or for a slug that is taken; or there is no
/// master key.
pub async fn tenant_provision(
    owner: &OwnerDb,
    vault: &Vault,
    clock: &dyn Clock,
    operator: &Operator,
    new: &NewTenant,
) -> Result<Tenant, ControlError> {
    let valid = new.validate().map_err(ControlError::Refused)?;
    let id = TenantId(clock.new_id());
    let schema = SchemaName::from(id);
    let keys = to_json(&vault.tenant_keys_new(id)?);
    let version = newest_version(Plane::Tenant);
    owner
        .write(async |tx: &mut OwnerTx| {
            if !repo::plan_exists(tx, &valid.plan).await? {
                let message = format!("There is no plan `{}`.", valid.plan);
                return Err(ControlError::refused(ControlErrorCode::PlanNotFound, message, &["input", "plan"]));
            }
            let tenant =
                repo::tenant_insert(tx, id, &valid, &version, keys, clock.now()).await.map_err(
                    |error| match error {
                        DbError::Unique(constraint) if constraint == "tenants_slug_key" => {
                            let message = format!("The slug `{}` is taken.", valid.slug);
                            ControlError::refused(ControlErrorCode::SlugTaken, message, &["input", "slug"])
                        }
                        error => error.into(),
                    },
                )?;
            let tenant = tenant.ok_or_else(|| DbError::Other("the new tenant's row was not returned".to_owned()))?;
            tx.batch(&tenant_script(&schema, owner.runtime_login())).await?;
            let context = tenant.context().ok_or_else(|| DbError::Other("the new tenant has no context".to_owned()))?;
            seed(&mut tx.as_tenant(&context).await?, clock, id, &valid.owner_email).await?;
            let payload = json!({ "email": valid.owner_email.key() });
            let mail =
                NewJob { id: clock.new_id(), tenant: Some(id), kind: OWNER_MAIL, payload, unique_key: None, at: None };
            job_enqueue(tx, mail).await?;
            let act = ("tenant.provision", valid.slug.as_str());
            record(tx, clock, operator, act, json!({ "plan": valid.plan })).await?;
            Ok(tenant)
        })
        .await
}
