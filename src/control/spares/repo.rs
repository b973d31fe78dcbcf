//! SQL of the stock: all of it under the owner's login.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use crate::db::schema::control::spare_schemas;
use crate::db::statement::statement;
use crate::db::{DbError, OwnerTx};
use crate::kernel::ids::TenantId;

/// The lock of whoever fills the stock up: of two at once one goes home.
const REFILL_LOCK: i64 = 0x5350_4152_4553; // "SPARES"

statement!(
    /// Takes the oldest spare of a version that nobody else is about to take, and counts how many there were.
    Take { version: String => Text } -> (Nullable<SqlUuid>, BigInt) = "
WITH taken AS (
    DELETE FROM control.spare_schemas
    WHERE spare_schemas.id = (
        SELECT spare.id FROM control.spare_schemas AS spare
        WHERE spare.schema_version = {} ORDER BY spare.id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING spare_schemas.id
)
SELECT (SELECT taken.id FROM taken),
    (SELECT count(*) FROM control.spare_schemas WHERE spare_schemas.schema_version = $1)"
);

statement!(
    /// Whether nobody else fills the stock up until the transaction ends; how many spares of a version there are, and how many
    /// in all.
    Count { lock: i64 => BigInt, version: String => Text } -> (Bool, BigInt, BigInt) = "
SELECT pg_catalog.pg_try_advisory_xact_lock({}),
    count(*) FILTER (WHERE spare_schemas.schema_version = {}), count(*)
FROM control.spare_schemas"
);

/// Takes a spare of a version, and answers how many of it there were before.
pub async fn spare_take(tx: &mut OwnerTx, version: &str) -> Result<(Option<TenantId>, i64), DbError> {
    let taken: Vec<(Option<Uuid>, i64)> = tx.load(Take { version: version.to_owned() }).await?;
    let (id, count) = taken.into_iter().next().unwrap_or_default();
    Ok((id.map(TenantId), count))
}

/// How many spares of a version there are, and how many in all; nothing where somebody else fills the stock up.
pub async fn stock(tx: &mut OwnerTx, version: &str) -> Result<Option<(i64, i64)>, DbError> {
    let counted = tx.load(Count { lock: REFILL_LOCK, version: version.to_owned() }).await?;
    let counted: Option<(bool, i64, i64)> = counted.into_iter().next();
    Ok(counted.and_then(|(is_alone, fresh, all)| is_alone.then_some((fresh, all))))
}

/// Puts spares on the list.
pub async fn spares_insert(
    tx: &mut OwnerTx,
    ids: &[TenantId],
    version: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let rows: Vec<_> = ids
        .iter()
        .map(|id| {
            (
                spare_schemas::id.eq(id.0),
                spare_schemas::schema_version.eq(version.to_owned()),
                spare_schemas::created_at.eq(now),
            )
        })
        .collect();
    tx.execute(diesel::insert_into(spare_schemas::table).values(rows)).await.map(drop)
}

/// How many spares of a version there are.
pub async fn spare_count(tx: &mut OwnerTx, version: &str) -> Result<i64, DbError> {
    let query = spare_schemas::table.filter(spare_schemas::schema_version.eq(version.to_owned())).count();
    Ok(tx.load(query).await?.pop().unwrap_or(0))
}
