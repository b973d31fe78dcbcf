//! SQL of backfills.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Uuid as SqlUuid};
use uuid::Uuid;

use crate::db::schema::control::backfills;
use crate::db::statement::statement;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::TenantId;

/// How many are not done.
pub async fn open_count(control: &ControlDb) -> Result<i64, DbError> {
    let query = backfills::table.filter(backfills::finished_at.is_null()).count();
    Ok(control.load(query).await?.pop().unwrap_or(0))
}

/// Whether one is to be done.
pub async fn is_open(control: &ControlDb, tenant: TenantId, version: &str) -> Result<bool, DbError> {
    let query = backfills::table
        .find((tenant.0, version.to_owned()))
        .filter(backfills::finished_at.is_null())
        .select(backfills::version);
    Ok(!control.load::<_, String, _>(query).await?.is_empty())
}

statement!(
    /// Notes what was done.
    Note {
        rows: i64 => BigInt,
        is_done: bool => Bool,
        tenant: Uuid => SqlUuid,
        version: String => Text,
    } -> () = "UPDATE control.backfills SET row_count = row_count + {}, finished_at = CASE WHEN {} THEN now() END
        WHERE tenant_id = {} AND version = {} AND finished_at IS NULL"
);

/// Notes that so many rows were touched, and whether that was all.
pub async fn note(
    control: &ControlDb,
    tenant: TenantId,
    version: &str,
    rows: i64,
    is_done: bool,
) -> Result<(), DbError> {
    let note = Note { rows, is_done, tenant: tenant.0, version: version.to_owned() };
    control.write(async |tx: &mut ControlTx| tx.execute(note).await.map(drop)).await
}
