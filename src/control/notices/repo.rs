//! SQL of notices.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use super::model::Notice;
use crate::db::schema::control::notices;
use crate::db::statement::{kept, statement};
use crate::db::{ControlDb, ControlTx, DbError};

/// Adds a notice.
pub async fn notice_insert(
    tx: &mut ControlTx,
    id: Uuid,
    kind: &'static str,
    details: Value,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(notices::table).values((
        notices::id.eq(id),
        notices::kind.eq(kind),
        notices::details.eq(details),
        notices::at.eq(now),
    ));
    tx.execute(insert).await.map(drop)
}

/// The first notices that nobody was told of.
pub async fn untold_list(control: &ControlDb, limit: i64) -> Result<Vec<Notice>, DbError> {
    let query = notices::table.filter(notices::notified_at.is_null()).order(notices::id).limit(limit);
    control.load(query.select(Notice::as_select())).await
}

/// Notes that somebody was told of these.
pub async fn notices_mark(tx: &mut ControlTx, ids: Vec<Uuid>, now: DateTime<Utc>) -> Result<usize, DbError> {
    let update = diesel::update(notices::table.filter(notices::id.eq_any(ids)).filter(notices::notified_at.is_null()))
        .set(notices::notified_at.eq(now));
    tx.execute(kept(update)).await
}

statement!(
    /// Deletes some notices that somebody was told of long ago.
    Prune { before: DateTime<Utc> => Timestamptz, batch: i64 => BigInt } -> SqlUuid = "
DELETE FROM control.notices
WHERE notices.id = ANY (ARRAY(
    SELECT notices.id FROM control.notices WHERE notices.notified_at < {}
    ORDER BY notices.notified_at LIMIT {} FOR UPDATE SKIP LOCKED
))
RETURNING notices.id"
);

/// Deletes some notices that somebody was told of before a time, and answers how many.
pub async fn notices_prune(tx: &mut ControlTx, before: DateTime<Utc>, batch: i64) -> Result<usize, DbError> {
    let deleted: Vec<Uuid> = tx.load(Prune { before, batch }).await?;
    Ok(deleted.len())
}
