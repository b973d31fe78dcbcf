//! Writing and reading the trail.

use serde_json::Value;
use uuid::Uuid;

use super::model::{AuditEntry, Operator};
use super::repo;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::page::{Page, PageRequest};

/// Notes an act in the transaction that does it: there is neither without the other.
///
/// # Errors
/// The database failed.
pub async fn record(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    act: (&'static str, &str),
    details: Value,
) -> Result<(), DbError> {
    repo::entry_insert(tx, (clock.new_id(), clock.now()), operator, act, details).await
}

/// One page of the trail, the newest first; of one target, or of all.
///
/// # Errors
/// The database failed.
pub async fn entry_list(
    control: &ControlDb,
    target: Option<&str>,
    page: PageRequest<Uuid>,
) -> Result<Page<AuditEntry>, DbError> {
    Ok(page.cut(repo::entry_list(control, target, &page).await?))
}
