//! Decisions about archives.

use serde_json::json;

use super::model::{Archive, Purpose};
use super::repo;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::ControlError;
use crate::control::jobs::{NewJob, job_enqueue};
use crate::control::tenants::Tenant;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::ArchiveId;

/// The kind of the job that makes an archive: the platform's own, because jobs of closed tenants wait.
pub const EXPORT: &str = "archive.export";

/// Asks for an archive of a tenant, in the caller's transaction: it is made by a job. Where one of that purpose is asked
/// for already and not yet made, it is that one. The caller rings the bell after the COMMIT.
///
/// # Errors
/// The database failed.
pub async fn archive_request(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    tenant: &Tenant,
    purpose: Purpose,
) -> Result<ArchiveId, ControlError> {
    let id = ArchiveId(clock.new_id());
    if !repo::archive_insert(tx, (id, clock.now()), tenant, purpose, &operator.name).await? {
        let unfinished = repo::archive_unfinished(tx, tenant.id, purpose).await?;
        return Ok(unfinished.ok_or_else(|| DbError::Conflict("an archive was finished meanwhile".to_owned()))?);
    }
    let job = NewJob {
        id: clock.new_id(),
        tenant: None,
        kind: EXPORT,
        payload: json!({ "archive": id.0 }),
        unique_key: Some(id.to_string()),
        at: None,
    };
    job_enqueue(tx, job).await?;
    let details = json!({ "archive": id.to_string(), "purpose": purpose.as_str() });
    record(tx, clock, operator, ("tenant.export", &tenant.slug), details).await?;
    Ok(id)
}

/// The archive with an id.
///
/// # Errors
/// The database failed.
pub async fn archive_by_id(control: &ControlDb, id: ArchiveId) -> Result<Option<Archive>, DbError> {
    repo::archive_by_id(control, id).await
}
