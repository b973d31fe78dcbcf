//! SQL of events.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};

use super::model::{EventFilter, StoredEvent};
use crate::db::schema::tenant::events;
use crate::db::statement::statement;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::page::{Direction, PageRequest};

/// One page's rows, in the order of commits, read in the page's direction.
pub async fn event_list(
    read: &TenantRead,
    filter: EventFilter,
    page: &PageRequest<i64>,
) -> Result<Vec<StoredEvent>, DbError> {
    let mut query = events::table.select(StoredEvent::as_select()).limit(page.rows()).into_boxed();
    if let Some(kinds) = filter.kinds {
        query = query.filter(events::kind.eq_any(kinds));
    }
    if let Some(entity) = filter.entity {
        query = query.filter(events::entity.eq(entity));
    }
    if let Some(after) = filter.after {
        query = query.filter(events::position.gt(after));
    }
    let query = match (page.direction, page.from) {
        (Direction::Forward, None) => query.order(events::position.asc()),
        (Direction::Forward, Some(from)) => query.filter(events::position.gt(from)).order(events::position.asc()),
        (Direction::Backward, None) => query.order(events::position.desc()),
        (Direction::Backward, Some(from)) => query.filter(events::position.lt(from)).order(events::position.desc()),
    };
    read.load(query).await
}

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
