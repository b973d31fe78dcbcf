//! Jobs that the control plane asks for, in its own transactions.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::control::jobs;
use crate::db::{ControlTx, DbError};
use crate::kernel::ids::TenantId;
use crate::telemetry::frames;

/// A job that is to be enqueued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The job.
    pub id: Uuid,
    /// Whose it is; `None` for the platform's own. A tenant's job waits while the tenant is closed.
    pub tenant: Option<TenantId>,
    /// What is to be done.
    pub kind: &'static str,
    /// With what: ids, and nothing personal.
    pub payload: Value,
    /// Jobs of one kind, tenant and key exist once while they are unfinished.
    pub unique_key: Option<String>,
    /// When; `None` for now.
    pub at: Option<DateTime<Utc>>,
}

/// Enqueues a job in the caller's transaction: it exists if and when that commits.
///
/// Answers false where an unfinished job has its key. The caller rings the bell after the COMMIT, or a worker finds the job
/// within a second.
///
/// # Errors
/// The database failed.
pub async fn job_enqueue(tx: &mut ControlTx, job: NewJob) -> Result<bool, DbError> {
    let state = if job.at.is_some() { "scheduled" } else { "available" };
    let insert = diesel::insert_into(jobs::table).values((
        jobs::id.eq(job.id),
        jobs::tenant_id.eq(job.tenant.map(|tenant| tenant.0)),
        jobs::kind.eq(job.kind),
        jobs::payload.eq(job.payload),
        jobs::unique_key.eq(job.unique_key),
        jobs::state.eq(state),
        // NULL where the database's own time is meant: the column's default is `now()`.
        job.at.map(|at| jobs::scheduled_at.eq(at)),
        frames::meta().map(|meta| jobs::meta.eq(meta)),
    ));
    Ok(tx.execute(insert.on_conflict_do_nothing()).await? == 1)
}
