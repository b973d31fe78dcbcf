//! Decisions about tenants that exist.

use serde_json::json;

use super::model::{Tenant, TenantStatus};
use super::repo;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text::tidy;

/// The most characters of a reason.
const REASON_LEN_MAX: usize = 500;

/// The tenant with a slug.
///
/// # Errors
/// The database failed.
pub async fn tenant_by_slug(control: &ControlDb, slug: &str) -> Result<Option<Tenant>, DbError> {
    repo::tenant_by_slug(control, slug).await
}

/// The tenant with an id.
///
/// # Errors
/// The database failed.
pub async fn tenant_by_id(control: &ControlDb, id: TenantId) -> Result<Option<Tenant>, DbError> {
    repo::tenant_by_id(control, id).await
}

/// One page of tenants in the order of their slugs.
///
/// # Errors
/// The database failed.
pub async fn tenant_list(control: &ControlDb, page: PageRequest<String>) -> Result<Page<Tenant>, DbError> {
    Ok(page.cut(repo::tenant_list(control, &page).await?))
}

/// The same of tenants that have a schema, all of it: neither deleted nor being deleted.
///
/// # Errors
/// The database failed.
pub async fn standing_list(control: &ControlDb, page: PageRequest<String>) -> Result<Page<Tenant>, DbError> {
    Ok(page.cut(repo::standing_list(control, &page).await?))
}

/// Whether all of some tenants have a schema, all of it.
///
/// # Errors
/// The database failed.
pub async fn all_stand(control: &ControlDb, ids: &[TenantId]) -> Result<bool, DbError> {
    Ok(usize::try_from(repo::standing_count(control, ids).await?).is_ok_and(|count| count == ids.len()))
}

/// How many tenants there are.
///
/// # Errors
/// The database failed.
pub async fn tenant_count(control: &ControlDb) -> Result<i64, DbError> {
    repo::tenant_count(control).await
}

/// Closes a tenant to its users; its data stays. Suspending a suspended tenant changes the reason.
///
/// # Errors
/// There is no such tenant, it is on its way out, or the reason is blank or too long.
pub async fn tenant_suspend(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    slug: &str,
    reason: &str,
) -> Result<Tenant, ControlError> {
    let reason = valid_reason(reason)?;
    let allowed = [TenantStatus::Active, TenantStatus::Suspended];
    let act = ("tenant.suspend", slug);
    change_status(control, clock, (operator, act), &allowed, TenantStatus::Suspended, Some(&reason)).await
}

/// Opens a suspended tenant again. Resuming an active tenant changes nothing.
///
/// # Errors
/// There is no such tenant, or it is on its way out.
pub async fn tenant_resume(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    slug: &str,
) -> Result<Tenant, ControlError> {
    let allowed = [TenantStatus::Active, TenantStatus::Suspended];
    let act = ("tenant.resume", slug);
    change_status(control, clock, (operator, act), &allowed, TenantStatus::Active, None).await
}

/// A reason as it is stored.
pub(in crate::control) fn valid_reason(reason: &str) -> Result<String, ControlError> {
    let reason = tidy(reason);
    if !(1..=REASON_LEN_MAX).contains(&reason.chars().count()) {
        let message = format!("A reason has 1 to {REASON_LEN_MAX} characters.");
        return Err(ControlError::refused(ControlErrorCode::ReasonInvalid, message, &["reason"]));
    }
    Ok(reason)
}

async fn change_status(
    control: &ControlDb,
    clock: &dyn Clock,
    (operator, act): (&Operator, (&'static str, &str)),
    from: &[TenantStatus],
    to: TenantStatus,
    reason: Option<&str>,
) -> Result<Tenant, ControlError> {
    let (_, slug) = act;
    control
        .write(async |tx: &mut ControlTx| {
            let tenant = tenant_locked(tx, slug).await?;
            if !from.contains(&tenant.status()) {
                return Err(ControlError::refused(
                    ControlErrorCode::TenantStatusConflict,
                    format!("The tenant is {}; it cannot become {}.", tenant.status, to.as_str()),
                    &["slug"],
                ));
            }
            if tenant.status() == to && tenant.suspension_reason.as_deref() == reason {
                return Ok(tenant);
            }
            record(tx, clock, operator, act, json!({ "reason": reason })).await?;
            tenant_set_status(tx, clock, &tenant, to, reason).await
        })
        .await
}

/// The tenant with a slug, locked until the transaction ends.
pub(in crate::control) async fn tenant_locked(tx: &mut ControlTx, slug: &str) -> Result<Tenant, ControlError> {
    repo::tenant_lock(tx, slug).await?.ok_or_else(|| not_found(slug))
}

/// The tenant with a slug, locked until the transaction ends, where something may still be decided for it: what is decided for one
/// on its way out would be in no archive of it, and would stay behind when the rest is purged.
pub(in crate::control) async fn tenant_standing(tx: &mut ControlTx, slug: &str) -> Result<Tenant, ControlError> {
    let tenant = tenant_locked(tx, slug).await?;
    if matches!(tenant.status(), TenantStatus::Active | TenantStatus::Suspended) {
        return Ok(tenant);
    }
    let message = format!("The tenant is {}; nothing is decided for it any more.", tenant.status);
    Err(ControlError::refused(ControlErrorCode::TenantStatusConflict, message, &["slug"]))
}

/// Changes the state of a tenant that is locked, for a reason or for none.
pub(in crate::control) async fn tenant_set_status(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    tenant: &Tenant,
    to: TenantStatus,
    reason: Option<&str>,
) -> Result<Tenant, ControlError> {
    let changed = repo::tenant_update_status(tx, tenant, to, reason, clock.now()).await?;
    changed.ok_or_else(|| not_found(&tenant.slug))
}

/// Puts a tenant that is locked on another plan. A plan that does not exist is the database's to refuse.
pub(in crate::control) async fn tenant_set_plan(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    tenant: &Tenant,
    plan: &str,
) -> Result<Tenant, ControlError> {
    let changed = repo::tenant_update_plan(tx, tenant, plan, clock.now()).await?;
    changed.ok_or_else(|| not_found(&tenant.slug))
}

fn not_found(slug: &str) -> ControlError {
    ControlError::refused(ControlErrorCode::TenantNotFound, format!("There is no tenant `{slug}`."), &["slug"])
}
