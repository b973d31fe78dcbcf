//! Decisions about reports.

use super::model::{SalesBy, SalesRange, SalesRow};
use super::repo;
use crate::db::TenantRead;
use crate::kernel::actor::{Actor, Permission};
use crate::tenant::orders::error::OrderError;

/// What was sold in a range of days.
///
/// # Errors
/// The actor may not see orders, or the database failed.
pub async fn sales_report(
    read: &TenantRead,
    actor: &Actor,
    range: SalesRange,
    by: SalesBy,
    rows_max: i32,
) -> Result<Vec<SalesRow>, OrderError> {
    actor.require(Permission::OrdersRead)?;
    Ok(repo::sales_report(read, range, by, rows_max).await?)
}
