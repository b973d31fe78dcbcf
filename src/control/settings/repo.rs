//! SQL of what operators have set.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;

use super::model::RuledSetting;
use crate::db::schema::control::{plan_settings, plans, tenant_settings};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::TenantId;
use crate::kernel::settings::Setting;

/// Whether there is a plan with a code.
pub async fn plan_exists(control: &ControlDb, plan: &str) -> Result<bool, DbError> {
    // PostgreSQL takes no NUL, and no plan has one.
    let query = plans::table.filter(plans::code.eq(plan.replace('\0', ""))).select(plans::code);
    Ok(!control.load::<_, String, _>(query).await?.is_empty())
}

/// All that is set for a plan.
pub async fn of_plan(control: &ControlDb, plan: &str) -> Result<Vec<RuledSetting>, DbError> {
    use plan_settings as rows;
    let columns = (rows::name, rows::value, rows::updated_by, rows::updated_at);
    control.load(rows::table.filter(rows::plan.eq(plan.to_owned())).order(rows::name).select(columns)).await
}

/// All that is set for a tenant.
pub async fn of_tenant(control: &ControlDb, tenant: TenantId) -> Result<Vec<RuledSetting>, DbError> {
    use tenant_settings as rows;
    let columns = (rows::name, rows::value, rows::updated_by, rows::updated_at);
    control.load(rows::table.filter(rows::tenant_id.eq(tenant.0)).order(rows::name).select(columns)).await
}

/// What is set for a plan, locked until the transaction ends: the plan is, for there may be no row yet.
pub async fn plan_lock(tx: &mut ControlTx, plan: &str, setting: Setting) -> Result<Option<Value>, DbError> {
    let of = plans::table.filter(plans::code.eq(plan.to_owned())).select(plans::code).for_no_key_update();
    tx.load::<_, String, _>(of).await?;
    let row = plan_settings::table.find((plan.to_owned(), setting.name()));
    Ok(tx.load(row.select(plan_settings::value)).await?.pop())
}

/// What is set for a tenant whose entry is locked.
pub async fn tenant_value(tx: &mut ControlTx, tenant: TenantId, setting: Setting) -> Result<Option<Value>, DbError> {
    let row = tenant_settings::table.find((tenant.0, setting.name()));
    Ok(tx.load(row.select(tenant_settings::value)).await?.pop())
}

/// Sets something for a plan.
pub async fn plan_upsert(
    tx: &mut ControlTx,
    plan: &str,
    (setting, value): (Setting, Value),
    (by, now): (&str, DateTime<Utc>),
) -> Result<(), DbError> {
    use plan_settings as rows;
    let insert = diesel::insert_into(rows::table)
        .values((
            rows::plan.eq(plan.to_owned()),
            rows::name.eq(setting.name()),
            rows::value.eq(value.clone()),
            rows::updated_by.eq(by.to_owned()),
            rows::updated_at.eq(now),
        ))
        .on_conflict((rows::plan, rows::name))
        .do_update()
        .set((rows::value.eq(value), rows::updated_by.eq(by.to_owned()), rows::updated_at.eq(now)));
    tx.execute(insert).await.map(drop)
}

/// Sets something for a tenant.
pub async fn tenant_upsert(
    tx: &mut ControlTx,
    tenant: TenantId,
    (setting, value): (Setting, Value),
    (by, now): (&str, DateTime<Utc>),
) -> Result<(), DbError> {
    use tenant_settings as rows;
    let insert = diesel::insert_into(rows::table)
        .values((
            rows::tenant_id.eq(tenant.0),
            rows::name.eq(setting.name()),
            rows::value.eq(value.clone()),
            rows::updated_by.eq(by.to_owned()),
            rows::updated_at.eq(now),
        ))
        .on_conflict((rows::tenant_id, rows::name))
        .do_update()
        .set((rows::value.eq(value), rows::updated_by.eq(by.to_owned()), rows::updated_at.eq(now)));
    tx.execute(insert).await.map(drop)
}

/// Sets something for a plan no more.
pub async fn plan_delete(tx: &mut ControlTx, plan: &str, setting: Setting) -> Result<usize, DbError> {
    tx.execute(diesel::delete(plan_settings::table.find((plan.to_owned(), setting.name())))).await
}

/// Sets something for a tenant no more.
pub async fn tenant_delete(tx: &mut ControlTx, tenant: TenantId, setting: Setting) -> Result<usize, DbError> {
    tx.execute(diesel::delete(tenant_settings::table.find((tenant.0, setting.name())))).await
}
