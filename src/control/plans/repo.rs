//! SQL of plans and of what was agreed beside them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::upsert::excluded;

use super::model::{Override, Plan, PlanLimits};
use crate::db::schema::control::{plan_overrides, plans, tenants};
use crate::db::statement::kept;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::TenantId;

/// All plans, from the smallest to the largest.
pub async fn plan_list(control: &ControlDb) -> Result<Vec<Plan>, DbError> {
    control.load(plans::table.order(plans::position).select(Plan::as_select())).await
}

/// A plan, locked until the transaction ends.
pub async fn plan_lock(tx: &mut ControlTx, code: &str) -> Result<Option<Plan>, DbError> {
    // Tenants refer to it meanwhile: the lock that a foreign key takes is let pass.
    let query = plans::table.filter(plans::code.eq(code.to_owned())).select(Plan::as_select()).for_no_key_update();
    Ok(tx.load(query).await?.pop())
}

/// Changes a plan and answers the row as it is then.
pub async fn plan_update(
    tx: &mut ControlTx,
    code: &str,
    (name, limits): (&str, PlanLimits),
    now: DateTime<Utc>,
) -> Result<Option<Plan>, DbError> {
    let update = diesel::update(plans::table.filter(plans::code.eq(code.to_owned())))
        .set((plans::name.eq(name.to_owned()), limits, plans::updated_at.eq(now)))
        .returning(Plan::as_returning());
    Ok(tx.load(kept(update)).await?.pop())
}

/// What was agreed for a tenant, be it in force or not any more.
pub async fn override_list(control: &ControlDb, tenant: TenantId) -> Result<Vec<Override>, DbError> {
    let query = plan_overrides::table.filter(plan_overrides::tenant_id.eq(tenant.0));
    control.load(query.order(plan_overrides::limit_name).select(Override::as_select())).await
}

/// What is agreed for any tenant and has not ended, by slug; so many rows at most.
pub async fn override_list_all(
    control: &ControlDb,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(String, Override)>, DbError> {
    let query = plan_overrides::table
        .inner_join(tenants::table)
        .filter(plan_overrides::ends_at.gt(now))
        .order((tenants::slug, plan_overrides::limit_name))
        .limit(limit);
    control.load(query.select((tenants::slug, Override::as_select()))).await
}

/// Agrees to something for a tenant, in the place of what was agreed about the same limit.
pub async fn override_upsert(tx: &mut ControlTx, new: Override) -> Result<Option<Override>, DbError> {
    let insert = diesel::insert_into(plan_overrides::table)
        .values((
            plan_overrides::tenant_id.eq(new.tenant_id.0),
            plan_overrides::limit_name.eq(new.limit_name),
            plan_overrides::value.eq(new.value),
            plan_overrides::ends_at.eq(new.ends_at),
            plan_overrides::reason.eq(new.reason),
            plan_overrides::made_by.eq(new.made_by),
            plan_overrides::made_at.eq(new.made_at),
        ))
        .on_conflict((plan_overrides::tenant_id, plan_overrides::limit_name))
        .do_update()
        .set((
            plan_overrides::value.eq(excluded(plan_overrides::value)),
            plan_overrides::ends_at.eq(excluded(plan_overrides::ends_at)),
            plan_overrides::reason.eq(excluded(plan_overrides::reason)),
            plan_overrides::made_by.eq(excluded(plan_overrides::made_by)),
            plan_overrides::made_at.eq(excluded(plan_overrides::made_at)),
        ))
        .returning(Override::as_returning());
    Ok(tx.load(kept(insert)).await?.pop())
}

/// Ends what was agreed about a limit of a tenant's, and answers what it was.
pub async fn override_delete(
    tx: &mut ControlTx,
    tenant: TenantId,
    limit_name: &str,
) -> Result<Option<Override>, DbError> {
    let delete = diesel::delete(plan_overrides::table.find((tenant.0, limit_name.to_owned())))
        .returning(Override::as_returning());
    Ok(tx.load(kept(delete)).await?.pop())
}
