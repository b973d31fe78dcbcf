//! SQL of events.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};

use crate::db::schema::tenant::events;
use crate::db::statement::statement;
use crate::db::{DbError, TenantTx};

statement!(
    /// Removes old events, ten thousand at most.
    EventsDelete {
        /// Those before this position.
        before: i64 => BigInt,
        /// Those that happened before this time.
        kept_from: DateTime<Utc> => Timestamptz,
    } -> BigInt =
    "DELETE FROM events WHERE position IN (
         SELECT position FROM events WHERE position < {} AND at < {} ORDER BY position LIMIT 10000) RETURNING position"
);

/// Removes events that happened before a time, and answers whether others are left.
pub async fn events_sweep(tx: &mut TenantTx, kept_from: DateTime<Utc>) -> Result<bool, DbError> {
    // Positions follow the time, so what is old is a range of the primary key.
    let first_kept = events::table.filter(events::at.ge(kept_from)).order(events::position).limit(1);
    let first_kept: Option<i64> = tx.first(first_kept.select(events::position)).await?;
    // The time is asked for once more: an event may have been added since.
    tx.load::<_, i64, _>(EventsDelete { before: first_kept.unwrap_or(i64::MAX), kept_from }).await?;
    Ok(first_kept.is_some())
}
