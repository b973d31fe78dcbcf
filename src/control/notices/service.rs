//! Writing notices, and having operators told.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::model::Notice;
use super::repo;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;

/// The most notices that one digest tells of.
const DIGEST_MAX: i64 = 1_000;

/// How long notices are kept that somebody was told of.
const KEPT_FOR: Duration = Duration::from_secs(90 * 24 * 3600);

/// Notices that are deleted in one go.
const PRUNE_BATCH: i64 = 1_000;

/// Has operators told of an event, if and when the caller's transaction commits. `kind` is a noun and a participle, as
/// `tenant.provisioned`; `details` is an object of ids, names of shops and numbers.
///
/// # Errors
/// The database failed.
pub async fn notice_insert(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    kind: &'static str,
    details: Value,
) -> Result<(), DbError> {
    repo::notice_insert(tx, clock.new_id(), kind, details, clock.now()).await
}

/// The next notices to tell of: none where everybody was told everything.
///
/// # Errors
/// The database failed.
pub async fn untold(control: &ControlDb) -> Result<Vec<Notice>, DbError> {
    repo::untold_list(control, DIGEST_MAX).await
}

/// Notes that operators were told of these.
///
/// # Errors
/// The database failed.
pub async fn told(control: &ControlDb, clock: &dyn Clock, notices: &[Notice]) -> Result<(), DbError> {
    let ids: Vec<Uuid> = notices.iter().map(|notice| notice.id).collect();
    control.write(async |tx: &mut ControlTx| repo::notices_mark(tx, ids, clock.now()).await.map(drop)).await
}

/// Deletes some of the notices that operators were told of long ago.
///
/// # Errors
/// The database failed.
pub async fn prune(control: &ControlDb, clock: &dyn Clock) -> Result<usize, DbError> {
    let before = clock.now() - KEPT_FOR;
    control.write(async |tx: &mut ControlTx| repo::notices_prune(tx, before, PRUNE_BATCH).await).await
}
