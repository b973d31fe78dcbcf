//! SQL of the fleet's versions.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::db::schema::control::tenants;
use crate::db::statement::kept;
use crate::db::{DbError, OwnerTx};
use crate::kernel::ids::TenantId;

/// Tenants whose schema has not the newest migration, the oldest tenants first.
pub async fn tenants_behind(tx: &mut OwnerTx, newest: &str) -> Result<Vec<(TenantId, String)>, DbError> {
    let query = tenants::table
        .filter(tenants::schema_version.lt(newest.to_owned()))
        .filter(tenants::status.ne("deleted"))
        .order(tenants::id)
        .select((tenants::id, tenants::slug));
    let rows: Vec<(Uuid, String)> = tx.load(query).await?;
    Ok(rows.into_iter().map(|(id, slug)| (TenantId(id), slug)).collect())
}

/// Keeps a tenant from being changed by others until the transaction ends.
pub async fn tenant_lock(tx: &mut OwnerTx, id: TenantId) -> Result<(), DbError> {
    let rows: Vec<Uuid> = tx.load(tenants::table.find(id.0).select(tenants::id).for_update()).await?;
    if rows.is_empty() { Err(DbError::Other("the tenant is gone".to_owned())) } else { Ok(()) }
}

/// Notes the version that a tenant's schema has now.
pub async fn tenant_update_version(
    tx: &mut OwnerTx,
    id: TenantId,
    version: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    // An older binary that runs beside a newer one does not take the note back.
    let update = diesel::update(tenants::table.find(id.0))
        .filter(tenants::schema_version.lt(version.to_owned()))
        .set((tenants::schema_version.eq(version.to_owned()), tenants::updated_at.eq(now)));
    tx.execute(kept(update)).await.map(drop)
}
