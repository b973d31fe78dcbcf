//! SQL of sandboxes that names no tenant's schema: all of it under the owner's login.

use diesel::prelude::*;

use crate::control::tenants::Tenant;
use crate::db::schema::control::tenants;
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
