//! The queue at the edge.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::{JobFilter, JobRow, JobStats};
use super::service::{self, Desk};
use crate::control::error::ControlErrorCode;
use crate::control::graphql::ControlUserError;
use crate::graphql::access::{access, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::payload::payload;
use crate::graphql::scalars::parse_id;
use crate::graphql::{AdminRequest, ApiResult};
use crate::jobs::JobState;
use crate::kernel::actor::Actor;

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "JobState")]
pub enum JobStateValue {
    /// The job may be claimed by a worker.
    Available,
    /// The job was called off, or is a dead letter that was put away.
    Cancelled,
    /// The job is done.
    Completed,
    /// A dead letter: given up after its last attempt.
    Discarded,
    /// The job failed, and waits to be tried again.
    Retryable,
    /// The job is claimed by a worker.
    Running,
    /// The job waits for its time.
    Scheduled,
}

impl From<JobState> for JobStateValue {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Available => Self::Available,
            JobState::Scheduled => Self::Scheduled,
            JobState::Running => Self::Running,
            JobState::Retryable => Self::Retryable,
            JobState::Completed => Self::Completed,
            JobState::Cancelled => Self::Cancelled,
            JobState::Discarded => Self::Discarded,
        }
    }
}

impl From<JobStateValue> for JobState {
    fn from(state: JobStateValue) -> Self {
        match state {
            JobStateValue::Available => Self::Available,
            JobStateValue::Scheduled => Self::Scheduled,
            JobStateValue::Running => Self::Running,
            JobStateValue::Retryable => Self::Retryable,
            JobStateValue::Completed => Self::Completed,
            JobStateValue::Cancelled => Self::Cancelled,
            JobStateValue::Discarded => Self::Discarded,
        }
    }
}

/// A job: work that is done in the background. Its payload is not shown, for it may hold personal data.
pub struct JobNode(JobRow);

impl From<JobRow> for JobNode {
    fn from(job: JobRow) -> Self {
        Self(job)
    }
}

/// An error of an attempt.
#[derive(SimpleObject)]
pub struct JobError {
    /// The time when the attempt failed.
    at: DateTime<Utc>,
    /// The number of the attempt.
    attempt: i32,
    /// The error in words.
    message: String,
}

/// A job: work that is done in the background. Its payload is not shown, for it may hold personal data.
#[Object(name = "Job")]
impl JobNode {
    /// The job's id; ids are made in the order of time.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The slug of the tenant whose job it is; null for the platform's own.
    async fn tenant_slug(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The kind of work, as `mail.invitation`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The state.
    async fn state(&self) -> JobStateValue {
        self.0.state().into()
    }

    /// The priority, from 1, the most urgent, to 4.
    async fn priority(&self) -> i32 {
        self.0.priority.into()
    }

    /// The number of attempts so far.
    async fn attempt(&self) -> i32 {
        self.0.attempt.into()
    }

    /// The number of failed attempts after which the job is a dead letter.
    async fn attempts_max(&self) -> i32 {
        self.0.attempts_max.into()
    }

    /// The time when the job was enqueued.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when it is or was to be done.
    async fn scheduled_at(&self) -> DateTime<Utc> {
        self.0.scheduled_at
    }

    /// The time when the last attempt began.
    async fn attempted_at(&self) -> Option<DateTime<Utc>> {
        self.0.attempted_at
    }

    /// The worker that made the last attempt.
    async fn attempted_by(&self) -> Option<&str> {
        self.0.attempted_by.as_deref()
    }

    /// The time when the job ended.
    async fn finalized_at(&self) -> Option<DateTime<Utc>> {
        self.0.finalized_at
    }

    /// The errors of failed attempts: the last ten, the oldest first.
    async fn errors(&self) -> Vec<JobError> {
        let errors = self.0.errors.as_array().map(Vec::as_slice).unwrap_or_default();
        let error = |error: &serde_json::Value| {
            Some(JobError {
                at: error["at"].as_str()?.parse().ok()?,
                attempt: i32::try_from(error["attempt"].as_i64()?).ok()?,
                message: error["message"].as_str()?.to_owned(),
            })
        };
        errors.iter().filter_map(error).collect()
    }
}

/// A filter of jobs. Fields that are given all apply.
#[derive(InputObject, Default)]
#[graphql(name = "JobFilter")]
pub struct JobFilterInput {
    /// The slug of the tenant whose jobs they are.
    tenant: Option<String>,
    /// The kind of the jobs.
    kind: Option<String>,
    /// The state of the jobs.
    state: Option<JobStateValue>,
}

/// A filter of dead letters. Fields that are given all apply; all dead letters if none is.
#[derive(InputObject, Default)]
#[graphql(name = "DeadJobFilter")]
pub struct DeadJobFilterInput {
    /// The slug of the tenant whose jobs they are.
    tenant: Option<String>,
    /// The kind of the jobs.
    kind: Option<String>,
}

impl From<JobFilterInput> for JobFilter {
    fn from(input: JobFilterInput) -> Self {
        Self { tenant: input.tenant, kind: input.kind, state: input.state.map(JobState::from) }
    }
}

impl From<DeadJobFilterInput> for JobFilter {
    fn from(input: DeadJobFilterInput) -> Self {
        Self { tenant: input.tenant, kind: input.kind, state: Some(JobState::Discarded) }
    }
}

/// The number of jobs of a kind in a state.
#[derive(SimpleObject)]
pub struct JobCount {
    /// The kind.
    kind: String,
    /// The state.
    state: JobStateValue,
    /// The number of jobs.
    count: i64,
}

/// The numbers of jobs in the queue.
pub struct JobStatsNode(JobStats);

/// The numbers of jobs in the queue.
#[Object(name = "JobStats")]
impl JobStatsNode {
    /// The numbers of jobs of each kind in each state; those that have ended count until they are deleted.
    async fn counts(&self) -> Vec<JobCount> {
        let counts = self.0.counts.iter().filter_map(|count| {
            let state: JobState = count.state.parse().ok()?;
            Some(JobCount { kind: count.kind.clone(), state: state.into(), count: count.count })
        });
        counts.collect()
    }

    /// The time since which the oldest job that may be claimed waits; null if none does.
    async fn oldest_due_at(&self) -> Option<DateTime<Utc>> {
        self.0.oldest_due_at
    }

    /// The seconds for which the oldest job that may be claimed has waited; null if none does.
    async fn oldest_due_seconds(&self, ctx: &Context<'_>) -> ApiResult<Option<i64>> {
        let now = AdminRequest::public(ctx)?.clock().now();
        Ok(self.0.oldest_due_at.map(|at| (now - at).num_seconds().max(0)))
    }
}

/// A place in a list of jobs, which is ordered by time.
pub struct JobCursor(Uuid);

impl CursorType for JobCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, id] = decode_parts(text).ok_or("malformed")?;
        let id = id.parse().map_err(|_| "malformed")?;
        if kind == "JOB" { Ok(Self(id)) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["JOB", &self.0.to_string()])
    }
}

type Jobs = Connection<JobCursor, JobNode>;

async fn list(ctx: &Context<'_>, filter: JobFilter, page: PageArgs) -> ApiResult<Jobs> {
    let (request, _) = AdminRequest::of(ctx)?;
    let page = page.parse::<JobCursor>()?.map(|cursor| cursor.0);
    let page = service::job_list(&request.control, filter, page).await?;
    Ok(connection(page, EmptyFields, |job| (JobCursor(job.id.0), JobNode(job))))
}

/// Queries about jobs.
#[derive(Default)]
pub struct JobQuery;

#[Object]
impl JobQuery {
    /// A job by id; null where there is none, or none any more.
    #[graphql(directive = access::apply(signed_in()))]
    async fn job(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<JobNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::job_by_id(&request.control, parse_id(&id)?).await?.map(JobNode))
    }

    /// Lists jobs, the newest first.
    #[graphql(directive = access::apply(signed_in()))]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The jobs to list; all if it is absent.")] filter: Option<JobFilterInput>,
    ) -> ApiResult<Jobs> {
        list(ctx, filter.unwrap_or_default().into(), PageArgs::new(after, before, first, last)).await
    }

    /// Lists dead letters, the newest first: jobs that were given up after their last attempt.
    #[graphql(directive = access::apply(signed_in()))]
    async fn dead_jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The dead letters to list; all if it is absent.")] filter: Option<DeadJobFilterInput>,
    ) -> ApiResult<Jobs> {
        list(ctx, filter.unwrap_or_default().into(), PageArgs::new(after, before, first, last)).await
    }

    /// Counts the jobs in the queue when it is asked. Null if there is no such tenant.
    #[graphql(directive = access::apply(signed_in()))]
    async fn job_stats(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The slug of the tenant whose jobs are counted.")] tenant: Option<String>,
    ) -> ApiResult<Option<JobStatsNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::job_stats(&request.control, tenant).await?.map(JobStatsNode))
    }
}

/// The number of jobs that were changed.
#[derive(SimpleObject)]
pub struct JobsChanged {
    /// The number of jobs; if it is 10,000 there may be more.
    count: i32,
}

impl From<usize> for JobsChanged {
    fn from(count: usize) -> Self {
        Self { count: i32::try_from(count).unwrap_or(i32::MAX) }
    }
}

payload!(
    /// The answer to `jobReplay`.
    JobReplayPayload {
        /// The job as it is now.
        job: JobNode(JobRow)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `jobDiscard`.
    JobDiscardPayload {
        /// The job as it is now.
        job: JobNode(JobRow)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `jobCancel`.
    JobCancelPayload {
        /// The job as it is now.
        job: JobNode(JobRow)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `jobsReplay`.
    JobsReplayPayload {
        /// The number of jobs that were replayed.
        jobs: JobsChanged(usize)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `jobsDiscard`.
    JobsDiscardPayload {
        /// The number of dead letters that were put away.
        jobs: JobsChanged(usize)
    },
    ControlUserError(ControlErrorCode)
);

/// Whoever acts on the queue by a request.
fn desk<'a>(ctx: &Context<'a>) -> ApiResult<Desk<'a>> {
    let (request, operator) = AdminRequest::of(ctx)?;
    Ok(Desk { control: &request.control, bell: &request.services.bell, clock: request.clock(), operator })
}

/// Mutations of jobs.
#[derive(Default)]
pub struct JobMutation;

#[Object]
impl JobMutation {
    /// Makes a dead letter or a cancelled job available once more, with all its attempts.
    #[graphql(directive = access::apply(signed_in()))]
    async fn job_replay(&self, ctx: &Context<'_>, id: ID) -> ApiResult<JobReplayPayload> {
        let desk = desk(ctx)?;
        JobReplayPayload::new(desk.job_replay(parse_id(&id)?).await, &Actor::System)
    }

    /// Makes dead letters available once more, up to 10,000 of them. Of those that do the same one is taken, and none
    /// where an unfinished job does the same.
    #[graphql(directive = access::apply(signed_in()))]
    async fn jobs_replay(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dead letters; `{}` means all.")] filter: DeadJobFilterInput,
    ) -> ApiResult<JobsReplayPayload> {
        JobsReplayPayload::new(desk(ctx)?.jobs_replay(filter.into()).await, &Actor::System)
    }

    /// Puts a dead letter away: it becomes a cancelled job, and is deleted as those are.
    #[graphql(directive = access::apply(signed_in()))]
    async fn job_discard(&self, ctx: &Context<'_>, id: ID) -> ApiResult<JobDiscardPayload> {
        let desk = desk(ctx)?;
        JobDiscardPayload::new(desk.job_discard(parse_id(&id)?).await, &Actor::System)
    }

    /// Puts dead letters away, up to 10,000 of them.
    #[graphql(directive = access::apply(signed_in()))]
    async fn jobs_discard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dead letters; `{}` means all.")] filter: DeadJobFilterInput,
    ) -> ApiResult<JobsDiscardPayload> {
        JobsDiscardPayload::new(desk(ctx)?.jobs_discard(filter.into()).await, &Actor::System)
    }

    /// Calls a job off. One that waits is never done; one that runs is broken off as soon as its worker hears of it, and
    /// what it has done stays.
    #[graphql(directive = access::apply(signed_in()))]
    async fn job_cancel(&self, ctx: &Context<'_>, id: ID) -> ApiResult<JobCancelPayload> {
        let desk = desk(ctx)?;
        JobCancelPayload::new(desk.job_cancel(parse_id(&id)?).await, &Actor::System)
    }
}
