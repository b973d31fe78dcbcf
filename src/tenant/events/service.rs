//! Keeping events for as long as somebody may ask for them.

use chrono::{DateTime, Utc};

use super::repo;
use crate::db::{DbError, TenantTx};

/// Removes events that happened before a time, and answers whether others are left.
///
/// # Errors
/// The database failed.
pub async fn sweep(tx: &mut TenantTx, kept_from: DateTime<Utc>) -> Result<bool, DbError> {
    repo::events_sweep(tx, kept_from).await
}
