//! SQL of sandboxes that names no tenant's schema: all of it under the owner's login.

use diesel::prelude::*;

use crate::control::tenants::Tenant;
use crate::db::schema::control::{backfills, tenants};
use crate::db::{DbError, OwnerTx};
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::TenantSlug;

/// The tenant with a slug.
pub async fn tenant_by_slug(tx: &mut OwnerTx, slug: &TenantSlug) -> Result<Option<Tenant>, DbError> {
    let query = tenants::table.filter(tenants::slug.eq(slug.as_str().to_owned())).select(Tenant::as_select());
    Ok(tx.load(query).await?.pop())
}

/// The tenant with an id.
pub async fn tenant_by_id(tx: &mut OwnerTx, id: TenantId) -> Result<Option<Tenant>, DbError> {
    Ok(tx.load(tenants::table.filter(tenants::id.eq(id.0)).select(Tenant::as_select())).await?.pop())
}

/// The version of a backfill that is not done in a tenant's schema.
pub async fn backfill_open(tx: &mut OwnerTx, id: TenantId) -> Result<Option<String>, DbError> {
    let query = backfills::table
        .filter(backfills::tenant_id.eq(id.0))
        .filter(backfills::finished_at.is_null())
        .order(backfills::version)
        .limit(1)
        .select(backfills::version);
    Ok(tx.load(query).await?.pop())
}
