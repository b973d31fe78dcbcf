//! Reads the whole trail and compares it with its hashes, its head and its anchors.

use super::Report;
use super::walk::Walk;
use crate::db::{DbError, TenantRead};
use crate::tenant::audit::head::{Head, head};
use crate::tenant::audit::repo;

/// Entries that are read at once.
const PAGE_ENTRIES: i64 = 500;

/// Verifies the trail, as the transaction sees it.
///
/// `anchors` answers the next ones after a number, in their order: of the next [`PAGE_ENTRIES`] numbers all. None may be
/// younger than the transaction, which would see a trail that had not come so far.
///
/// # Errors
/// The database failed. A broken trail is no error.
pub async fn verify(
    read: &TenantRead,
    anchors: impl AsyncFn(i64) -> Result<Vec<Head>, DbError>,
) -> Result<Report, DbError> {
    let head = head(read).await?;
    let mut walk = Walk::new();
    // An entry before the first one would be found as well.
    let mut after = i64::MIN;
    let broken = loop {
        let kept = anchors(walk.last.sequence).await?;
        let entries = repo::stored_list(read, after, PAGE_ENTRIES).await?;
        if let Err(broken) = walk.along(&entries, &kept) {
            break Some(broken);
        }
        after = walk.last.sequence;
        // Each page is behind the one before, so the loop ends with the trail.
        if entries.is_empty() {
            break walk.end(&head, kept.first()).err();
        }
    };
    Ok(Report { entries: walk.last.sequence, anchors: walk.anchors, head, broken })
}
