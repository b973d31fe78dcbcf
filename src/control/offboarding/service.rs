//! Asking for an offboarding, calling it off, and reading what became of it.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::model::{NewOffboarding, Offboarding, OffboardingStatus};
use super::repo;
use crate::control::archives::Purpose;
use crate::control::archives::service::archive_request;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::jobs::{NewJob, job_enqueue};
use crate::control::tenants::service::{tenant_locked, tenant_set_status, valid_reason};
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::OffboardingId;
use crate::kernel::page::{Page, PageRequest};
use crate::vault::KeyError;

/// The kind of the job that does the next step: the platform's own, because jobs of closed tenants wait. Its payload is the
/// offboarding's id.
pub const ADVANCE: &str = "offboarding.advance";

/// Offboardings without a job that are looked after at once: who has more looks again.
const LOOK_AFTER_MAX: i64 = 1_000;

/// The offboarding with an id.
///
/// # Errors
/// The database failed.
pub async fn offboarding_by_id(control: &ControlDb, id: OffboardingId) -> Result<Option<Offboarding>, DbError> {
    repo::offboarding_by_id(control, id).await
}

/// The newest offboarding of the tenant with a slug.
///
/// # Errors
/// The database failed.
pub async fn offboarding_by_slug(control: &ControlDb, slug: &str) -> Result<Option<Offboarding>, DbError> {
    // PostgreSQL takes no NUL, and no slug has one.
    if slug.contains('\0') {
        return Ok(None);
    }
    repo::offboarding_by_slug(control, slug).await
}

/// One page of offboardings, the newest first; in one state, or in all.
///
/// # Errors
/// The database failed.
pub async fn offboarding_list(
    control: &ControlDb,
    status: Option<OffboardingStatus>,
    page: PageRequest<Uuid>,
) -> Result<Page<Offboarding>, DbError> {
    Ok(page.cut(repo::offboarding_list(control, status, &page).await?))
}

/// How many offboardings that have not ended are in each state, and how many of them have failed at something.
///
/// # Errors
/// The database failed.
pub async fn offboarding_counts(control: &ControlDb) -> Result<Vec<(String, i64, i64)>, DbError> {
    repo::offboarding_counts(control).await
}

/// Begins to take leave of a tenant: it is closed within a second everywhere, its archives are asked for, and after the
/// grace period it is deleted. The caller rings the bell.
///
/// # Errors
/// There is no such tenant, it is neither active nor suspended, it has no keys, or the reason is blank or too long.
pub async fn tenant_offboard(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    grace: TimeDelta,
    (slug, reason): (&str, &str),
) -> Result<Offboarding, ControlError> {
    let reason = valid_reason(reason)?;
    let work = async |tx: &mut ControlTx| {
        let tenant = tenant_locked(tx, slug).await?;
        if !matches!(tenant.status(), TenantStatus::Active | TenantStatus::Suspended) {
            return Err(conflict(format!("The tenant is {}; it cannot be offboarded.", tenant.status)));
        }
        // Who leaves and has no keys is taken for one whose deletion has begun: make the missing keys first.
        if tenant.keys().is_none_or(|keys| keys.0.is_empty()) {
            return Err(KeyError::NoKeys.into());
        }
        let now = clock.now();
        let new = NewOffboarding {
            id: OffboardingId(clock.new_id()),
            reason: reason.clone(),
            requested_by: operator.name.clone(),
            requested_at: now,
            delete_after: now + grace,
            archive: archive_request(tx, clock, operator, &tenant, Purpose::Offboarding).await?,
            audit_archive: archive_request(tx, clock, operator, &tenant, Purpose::Audit).await?,
        };
        let details = json!({ "reason": reason, "offboarding": new.id.to_string(), "deleteAfter": new.delete_after });
        record(tx, clock, operator, ("tenant.offboard", slug), details).await?;
        let offboarding = repo::offboarding_insert(tx, &tenant, new).await?.ok_or_else(unreturned)?;
        tenant_set_status(tx, clock, &tenant, TenantStatus::Offboarding, Some(&reason)).await?;
        advance_enqueue(tx, clock, offboarding.id).await?;
        Ok(offboarding)
    };
    control.write(work).await
}

/// Calls an offboarding off: the tenant is what it was before, and what waited goes on. Its archives are left to expire.
///
/// # Errors
/// There is no such tenant, it is not being offboarded, or its keys are destroyed already.
pub async fn tenant_offboard_cancel(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    slug: &str,
) -> Result<Offboarding, ControlError> {
    let work = async |tx: &mut ControlTx| {
        let tenant = tenant_locked(tx, slug).await?;
        let Some(live) = repo::live_lock(tx, tenant.id).await? else {
            return Err(conflict(format!("The tenant is {}; it is not being offboarded.", tenant.status)));
        };
        // A status that a later release wrote is left to it.
        if !matches!(live.status(), Some(OffboardingStatus::Exporting | OffboardingStatus::Waiting)) {
            let message = "The tenant's keys are destroyed, and its data with them; there is no way back.";
            return Err(ControlError::refused(ControlErrorCode::TenantDeletionBegun, message.to_owned(), &["slug"]));
        }
        let status = live.prior_status.parse().unwrap_or(TenantStatus::Suspended);
        tenant_set_status(tx, clock, &tenant, status, live.prior_reason.as_deref()).await?;
        let details = json!({ "offboarding": live.id.to_string(), "status": status.as_str() });
        record(tx, clock, operator, ("tenant.offboard_cancel", slug), details).await?;
        repo::offboarding_cancel(tx, live.id, clock.now()).await?.ok_or_else(|| unreturned().into())
    };
    control.write(work).await
}

/// Enqueues the job of each offboarding that has not ended and has none: one may have been called off, or be a dead letter.
/// Answers how many.
///
/// # Errors
/// The database failed.
pub async fn look_after(tx: &mut ControlTx, clock: &dyn Clock) -> Result<usize, DbError> {
    let mut count = 0;
    for id in repo::jobless_list(tx, ADVANCE, LOOK_AFTER_MAX).await? {
        count += usize::from(advance_enqueue(tx, clock, OffboardingId(id)).await?);
    }
    Ok(count)
}

/// Has the next step of an offboarding done; answers false where it is under way already.
async fn advance_enqueue(tx: &mut ControlTx, clock: &dyn Clock, id: OffboardingId) -> Result<bool, DbError> {
    let job = NewJob {
        id: clock.new_id(),
        tenant: None,
        kind: ADVANCE,
        payload: json!({ "offboarding": id.0 }),
        unique_key: Some(id.to_string()),
        at: None,
    };
    job_enqueue(tx, job).await
}

/// The tenant and the offboarding, locked in this order; `None` where it has ended.
pub(super) async fn locked(
    tx: &mut ControlTx,
    offboarding: &Offboarding,
) -> Result<Option<(Tenant, Offboarding)>, DbError> {
    let Some(tenant) = repo::tenant_lock(tx, offboarding.tenant_id).await? else { return Ok(None) };
    let live = repo::live_lock(tx, tenant.id).await?.filter(|live| live.id == offboarding.id);
    Ok(live.map(|live| (tenant, live)))
}

fn conflict(message: String) -> ControlError {
    ControlError::refused(ControlErrorCode::TenantStatusConflict, message, &["slug"])
}

fn unreturned() -> DbError {
    DbError::Other("the offboarding's row was not returned".to_owned())
}
