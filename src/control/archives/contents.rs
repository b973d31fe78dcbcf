//! What an archive has of a shop's tables: rows as JSON, whatever the tables' columns are at the time.

pub mod row;

use crate::db::contents::{Columns, column_list};
use crate::db::{DbError, TenantRead};
use crate::tenant::tables::Table;

/// The table whose row tells whose shop it is, and the column that does: an archive leaves it out, and a restored shop has its
/// own.
pub(super) const HEAD: (&str, &str) = ("tenant_head", "tenant_id");

/// The columns of a table that an archive has; nothing where the schema has no such table.
///
/// # Errors
/// The database failed.
pub(super) async fn archived_columns(read: &TenantRead, table: &Table) -> Result<Option<Columns>, DbError> {
    column_list(read, table.name, (table.name == HEAD.0).then_some(HEAD.1)).await
}
