//! Decisions about jobs: what may be replayed, put away or called off.

use serde_json::json;
use uuid::Uuid;

use super::model::{JobFilter, JobRow, JobStats, TenantDepth, Which};
use super::repo;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode, ControlRefusal};
use crate::control::tenants::service::tenant_by_slug;
use crate::db::{Bell, ControlDb, ControlTx, DbError};
use crate::jobs::JobState;
use crate::kernel::clock::Clock;
use crate::kernel::ids::JobId;
use crate::kernel::page::{Page, PageRequest};

/// The most jobs that one call replays or puts away.
pub const BULK_MAX: usize = 10_000;

/// What the trail calls the platform's own jobs, and those of all tenants: no tenant has this slug.
const PLATFORM: &str = "platform";

/// Who acts on the queue, and by what.
pub struct Desk<'a> {
    /// Where the queue is.
    pub control: &'a ControlDb,
    /// Wakes workers.
    pub bell: &'a Bell,
    /// Time and ids.
    pub clock: &'a dyn Clock,
    /// Who acts.
    pub operator: &'a Operator,
}

/// A job.
///
/// # Errors
/// The database failed.
pub async fn job_by_id(control: &ControlDb, id: JobId) -> Result<Option<JobRow>, DbError> {
    repo::job_by_id(control, id).await
}

/// One page of jobs, the newest first; none where there is no such tenant.
///
/// # Errors
/// The database failed.
pub async fn job_list(
    control: &ControlDb,
    filter: JobFilter,
    page: PageRequest<Uuid>,
) -> Result<Page<JobRow>, DbError> {
    match which(control, filter).await? {
        Some(which) => Ok(page.cut(repo::job_list(control, &which, &page).await?)),
        None => Ok(page.cut(Vec::new())),
    }
}

/// What the queue holds, of one tenant or of all; `None` where there is no such tenant.
///
/// # Errors
/// The database failed.
pub async fn job_stats(control: &ControlDb, tenant: Option<String>) -> Result<Option<JobStats>, DbError> {
    let filter = JobFilter { tenant, ..JobFilter::default() };
    let Some(which) = which(control, filter).await? else { return Ok(None) };
    let counts = repo::job_counts(control, &which).await?;
    let due = counts.iter().filter(|count| count.state == JobState::Available.as_str());
    let oldest_due_at = due.filter_map(|count| count.oldest).min();
    Ok(Some(JobStats { counts, oldest_due_at }))
}

/// The tenants who have the most unfinished jobs, at most `count_max` of them.
///
/// # Errors
/// The database failed.
pub async fn tenant_depths(control: &ControlDb, count_max: i64) -> Result<Vec<TenantDepth>, DbError> {
    repo::tenant_depths(control, count_max).await
}

impl Desk<'_> {
    /// Makes a dead letter or a cancelled job available once more, with all its attempts.
    ///
    /// # Errors
    /// There is no such job, it has not ended, it was done, or an unfinished job does the same.
    pub async fn job_replay(&self, id: JobId) -> Result<JobRow, ControlError> {
        let replay = async |tx: &mut ControlTx, job: &JobRow| {
            if !matches!(job.state(), JobState::Discarded | JobState::Cancelled) {
                return Err(conflict(format!("The job is {}; it is not replayed.", job.state)));
            }
            repo::job_replay(tx, id).await.map_err(|error| match error {
                DbError::Unique(_) => conflict("An unfinished job does the same.".to_owned()),
                error => error.into(),
            })
        };
        let job = self.act("job.replay", id, replay).await?;
        self.bell.ring();
        Ok(job)
    }

    /// Puts a dead letter away.
    ///
    /// # Errors
    /// There is no such job, or it is no dead letter.
    pub async fn job_discard(&self, id: JobId) -> Result<JobRow, ControlError> {
        let discard = async |tx: &mut ControlTx, job: &JobRow| {
            if job.state() != JobState::Discarded {
                return Err(conflict(format!("The job is {}; it is no dead letter.", job.state)));
            }
            Ok(repo::job_cancel(tx, id).await?)
        };
        self.act("job.discard", id, discard).await
    }

    /// Calls a job off: one that waits at once, and one that runs as soon as its worker hears of it.
    ///
    /// # Errors
    /// There is no such job, or it has ended.
    pub async fn job_cancel(&self, id: JobId) -> Result<JobRow, ControlError> {
        let cancel = async |tx: &mut ControlTx, job: &JobRow| {
            if matches!(job.state(), JobState::Completed | JobState::Cancelled | JobState::Discarded) {
                return Err(conflict(format!("The job is {}; it has ended.", job.state)));
            }
            Ok(repo::job_cancel(tx, id).await?)
        };
        let job = self.act("job.cancel", id, cancel).await?;
        self.bell.call_off();
        Ok(job)
    }

    /// Makes dead letters available once more, up to [`BULK_MAX`] of them, and answers how many.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn jobs_replay(&self, filter: JobFilter) -> Result<usize, ControlError> {
        let (target, which) = self.dead(filter).await?;
        let work = async |tx: &mut ControlTx| {
            let replayed = repo::dead_replay(tx, &which, BULK_MAX as i64).await.map_err(|error| match error {
                DbError::Unique(_) => {
                    conflict("A job that does the same was enqueued meanwhile; try again.".to_owned())
                }
                error => error.into(),
            })?;
            let details = json!({ "kind": which.kind, "count": replayed });
            record(tx, self.clock, self.operator, ("jobs.replay", &target), details).await?;
            Ok::<_, ControlError>(replayed)
        };
        let replayed = self.control.write(work).await?;
        self.bell.ring();
        Ok(replayed)
    }

    /// Puts dead letters away, up to [`BULK_MAX`] of them, and answers how many.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn jobs_discard(&self, filter: JobFilter) -> Result<usize, ControlError> {
        let (target, which) = self.dead(filter).await?;
        let work = async |tx: &mut ControlTx| {
            let discarded = repo::dead_discard(tx, &which, BULK_MAX as i64).await?;
            let details = json!({ "kind": which.kind, "count": discarded });
            record(tx, self.clock, self.operator, ("jobs.discard", &target), details).await?;
            Ok::<_, ControlError>(discarded)
        };
        self.control.write(work).await
    }

    /// Does something to one job, which is locked meanwhile, notes it in the trail, and answers the job as it is then.
    async fn act(
        &self,
        action: &'static str,
        id: JobId,
        change: impl AsyncFnOnce(&mut ControlTx, &JobRow) -> Result<(), ControlError>,
    ) -> Result<JobRow, ControlError> {
        let not_found =
            || ControlRefusal::new(ControlErrorCode::JobNotFound, format!("There is no job `{id}`."), &["id"]);
        let work = async |tx: &mut ControlTx| {
            if !repo::job_lock(tx, id).await? {
                return Err(not_found().into());
            }
            let job = repo::job_read(tx, id).await?.ok_or_else(not_found)?;
            change(tx, &job).await?;
            let target = job.tenant.as_deref().unwrap_or(PLATFORM);
            let details = json!({ "job": id.to_string(), "kind": job.kind, "state": job.state });
            record(tx, self.clock, self.operator, (action, target), details).await?;
            Ok(repo::job_read(tx, id).await?.ok_or_else(not_found)?)
        };
        self.control.write(work).await
    }

    /// Which dead letters a filter means, and what the trail calls their tenant.
    async fn dead(&self, filter: JobFilter) -> Result<(String, Which), ControlError> {
        let target = filter.tenant.clone().unwrap_or_else(|| PLATFORM.to_owned());
        let which = which(self.control, filter).await?.ok_or_else(|| {
            let message = format!("There is no tenant `{target}`.");
            ControlRefusal::new(ControlErrorCode::TenantNotFound, message, &["filter", "tenant"])
        })?;
        Ok((target, which))
    }
}

/// A filter by ids; `None` where there is no such tenant.
async fn which(control: &ControlDb, filter: JobFilter) -> Result<Option<Which>, DbError> {
    let tenant = match &filter.tenant {
        Some(slug) => match tenant_by_slug(control, slug).await? {
            Some(tenant) => Some(tenant.id),
            None => return Ok(None),
        },
        None => None,
    };
    // PostgreSQL takes no NUL, and no kind has one.
    let kind = filter.kind.map(|kind| kind.replace('\0', ""));
    Ok(Some(Which { tenant, kind, state: filter.state }))
}

fn conflict(message: String) -> ControlError {
    ControlError::refused(ControlErrorCode::JobStateConflict, message, &["id"])
}
