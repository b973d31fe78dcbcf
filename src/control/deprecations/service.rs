//! Decisions about what goes away.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::model::{Extension, PartCount, TenantUsage, UsageFilter, UsagePlace, Used};
use super::repo;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::tenants::service::{tenant_locked, tenant_standing, valid_reason};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::{Clock, storable};
use crate::kernel::deprecation::Part;
use crate::kernel::ids::TenantId;
use crate::kernel::page::{Page, PageRequest};

/// Who has used a part within this time uses it still.
pub const STILL: TimeDelta = TimeDelta::days(30);

/// The most extensions that are listed.
const EXTENSIONS_MAX: i64 = 1_000;

/// Tenants that are named of those that still use a part.
const NAMED_MAX: i64 = 20;

/// Keeps what a tenant's own table says.
///
/// # Errors
/// The database failed.
pub async fn usage_put(control: &ControlDb, tenant: TenantId, rows: Vec<Used>) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    control.write(async |tx: &mut ControlTx| repo::usage_put(tx, tenant, rows).await).await
}

/// Deletes what was last used before a time.
///
/// # Errors
/// The database failed.
pub async fn usage_prune(control: &ControlDb, before: DateTime<Utc>) -> Result<usize, DbError> {
    control.write(async |tx: &mut ControlTx| repo::usage_prune(tx, before).await).await
}

/// One page of who uses what.
///
/// # Errors
/// The database failed.
pub async fn usage_list(
    control: &ControlDb,
    filter: UsageFilter,
    page: PageRequest<UsagePlace>,
) -> Result<Page<TenantUsage>, DbError> {
    let filter = UsageFilter { used_since: filter.used_since.map(storable), ..filter };
    Ok(page.cut(repo::usage_list(control, filter, &page).await?))
}

/// How many tenants still use each part; what nobody uses is not listed.
///
/// # Errors
/// The database failed.
pub async fn part_counts(control: &ControlDb, clock: &dyn Clock) -> Result<Vec<PartCount>, DbError> {
    repo::part_counts(control, clock.now() - STILL).await
}

/// Some of the tenants that still use a part, or were given more time for it, by their slugs.
///
/// # Errors
/// The database failed.
pub async fn users_of(control: &ControlDb, clock: &dyn Clock, part: &str) -> Result<Vec<String>, DbError> {
    let now = clock.now();
    let users = repo::user_list(control, part, now - STILL, Uuid::nil(), NAMED_MAX).await?;
    let mut slugs: Vec<String> = users.into_iter().map(|user| user.slug).collect();
    let given = extension_list(control, None).await?.into_iter();
    slugs.extend(given.filter(|given| given.part == part && given.until > now.date_naive()).map(|given| given.slug));
    slugs.sort();
    slugs.dedup();
    Ok(slugs)
}

/// Gives a tenant more time for a part, in place of what it was given before.
///
/// # Errors
/// There is no such tenant or part, the tenant is on its way out, the day is not after the part's own or is further off than may be, the reason is blank or
/// too long.
pub async fn extension_set(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    (slug, part): (&str, &str),
    (until, reason): (NaiveDate, &str),
    parts: &[Arc<Part>],
) -> Result<Extension, ControlError> {
    let reason = valid_reason(reason)?;
    let Some(known) = parts.iter().find(|known| known.coordinate == part) else {
        let message = format!("`{part}` is nothing that goes away.");
        return Err(ControlError::refused(ControlErrorCode::DeprecationNotFound, message, &["part"]));
    };
    let (earliest, latest) = (known.reason.removal_on, known.reason.extendable_until());
    if until <= earliest || until > latest || until <= clock.now().date_naive() {
        let message = format!("`{part}` goes away on {earliest}; more time is given to a later day, up to {latest}.");
        return Err(ControlError::refused(ControlErrorCode::DeprecationExtensionInvalid, message, &["until"]));
    }
    control
        .write(async |tx: &mut ControlTx| {
            let tenant = tenant_standing(tx, slug).await?;
            let extension = Extension {
                slug: tenant.slug.clone(),
                part: part.to_owned(),
                until,
                reason,
                made_by: operator.name.clone(),
                made_at: clock.now(),
            };
            repo::extension_upsert(tx, tenant.id, &extension).await?;
            let details = json!({ "part": part, "until": until, "reason": extension.reason });
            record(tx, clock, operator, ("deprecation_extension.set", slug), details).await?;
            Ok(extension)
        })
        .await
}

/// Takes back the time that a tenant was given for a part.
///
/// # Errors
/// There is no such tenant, or it was given none.
pub async fn extension_remove(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    (slug, part): (&str, &str),
) -> Result<String, ControlError> {
    control
        .write(async |tx: &mut ControlTx| {
            let tenant = tenant_locked(tx, slug).await?;
            let Some(until) = repo::extension_delete(tx, tenant.id, part).await? else {
                let message = format!("`{slug}` was given no more time for `{part}`.");
                return Err(ControlError::refused(ControlErrorCode::DeprecationExtensionNotFound, message, &["part"]));
            };
            let details = json!({ "part": part, "until": until });
            record(tx, clock, operator, ("deprecation_extension.remove", slug), details).await?;
            Ok(part.to_owned())
        })
        .await
}

/// Extensions, the first to end first; of one tenant, or of all.
///
/// # Errors
/// The database failed.
pub async fn extension_list(control: &ControlDb, slug: Option<&str>) -> Result<Vec<Extension>, DbError> {
    repo::extension_list(control, slug, EXTENSIONS_MAX).await
}

/// Gives a restored tenant the time that it was given before; false where that has ended. A part that this release does not know
/// any more was given no longer than it was there.
///
/// # Errors
/// The database failed.
pub(in crate::control) async fn extension_restore(
    tx: &mut ControlTx,
    tenant: TenantId,
    given: &Extension,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    if given.until <= now.date_naive() {
        return Ok(false);
    }
    repo::extension_upsert(tx, tenant, given).await?;
    Ok(true)
}
