//! What migrations leave to be filled in. The batches run as the shop; that they are done is the control plane's to know,
//! because other migrations wait for it.

mod repo;

use crate::db::{ControlDb, DbError};
use crate::kernel::ids::TenantId;

/// How many backfills are not done.
///
/// # Errors
/// The database failed.
pub async fn open_count(control: &ControlDb) -> Result<i64, DbError> {
    repo::open_count(control).await
}

/// Whether a shop's backfill of a version is to be done.
///
/// # Errors
/// The database failed.
pub async fn is_open(control: &ControlDb, tenant: TenantId, version: &str) -> Result<bool, DbError> {
    repo::is_open(control, tenant, version).await
}

/// Notes that so many rows were touched, and whether that was all.
///
/// # Errors
/// The database failed.
pub async fn note(
    control: &ControlDb,
    tenant: TenantId,
    version: &str,
    rows: usize,
    is_done: bool,
) -> Result<(), DbError> {
    repo::note(control, tenant, version, i64::try_from(rows).unwrap_or(i64::MAX), is_done).await
}
