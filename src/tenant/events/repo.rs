//! SQL of events.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::db::schema::tenant::events;
use crate::db::{DbError, TenantTx};

/// Removes events that happened before a time, and answers whether others are left.
pub async fn events_sweep(tx: &mut TenantTx, kept_from: DateTime<Utc>) -> Result<bool, DbError> {
    // Positions follow the time, so what is old is a range of the primary key.
    let first_kept = events::table.filter(events::at.ge(kept_from)).order(events::position).limit(1);
    let first_kept: Option<i64> = tx.first(first_kept.select(events::position)).await?;
    let old = events::table.filter(events::position.lt(first_kept.unwrap_or(i64::MAX)));
    tx.execute(diesel::delete(old)).await?;
    Ok(first_kept.is_some())
}
