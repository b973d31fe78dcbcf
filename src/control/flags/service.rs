//! Decisions about flags.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;

use super::model::{Decision, FlagPatch, FlagRow, FlagState, TenantException};
use super::repo;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::tenants::service::{tenant_locked, tenant_standing, valid_reason};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::{Clock, storable};
use crate::kernel::flags::{Flag, PERCENT_MAX};
use crate::kernel::ids::TenantId;
use crate::kernel::text::tidy;

/// The most characters of an owner.
const OWNER_LEN_MAX: usize = 100;

/// Tenants that are listed for whom something was decided.
pub const EXCEPTIONS_SHOWN_MAX: i64 = 100;

/// The flag of a name.
///
/// # Errors
/// This release has none of the name.
pub fn flag_by_name(name: &str) -> Result<Flag, ControlError> {
    name.parse().map_err(|_| {
        let known: Vec<&str> = Flag::ALL.iter().map(|flag| flag.name()).collect();
        let message = format!("This release has no flag `{name}`; it has: {}.", known.join(", "));
        ControlError::refused(ControlErrorCode::FlagNotFound, message, &["name"])
    })
}

/// Every flag of this release, in the order of their names. Rows of flags that it does not have are left out.
///
/// # Errors
/// The database failed.
pub async fn flag_list(control: &ControlDb) -> Result<Vec<FlagState>, DbError> {
    let rows = repo::flag_list(control).await?;
    let mut states = Vec::with_capacity(Flag::ALL.len());
    for flag in Flag::ALL.iter().copied() {
        let row = rows.iter().find(|row| row.name == flag.name()).cloned();
        let exceptions = repo::exception_list(control, flag, EXCEPTIONS_SHOWN_MAX).await?;
        states.push(FlagState { flag, row, exceptions });
    }
    Ok(states)
}

/// Flags of this release that should have gone before a day.
///
/// # Errors
/// The database failed.
pub async fn overdue_list(control: &ControlDb, today: NaiveDate) -> Result<Vec<FlagState>, DbError> {
    let mut states = flag_list(control).await?;
    states.retain(|state| state.is_overdue(today));
    Ok(states)
}

async fn flag_state(control: &ControlDb, flag: Flag) -> Result<FlagState, ControlError> {
    let state = flag_list(control).await?.into_iter().find(|state| state.flag == flag);
    state.ok_or_else(|| DbError::Other(format!("`{flag}` is no flag")).into())
}

/// Switches a flag on for a share of all tenants, within a second everywhere. The first time it is told who sees to it that the
/// flag goes, and by when.
///
/// # Errors
/// The percent are none, or nobody has said yet whose it is and by when it goes.
pub async fn flag_update(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    flag: Flag,
    patch: &FlagPatch,
) -> Result<FlagState, ControlError> {
    let percent = patch.percent.map(valid_percent).transpose()?;
    let owner = patch.owner.as_deref().map(valid_owner).transpose()?;
    let work = async |tx: &mut ControlTx| {
        let before = repo::flag_lock(tx, flag).await?;
        let known = before.as_ref();
        let owner = owner.or_else(|| known.map(|row| row.owner.clone()));
        let ends_on = patch.ends_on.or_else(|| known.map(|row| row.ends_on));
        let (Some(owner), Some(ends_on)) = (owner, ends_on) else {
            let message = "Say who sees to it that the flag goes, and by when.";
            return Err(ControlError::refused(ControlErrorCode::FlagIncomplete, message, &["input"]));
        };
        let row = FlagRow {
            name: flag.name().to_owned(),
            owner,
            ends_on,
            percent: percent.or_else(|| known.map(|row| row.percent)).unwrap_or(0),
            updated_by: operator.name.clone(),
            updated_at: clock.now(),
        };
        let trail = |row: &FlagRow| json!({ "percent": row.percent, "owner": row.owner, "endsOn": row.ends_on });
        let (was, is) = (known.map(trail), trail(&row));
        if was.as_ref() == Some(&is) {
            return Ok(());
        }
        repo::flag_upsert(tx, &row).await?;
        record(tx, clock, operator, ("flag.update", flag.name()), json!({ "before": was, "after": is })).await?;
        Ok(())
    };
    control.write(work).await?;
    flag_state(control, flag).await
}

/// Decides a flag for one tenant, whatever its share, within a second everywhere.
///
/// # Errors
/// Nobody has switched the flag yet, there is no such tenant, it is on its way out, the end lies in the past, or the reason is blank or too long.
pub async fn tenant_flag_set(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    (flag, slug): (Flag, &str),
    decision: Decision,
) -> Result<FlagState, ControlError> {
    let reason = valid_reason(&decision.reason)?;
    let now = clock.now();
    let ends_at = decision.ends_at.map(storable);
    if ends_at.is_some_and(|ends_at| ends_at <= now) {
        return Err(ControlError::refused(ControlErrorCode::EndInvalid, "The end lies in the past.", &["endsAt"]));
    }
    let decision = Decision { reason, ends_at, ..decision };
    let work = async |tx: &mut ControlTx| {
        if repo::flag_lock(tx, flag).await?.is_none() {
            let message = "Say first whose the flag is and by when it goes, with `flagUpdate`; 0 percent will do.";
            return Err(ControlError::refused(ControlErrorCode::FlagIncomplete, message, &["name"]));
        }
        let tenant = tenant_standing(tx, slug).await?;
        repo::exception_upsert(tx, (flag, tenant.id), &decision, (&operator.name, now)).await?;
        let details = json!({
            "flag": flag.name(), "isOn": decision.is_on, "endsAt": decision.ends_at, "reason": decision.reason,
        });
        Ok(record(tx, clock, operator, ("tenant.flag_set", slug), details).await?)
    };
    control.write::<(), ControlError>(work).await?;
    flag_state(control, flag).await
}

/// Has a flag's share count again for a tenant.
///
/// # Errors
/// There is no such tenant.
pub async fn tenant_flag_remove(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    (flag, slug): (Flag, &str),
) -> Result<FlagState, ControlError> {
    let work = async |tx: &mut ControlTx| {
        let tenant = tenant_locked(tx, slug).await?;
        if repo::exception_delete(tx, flag, tenant.id).await? > 0 {
            record(tx, clock, operator, ("tenant.flag_remove", slug), json!({ "flag": flag.name() })).await?;
        }
        Ok(())
    };
    control.write::<(), ControlError>(work).await?;
    flag_state(control, flag).await
}

/// What was decided of flags for a tenant.
///
/// # Errors
/// The database failed.
pub(in crate::control) async fn tenant_exception_list(
    control: &ControlDb,
    tenant: TenantId,
) -> Result<Vec<TenantException>, DbError> {
    repo::exception_list_of(control, tenant).await
}

/// Decides a flag for a restored tenant as it was decided before; false where that has ended, or there is no such flag any more.
///
/// # Errors
/// The database failed.
pub(in crate::control) async fn exception_restore(
    tx: &mut ControlTx,
    (flag, tenant): (&str, TenantId),
    decision: &Decision,
    (by, at): (&str, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let Ok(flag) = flag.parse::<Flag>() else { return Ok(false) };
    if decision.ends_at.is_some_and(|ends_at| ends_at <= now) || !repo::flag_exists(tx, flag).await? {
        return Ok(false);
    }
    repo::exception_upsert(tx, (flag, tenant), decision, (by, at)).await?;
    Ok(true)
}

fn valid_percent(percent: i32) -> Result<i16, ControlError> {
    i16::try_from(percent).ok().filter(|percent| (0..=PERCENT_MAX.cast_signed()).contains(percent)).ok_or_else(|| {
        let message = format!("The share is 0 to {PERCENT_MAX} percent of all tenants.");
        ControlError::refused(ControlErrorCode::PercentInvalid, message, &["input", "percent"])
    })
}

fn valid_owner(owner: &str) -> Result<String, ControlError> {
    let owner = tidy(owner);
    if (1..=OWNER_LEN_MAX).contains(&owner.chars().count()) {
        return Ok(owner);
    }
    let message = format!("An owner has 1 to {OWNER_LEN_MAX} characters.");
    Err(ControlError::refused(ControlErrorCode::FlagIncomplete, message, &["input", "owner"]))
}
