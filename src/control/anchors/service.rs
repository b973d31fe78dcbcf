//! Keeping anchors, and reading them for a verification.

use std::sync::Arc;

use super::repo;
use crate::db::{ControlDb, ControlTx, DbError, TenantDb, TenantTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::TenantCtx;
use crate::tenant::audit::head::{Head, entry_hash, head_anchor};

/// Anchors that are read at once: no fewer than a verification reads entries, so that none of a page's is missing.
const PAGE_ANCHORS: i64 = 1_000;

/// What became of a try to anchor a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchoring {
    /// The trail has grown, and its end is kept now.
    Kept,
    /// The trail ends where it did.
    Still,
    /// The trail ends before its newest anchor, or otherwise than there: it was tampered with, or restored.
    Broken,
}

/// Keeps where a tenant's trail ends, if it has grown since the newest anchor.
///
/// # Errors
/// The database failed.
pub async fn anchor(
    control: &ControlDb,
    tenants: &TenantDb,
    clock: &dyn Clock,
    tenant: Arc<TenantCtx>,
) -> Result<Anchoring, DbError> {
    let (id, slug) = (tenant.id, tenant.slug.clone());
    // Asked before the end is: whatever another server keeps meanwhile is not ahead of what is read then.
    let newest = repo::anchor_newest(control, id).await?.unwrap_or(Head { sequence: 0, hash: Vec::new() });
    let at_newest = async |tx: &mut TenantTx| {
        let end = head_anchor(tx).await?;
        Ok::<_, DbError>((end, entry_hash(tx, newest.sequence).await?))
    };
    let (end, hash_at_newest) = tenants.session(tenant).write(at_newest).await?;
    if end == newest {
        return Ok(Anchoring::Still);
    }
    // A tail that was cut off may have grown past the anchor again.
    let is_other = newest.sequence > 0 && hash_at_newest.as_ref() != Some(&newest.hash);
    if end.sequence <= newest.sequence || is_other {
        tracing::error!(
            security.event = "audit_broken", tenant.slug = %slug, audit.sequence = end.sequence,
            anchor.sequence = newest.sequence, "A tenant's trail does not end as it did before"
        );
        return Ok(Anchoring::Broken);
    }
    let now = clock.now();
    control.write(async |tx: &mut ControlTx| repo::anchor_insert(tx, id, end, now).await).await?;
    Ok(Anchoring::Kept)
}

/// The newest anchor of a tenant. A verification asks for it before it looks at the trail, and for none that is younger.
///
/// # Errors
/// The database failed.
pub async fn anchor_newest(control: &ControlDb, tenant: TenantId) -> Result<Option<Head>, DbError> {
    repo::anchor_newest(control, tenant).await
}

/// The next anchors of a tenant after a number, up to another one.
///
/// # Errors
/// The database failed.
pub async fn anchor_list(
    control: &ControlDb,
    tenant: TenantId,
    (after, last): (i64, i64),
) -> Result<Vec<Head>, DbError> {
    repo::anchor_list(control, tenant, (after, last), PAGE_ANCHORS).await
}
