//! Decisions about plans, and about what single tenants get beside.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::model::{NewOverride, Override, Plan, PlanPatch};
use super::repo;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode, ControlRefusal};
use crate::control::tenants::Tenant;
use crate::control::tenants::service::{tenant_locked, tenant_set_plan, tenant_standing, valid_reason};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::limits::{LimitKind, Limits};
use crate::kernel::text::tidy;

/// The most characters of a plan's name.
const NAME_LEN_MAX: usize = 100;

/// The longest time that something is agreed for: what is meant for ever is a plan.
const OVERRIDE_MAX: TimeDelta = TimeDelta::days(3_660);

/// Rows of a list of what is agreed at most.
const OVERRIDES_MAX: i64 = 10_000;

/// Whoever changes plans and limits, and what it takes.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Where they are.
    pub control: &'a ControlDb,
    /// The time, and ids.
    pub clock: &'a dyn Clock,
    /// Who acts.
    pub operator: &'a Operator,
}

/// All plans, from the smallest to the largest.
///
/// # Errors
/// The database failed.
pub async fn plan_list(control: &ControlDb) -> Result<Vec<Plan>, DbError> {
    repo::plan_list(control).await
}

/// What was agreed for a tenant beside its plan, be it in force or not any more.
///
/// # Errors
/// The database failed.
pub async fn override_list(control: &ControlDb, tenant: TenantId) -> Result<Vec<Override>, DbError> {
    repo::override_list(control, tenant).await
}

/// What is agreed for any tenant and has not ended, with slugs.
///
/// # Errors
/// The database failed.
pub async fn override_list_all(control: &ControlDb, now: DateTime<Utc>) -> Result<Vec<(String, Override)>, DbError> {
    repo::override_list_all(control, now, OVERRIDES_MAX).await
}

/// Agrees to something for a restored tenant as it was agreed before; false where that has ended, or is nothing that this release
/// would agree to.
///
/// # Errors
/// The database failed.
pub(in crate::control) async fn override_restore(
    tx: &mut ControlTx,
    agreed: Override,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let limit = agreed.limit_name.parse::<LimitKind>();
    let is_valid = limit.is_ok_and(|limit| valid_limit(limit, agreed.value, "value".into()).is_ok());
    if !is_valid || agreed.ends_at <= now {
        return Ok(false);
    }
    repo::override_upsert(tx, agreed).await?;
    Ok(true)
}

impl Desk<'_> {
    /// Changes a plan, for all tenants who have it and from within a second on. What is not named stays as it is.
    ///
    /// # Errors
    /// There is no such plan, or something is out of bounds: a refusal for each.
    pub async fn plan_update(&self, code: &str, patch: &PlanPatch) -> Result<Plan, ControlError> {
        let name = patch.name.as_deref().map(valid_name).transpose();
        let limits = patch.limits.iter().map(|(kind, value, path)| valid_limit(*kind, *value, path.clone()));
        let (limits, mut refusals): (Vec<_>, Vec<_>) = limits.partition(Result::is_ok);
        refusals.extend(name.as_ref().err().cloned().map(Err));
        if !refusals.is_empty() {
            return Err(ControlError::Refused(refusals.into_iter().filter_map(Result::err).collect()));
        }
        let (name, limits) = (name.unwrap_or_default(), limits.into_iter().flatten());
        self.control
            .write(async |tx: &mut ControlTx| {
                let plan = repo::plan_lock(tx, code).await?.ok_or_else(|| plan_not_found(code, &["code"]))?;
                let before = Limits::from(&plan.limits);
                let mut after = before;
                limits.for_each(|(kind, value)| after.set(kind, value));
                let name = name.unwrap_or_else(|| plan.name.clone());
                if after == before && name == plan.name {
                    return Ok(plan);
                }
                let details = json!({ "name": name, "changes": changes(&before, &after) });
                record(tx, self.clock, self.operator, ("plan.update", code), details).await?;
                let plan = repo::plan_update(tx, code, (&name, after.into()), self.clock.now()).await?;
                plan.ok_or_else(|| plan_not_found(code, &["code"]))
            })
            .await
    }

    /// Puts a tenant on another plan, within a second everywhere. What it has beyond the new plan's limits stays; it cannot
    /// add to it. What was agreed for it goes on before the new plan's.
    ///
    /// # Errors
    /// There is no such tenant or plan, or the tenant is on its way out.
    pub async fn tenant_plan_change(&self, slug: &str, plan: &str) -> Result<Tenant, ControlError> {
        let changed = self
            .control
            .write(async |tx: &mut ControlTx| {
                let tenant = tenant_standing(tx, slug).await?;
                if tenant.plan == plan {
                    return Ok(tenant);
                }
                let details = json!({ "from": tenant.plan, "to": plan });
                record(tx, self.clock, self.operator, ("tenant.plan_change", slug), details).await?;
                tenant_set_plan(tx, self.clock, &tenant, plan).await
            })
            .await;
        changed.map_err(|error| match error {
            ControlError::Db(DbError::ForeignKey(_)) => plan_not_found(plan, &["plan"]),
            error => error,
        })
    }

    /// Agrees to another limit for a tenant, in the place of its plan's and of what was agreed about it before, until a time.
    ///
    /// # Errors
    /// There is no such tenant, it is on its way out, or value, end or reason are out of bounds: a refusal for each.
    pub async fn limit_override(&self, slug: &str, new: &NewOverride) -> Result<Override, ControlError> {
        let now = self.clock.now();
        let value = valid_limit(new.limit, new.value, "value".into());
        let ends_at = valid_end(now, new.ends_at);
        let reason = valid_reason(&new.reason);
        let refused = [value.err(), ends_at.err()].into_iter().flatten();
        let mut refusals: Vec<ControlRefusal> = refused.collect();
        let reason = match reason {
            Ok(reason) if refusals.is_empty() => reason,
            Err(ControlError::Refused(more)) => {
                refusals.extend(more);
                return Err(ControlError::Refused(refusals));
            }
            _ => return Err(ControlError::Refused(refusals)),
        };
        self.control
            .write(async |tx: &mut ControlTx| {
                let tenant = tenant_standing(tx, slug).await?;
                let details = json!({
                    "limit": new.limit.as_str(), "value": new.value, "endsAt": new.ends_at, "reason": reason
                });
                record(tx, self.clock, self.operator, ("tenant.limit_override", slug), details).await?;
                let agreed = Override {
                    tenant_id: tenant.id,
                    limit_name: new.limit.as_str().to_owned(),
                    value: new.value,
                    ends_at: new.ends_at,
                    reason,
                    made_by: self.operator.name.clone(),
                    made_at: now,
                };
                let agreed = repo::override_upsert(tx, agreed).await?;
                agreed.ok_or_else(|| DbError::Other("what was agreed answered no row".to_owned()).into())
            })
            .await
    }

    /// Ends what was agreed about a limit of a tenant's: it is the plan's again, within a second everywhere.
    ///
    /// # Errors
    /// There is no such tenant, or nothing was agreed about the limit.
    pub async fn limit_clear(&self, slug: &str, limit: LimitKind) -> Result<Tenant, ControlError> {
        self.control
            .write(async |tx: &mut ControlTx| {
                let tenant = tenant_locked(tx, slug).await?;
                let cleared = repo::override_delete(tx, tenant.id, limit.as_str()).await?.ok_or_else(|| {
                    let message = format!("Nothing is agreed with `{slug}` about {}.", limit.as_str());
                    ControlRefusal::new(ControlErrorCode::LimitOverrideNotFound, message, &["limit"])
                })?;
                let details = json!({ "limit": cleared.limit_name, "value": cleared.value, "endsAt": cleared.ends_at });
                record(tx, self.clock, self.operator, ("tenant.limit_clear", slug), details).await?;
                // As it is without it.
                tenant_locked(tx, slug).await
            })
            .await
    }
}

fn valid_name(name: &str) -> Result<String, ControlRefusal> {
    let name = tidy(name);
    if (1..=NAME_LEN_MAX).contains(&name.chars().count()) {
        return Ok(name);
    }
    let message = format!("A name has 1 to {NAME_LEN_MAX} characters.");
    Err(ControlRefusal::new(ControlErrorCode::NameInvalid, message, &["input", "name"]))
}

fn valid_limit(kind: LimitKind, value: i32, path: Cow<'static, str>) -> Result<(LimitKind, u32), ControlRefusal> {
    let (least, most) = kind.bounds();
    if let Ok(value) = u32::try_from(value)
        && (least..=most).contains(&value)
    {
        return Ok((kind, value));
    }
    let message = format!("{} is {least} to {most}.", kind.as_str());
    let refusal = ControlRefusal::new(ControlErrorCode::LimitInvalid, message, &[]);
    // A field of the input, or an argument of its own.
    let within = (path != "value").then_some(Cow::Borrowed("input"));
    Err(ControlRefusal { path: within.into_iter().chain([path]).collect(), ..refusal })
}

fn valid_end(now: DateTime<Utc>, ends_at: DateTime<Utc>) -> Result<(), ControlRefusal> {
    if ends_at > now && ends_at <= now + OVERRIDE_MAX {
        return Ok(());
    }
    let message = format!("The end is in the future, within {} days.", OVERRIDE_MAX.num_days());
    Err(ControlRefusal::new(ControlErrorCode::EndInvalid, message, &["endsAt"]))
}

/// Limits that have changed, with what they were and are.
fn changes(before: &Limits, after: &Limits) -> Value {
    let changed = LimitKind::ALL.into_iter().filter(|kind| before.get(*kind) != after.get(*kind));
    let change =
        |kind: LimitKind| (kind.as_str().to_owned(), json!({ "from": before.get(kind), "to": after.get(kind) }));
    Value::Object(changed.map(change).collect::<Map<_, _>>())
}

fn plan_not_found(code: &str, path: &[&'static str]) -> ControlError {
    ControlError::refused(ControlErrorCode::PlanNotFound, format!("There is no plan `{code}`."), path)
}
