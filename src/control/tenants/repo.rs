//! SQL of the registry.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use serde_json::{Value, json};

use super::model::{Tenant, TenantStatus};
use crate::db::schema::control::{offboardings, tenants};
use crate::db::statement::kept;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::TenantId;
use crate::kernel::page::{Direction, PageRequest};

/// Whether a text could be a slug at all; PostgreSQL would not even take a NUL.
fn is_plain(slug: &str) -> bool {
    slug.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The tenant with a slug.
pub async fn tenant_by_slug(control: &ControlDb, slug: &str) -> Result<Option<Tenant>, DbError> {
    if !is_plain(slug) {
        return Ok(None);
    }
    let query = tenants::table.filter(tenants::slug.eq(slug.to_owned())).select(Tenant::as_select());
    Ok(control.load(query).await?.pop())
}

/// The tenant with an id.
pub async fn tenant_by_id(control: &ControlDb, id: TenantId) -> Result<Option<Tenant>, DbError> {
    Ok(control.load(tenants::table.filter(tenants::id.eq(id.0)).select(Tenant::as_select())).await?.pop())
}

/// The tenant with a slug, locked until the transaction ends.
pub async fn tenant_lock(tx: &mut ControlTx, slug: &str) -> Result<Option<Tenant>, DbError> {
    if !is_plain(slug) {
        return Ok(None);
    }
    let query = tenants::table.filter(tenants::slug.eq(slug.to_owned())).select(Tenant::as_select()).for_update();
    Ok(tx.load(query).await?.pop())
}

/// One page's rows of tenants in the order of their slugs, read in the page's direction.
pub async fn tenant_list(control: &ControlDb, page: &PageRequest<String>) -> Result<Vec<Tenant>, DbError> {
    control.load(paged(page).select(Tenant::as_select())).await
}

/// The same of tenants that have a schema, all of it.
pub async fn standing_list(control: &ControlDb, page: &PageRequest<String>) -> Result<Vec<Tenant>, DbError> {
    let query = paged(page)
        .filter(tenants::status.ne(TenantStatus::Deleted.as_str()))
        .filter(tenants::id.ne_all(going().select(offboardings::tenant_id)));
    control.load(query.select(Tenant::as_select())).await
}

/// How many of some tenants have a schema, all of it.
pub async fn standing_count(control: &ControlDb, ids: &[TenantId]) -> Result<i64, DbError> {
    let query = tenants::table
        .filter(tenants::id.eq_any(ids.iter().map(|id| id.0).collect::<Vec<_>>()))
        .filter(tenants::status.ne(TenantStatus::Deleted.as_str()))
        .filter(tenants::id.ne_all(going().select(offboardings::tenant_id)));
    Ok(control.load(query.count()).await?.pop().unwrap_or(0))
}

/// Offboardings whose tenant has no keys any more, and loses its tables one by one.
#[diesel::dsl::auto_type(no_type_alias)]
fn going() -> _ {
    offboardings::table.filter(offboardings::status.eq("deleting"))
}

fn paged(page: &PageRequest<String>) -> tenants::BoxedQuery<'static, Pg> {
    let query = tenants::table.limit(page.rows()).into_boxed();
    match (&page.direction, page.from.clone()) {
        (Direction::Forward, None) => query.order(tenants::slug.asc()),
        (Direction::Forward, Some(slug)) => query.filter(tenants::slug.gt(slug)).order(tenants::slug.asc()),
        (Direction::Backward, None) => query.order(tenants::slug.desc()),
        (Direction::Backward, Some(slug)) => query.filter(tenants::slug.lt(slug)).order(tenants::slug.desc()),
    }
}

/// How many tenants there are.
pub async fn tenant_count(control: &ControlDb) -> Result<i64, DbError> {
    Ok(control.load(tenants::table.count()).await?.pop().unwrap_or(0))
}

/// Tenants in use that have no keys, locked until the transaction ends; those that others hold are passed over.
pub async fn tenants_without_keys(tx: &mut ControlTx, limit: i64) -> Result<Vec<Tenant>, DbError> {
    let query = tenants::table
        .filter(tenants::keys.eq(json!([])))
        .filter(tenants::status.ne(TenantStatus::Deleted.as_str()))
        // Nor those whose keys were destroyed.
        .filter(tenants::id.ne_all(going().select(offboardings::tenant_id)))
        .order(tenants::id)
        .limit(limit)
        .select(Tenant::as_select())
        .for_update()
        .skip_locked();
    tx.load(query).await
}

/// Changes a tenant's keys and answers the row as it is then.
pub async fn tenant_update_keys(
    tx: &mut ControlTx,
    tenant: &Tenant,
    keys: Value,
    now: DateTime<Utc>,
) -> Result<Option<Tenant>, DbError> {
    let update = diesel::update(tenants::table.find(tenant.id.0))
        .set((tenants::keys.eq(keys), tenants::updated_at.eq(now)))
        .returning(Tenant::as_returning());
    Ok(tx.load(kept(update)).await?.pop())
}

/// Changes a tenant's state and answers the row as it is then.
pub async fn tenant_update_status(
    tx: &mut ControlTx,
    tenant: &Tenant,
    status: TenantStatus,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Tenant>, DbError> {
    let update = diesel::update(tenants::table.find(tenant.id.0))
        .set((
            tenants::status.eq(status.as_str()),
            tenants::suspension_reason.eq(reason.map(str::to_owned)),
            tenants::updated_at.eq(now),
        ))
        .returning(Tenant::as_returning());
    Ok(tx.load(kept(update)).await?.pop())
}

/// Puts a tenant on another plan and answers the row as it is then.
pub async fn tenant_update_plan(
    tx: &mut ControlTx,
    tenant: &Tenant,
    plan: &str,
    now: DateTime<Utc>,
) -> Result<Option<Tenant>, DbError> {
    let update = diesel::update(tenants::table.find(tenant.id.0))
        .set((tenants::plan.eq(plan.to_owned()), tenants::updated_at.eq(now)))
        .returning(Tenant::as_returning());
    Ok(tx.load(kept(update)).await?.pop())
}
