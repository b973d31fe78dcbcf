//! SQL of flags.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::model::{Decision, ExceptionRow, FlagRow, TenantException};
use crate::db::schema::control::{flags, tenant_flags, tenants};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::flags::Flag;
use crate::kernel::ids::TenantId;

/// How far flags are on, of this release and of others.
pub async fn flag_list(control: &ControlDb) -> Result<Vec<FlagRow>, DbError> {
    control.load(flags::table.order(flags::name).select(FlagRow::as_select())).await
}

/// How far a flag is on, locked until the transaction ends, be there a row or not yet.
pub async fn flag_lock(tx: &mut ControlTx, flag: Flag) -> Result<Option<FlagRow>, DbError> {
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('control.flags.' || $1, 0))";
    tx.execute(diesel::sql_query(lock).bind::<Text, _>(flag.name())).await?;
    // Decisions for tenants refer to it meanwhile: the lock that a foreign key takes is let pass.
    let row = flags::table.find(flag.name()).select(FlagRow::as_select()).for_no_key_update();
    Ok(tx.load(row).await?.pop())
}

/// Switches a flag.
pub async fn flag_upsert(tx: &mut ControlTx, row: &FlagRow) -> Result<(), DbError> {
    let insert = diesel::insert_into(flags::table).values(row.clone()).on_conflict(flags::name).do_update().set((
        flags::owner.eq(row.owner.clone()),
        flags::ends_on.eq(row.ends_on),
        flags::percent.eq(row.percent),
        flags::updated_by.eq(row.updated_by.clone()),
        flags::updated_at.eq(row.updated_at),
    ));
    tx.execute(insert).await.map(drop)
}

/// What was decided for single tenants, by their slugs; the first so many.
pub async fn exception_list(control: &ControlDb, flag: Flag, limit: i64) -> Result<Vec<ExceptionRow>, DbError> {
    let query = tenant_flags::table
        .inner_join(tenants::table)
        .filter(tenant_flags::flag.eq(flag.name()))
        .order(tenants::slug)
        .limit(limit);
    let columns = (
        tenants::slug,
        tenant_flags::is_on,
        tenant_flags::ends_at,
        tenant_flags::reason,
        tenant_flags::updated_by,
        tenant_flags::updated_at,
    );
    control.load(query.select(columns)).await
}

/// What was decided for a tenant.
pub async fn exception_list_of(control: &ControlDb, tenant: TenantId) -> Result<Vec<TenantException>, DbError> {
    let query = tenant_flags::table.filter(tenant_flags::tenant_id.eq(tenant.0)).order(tenant_flags::flag);
    let columns = (
        tenant_flags::flag,
        tenant_flags::is_on,
        tenant_flags::ends_at,
        tenant_flags::reason,
        tenant_flags::updated_by,
        tenant_flags::updated_at,
    );
    control.load(query.select(columns)).await
}

/// Whether anybody has switched a flag yet.
pub async fn flag_exists(tx: &mut ControlTx, flag: Flag) -> Result<bool, DbError> {
    Ok(!tx.load::<_, String, _>(flags::table.find(flag.name()).select(flags::name)).await?.is_empty())
}

/// Decides a flag for a tenant.
pub async fn exception_upsert(
    tx: &mut ControlTx,
    (flag, tenant): (Flag, TenantId),
    decision: &Decision,
    (by, now): (&str, DateTime<Utc>),
) -> Result<(), DbError> {
    let insert = diesel::insert_into(tenant_flags::table)
        .values((
            tenant_flags::flag.eq(flag.name()),
            tenant_flags::tenant_id.eq(tenant.0),
            tenant_flags::is_on.eq(decision.is_on),
            tenant_flags::ends_at.eq(decision.ends_at),
            tenant_flags::reason.eq(decision.reason.clone()),
            tenant_flags::updated_by.eq(by.to_owned()),
            tenant_flags::updated_at.eq(now),
        ))
        .on_conflict((tenant_flags::flag, tenant_flags::tenant_id))
        .do_update()
        .set((
            tenant_flags::is_on.eq(decision.is_on),
            tenant_flags::ends_at.eq(decision.ends_at),
            tenant_flags::reason.eq(decision.reason.clone()),
            tenant_flags::updated_by.eq(by.to_owned()),
            tenant_flags::updated_at.eq(now),
        ));
    tx.execute(insert).await.map(drop)
}

/// Takes back what was decided for a tenant, and answers how much that was.
pub async fn exception_delete(tx: &mut ControlTx, flag: Flag, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(tenant_flags::table.find((flag.name(), tenant.0)))).await
}
