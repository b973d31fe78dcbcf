//! SQL of the book of archives.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::model::{Archive, ArchiveStatus, Purpose};
use crate::control::tenants::Tenant;
use crate::db::schema::control::archives;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::{ArchiveId, TenantId};

/// The archive with an id.
pub async fn archive_by_id(control: &ControlDb, id: ArchiveId) -> Result<Option<Archive>, DbError> {
    Ok(control.load(archives::table.filter(archives::id.eq(id.0)).select(Archive::as_select())).await?.pop())
}

/// The archive of a tenant and purpose that is asked for or under way.
pub async fn archive_unfinished(
    tx: &mut ControlTx,
    tenant: TenantId,
    purpose: Purpose,
) -> Result<Option<ArchiveId>, DbError> {
    let query = archives::table
        .filter(archives::tenant_id.eq(tenant.0))
        .filter(archives::purpose.eq(purpose.as_str()))
        .filter(archives::status.eq_any([ArchiveStatus::Pending.as_str(), ArchiveStatus::Running.as_str()]))
        .select(archives::id);
    Ok(tx.load::<_, uuid::Uuid, _>(query).await?.pop().map(ArchiveId))
}

/// Enters an archive that is asked for; false where one of its tenant and purpose is asked for already.
pub async fn archive_insert(
    tx: &mut ControlTx,
    (id, now): (ArchiveId, DateTime<Utc>),
    tenant: &Tenant,
    purpose: Purpose,
    requested_by: &str,
) -> Result<bool, DbError> {
    let insert = diesel::insert_into(archives::table).values((
        archives::id.eq(id.0),
        archives::tenant_id.eq(tenant.id.0),
        archives::slug.eq(tenant.slug.clone()),
        archives::purpose.eq(purpose.as_str()),
        archives::status.eq(ArchiveStatus::Pending.as_str()),
        archives::requested_by.eq(requested_by.to_owned()),
        archives::created_at.eq(now),
    ));
    Ok(tx.execute(insert.on_conflict_do_nothing()).await? == 1)
}
