//! The fleet's migrations at the edge.

use std::time::Duration;

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::{MigrationSet, Options, Plan, Progress, Run, RunStatus, StepRow};
use super::service::{self, Bridge};
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::graphql::ControlUserError;
use crate::db::migrate::notes::Direction;
use crate::graphql::access::{access, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::payload::payload;
use crate::graphql::scalars::parse_id;
use crate::graphql::watch::Watch;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;
use crate::kernel::ids::MigrationRunId;

/// The direction of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum MigrationDirection {
    /// Down: back to where another run came from.
    Down,
    /// Up: to a newer version.
    Up,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum MigrationRunStatus {
    /// The run was ended by an operator with steps left.
    Abandoned,
    /// The run's steps have all ended, be it by failing.
    Completed,
    /// The run waits for an operator to resume it.
    Paused,
    /// The run goes on as soon as a process leads it.
    Running,
}

impl From<RunStatus> for MigrationRunStatus {
    fn from(status: RunStatus) -> Self {
        match status {
            RunStatus::Running => Self::Running,
            RunStatus::Paused => Self::Paused,
            RunStatus::Completed => Self::Completed,
            RunStatus::Abandoned => Self::Abandoned,
        }
    }
}

/// The progress of a run.
pub struct MigrationProgress(Progress);

/// The progress of a run.
#[Object]
impl MigrationProgress {
    /// The number of schemas in all; those that appear meanwhile join at the end.
    async fn total_count(&self) -> i64 {
        self.0.total
    }

    /// The number of schemas that are where they are meant to be.
    async fn completed_count(&self) -> i64 {
        self.0.completed
    }

    /// The number of schemas that keep their version because their step was given up.
    async fn failed_count(&self) -> i64 {
        self.0.failed
    }

    /// The number of schemas that were passed over: gone, or waiting for a backfill, which a later run finds done.
    async fn skipped_count(&self) -> i64 {
        self.0.skipped
    }

    /// The number of schemas that are still to be done.
    async fn pending_count(&self) -> i64 {
        self.0.pending
    }

    /// The number of these that were tried before; most are in use by somebody.
    async fn retrying_count(&self) -> i64 {
        self.0.retrying
    }

    /// The wave under way: 0 has spare schemas, 1 the canaries; null where nothing is to be done.
    async fn wave(&self) -> Option<i32> {
        self.0.wave
    }

    /// The last wave; null where there is none.
    async fn last_wave(&self) -> Option<i32> {
        self.0.wave_last
    }

    /// The number of schemas done each second, in the last minute.
    async fn rate_per_second(&self) -> f64 {
        self.0.rate
    }

    /// The seconds that the rest takes at this rate; null if nothing moves.
    async fn eta_seconds(&self) -> Option<f64> {
        self.0.eta_seconds()
    }
}

/// A step of a run that was given up.
pub struct MigrationFailureNode(StepRow);

/// A step of a run that was given up.
#[Object(name = "MigrationFailure")]
impl MigrationFailureNode {
    /// The slug of the tenant; null for a spare schema.
    async fn tenant_slug(&self) -> Option<&str> {
        self.0.slug.as_deref()
    }

    /// The wave that the step belongs to.
    async fn wave(&self) -> i32 {
        self.0.wave
    }

    /// The version that the schema had when the run began.
    async fn from_version(&self) -> &str {
        &self.0.from_version
    }

    /// The version that was meant.
    async fn to_version(&self) -> &str {
        &self.0.to_version
    }

    /// The number of attempts.
    async fn attempt_count(&self) -> i32 {
        self.0.attempts.into()
    }

    /// The last error in words.
    async fn message(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// The time when the step was given up.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }
}

/// A run that brings the fleet of schemas from one version to another.
pub struct MigrationRunNode(Run);

impl From<Run> for MigrationRunNode {
    fn from(run: Run) -> Self {
        Self(run)
    }
}

/// A run that brings the fleet of schemas from one version to another.
#[Object(name = "MigrationRun")]
impl MigrationRunNode {
    /// The run's id; ids are made in the order of time.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The direction of the run.
    async fn direction(&self) -> MigrationDirection {
        match self.0.direction() {
            Direction::Up => MigrationDirection::Up,
            Direction::Down => MigrationDirection::Down,
        }
    }

    /// The version that schemas are brought to; downwards, the one that they come from.
    async fn target_version(&self) -> &str {
        &self.0.target_version
    }

    /// The state.
    async fn status(&self) -> MigrationRunStatus {
        self.0.status().into()
    }

    /// The reason why it is paused or was abandoned.
    async fn pause_reason(&self) -> Option<&str> {
        self.0.pause_reason.as_deref()
    }

    /// The run that this one takes back.
    async fn reverts_id(&self) -> Option<ID> {
        self.0.reverts.map(|id| ID(MigrationRunId(id).to_string()))
    }

    /// The process that leads it; null if none does.
    async fn leader(&self) -> Option<&str> {
        self.0.leader.as_deref()
    }

    /// The one who asked for the run.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// The time when the run was asked for.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the run ended.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// The progress of the run; counted when it is asked for.
    async fn progress(&self, ctx: &Context<'_>) -> ApiResult<MigrationProgress> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(MigrationProgress(service::progress(&request.control, self.0.id).await?))
    }

    /// The steps that were given up, in the order of tenants' ids.
    async fn failures(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<Connection<MigrationFailureCursor, MigrationFailureNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<MigrationFailureCursor>()?.map(|cursor| cursor.0);
        let page = service::failed_list(&request.control, self.0.id, page).await?;
        Ok(connection(page, EmptyFields, |step| (MigrationFailureCursor(step.tenant.0), MigrationFailureNode(step))))
    }
}

/// The schemas that are at one version.
#[derive(SimpleObject)]
pub struct MigrationBehind {
    /// The version.
    version: String,
    /// The number of tenants' schemas.
    tenant_count: i64,
    /// The number of spare schemas.
    spare_count: i64,
}

/// A migration that a run would do.
#[derive(SimpleObject)]
pub struct PlannedMigration {
    /// The migration's version.
    version: String,
    /// The name of its folder.
    name: String,
    /// Tells whether it runs in a transaction; an index that is built beside others' work does not.
    is_transactional: bool,
    /// Tells whether it leaves something to be filled in by jobs.
    has_backfill: bool,
    /// The version whose backfill it waits for.
    after_backfill: Option<String>,
}

/// A plan of what a run would do.
pub struct MigrationPlanNode(Plan);

/// A plan of what a run would do.
#[Object(name = "MigrationPlan")]
impl MigrationPlanNode {
    /// The version that schemas would be brought to.
    async fn target_version(&self) -> &str {
        &self.0.target
    }

    /// The schemas that are behind, by version.
    async fn behind(&self) -> Vec<MigrationBehind> {
        let behind = self.0.behind.iter().map(|behind| MigrationBehind {
            version: behind.version.clone(),
            tenant_count: behind.tenants,
            spare_count: behind.spares,
        });
        behind.collect()
    }

    /// The migrations that some of them lack.
    async fn migrations(&self) -> Vec<PlannedMigration> {
        let planned = self.0.migrations.iter().map(|planned| PlannedMigration {
            version: planned.version.clone(),
            name: planned.name.clone(),
            is_transactional: planned.is_transactional,
            has_backfill: planned.has_backfill,
            after_backfill: planned.after_backfill.clone(),
        });
        planned.collect()
    }

    /// The rules that migrations break: a run is refused while there is any.
    async fn problems(&self) -> Vec<String> {
        self.0.problems.iter().map(ToString::to_string).collect()
    }

    /// The number of waves of tenants at the usual size.
    async fn wave_count(&self) -> i64 {
        self.0.waves
    }

    /// The number of backfills of earlier migrations that are not done.
    async fn open_backfill_count(&self) -> i64 {
        self.0.backfills
    }

    /// The run that has not ended.
    async fn unfinished_run(&self) -> Option<MigrationRunNode> {
        self.0.unfinished.clone().map(MigrationRunNode)
    }
}

macro_rules! cursor {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        pub struct $name(Uuid);

        impl CursorType for $name {
            type Error = &'static str;

            fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
                let [kind, id] = decode_parts(text).ok_or("malformed")?;
                let id = id.parse().map_err(|_| "malformed")?;
                if kind == $kind { Ok(Self(id)) } else { Err("another list's") }
            }

            fn encode_cursor(&self) -> String {
                encode_parts(&[$kind, &self.0.to_string()])
            }
        }
    };
}

cursor!(
    /// A place in the list of runs, which is ordered by time.
    MigrationRunCursor, "RUN"
);
cursor!(
    /// A place in the list of a run's failures, which is ordered by tenant.
    MigrationFailureCursor, "FAILURE"
);

/// Queries about the fleet's migrations.
#[derive(Default)]
pub struct MigrationQuery;

#[Object]
impl MigrationQuery {
    /// A run by id; null where there is none.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_run(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<MigrationRunNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::run_by_id(&request.control, parse_id(&id)?).await?.map(MigrationRunNode))
    }

    /// Lists runs, the newest first.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<Connection<MigrationRunCursor, MigrationRunNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<MigrationRunCursor>()?.map(|cursor| cursor.0);
        let page = service::run_list(&request.control, page).await?;
        Ok(connection(page, EmptyFields, |run| (MigrationRunCursor(run.id.0), MigrationRunNode(run))))
    }

    /// Tells what a run would do; nothing is changed.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_plan(&self, ctx: &Context<'_>) -> ApiResult<Option<MigrationPlanNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(Some(MigrationPlanNode(service::plan(&request.control, &MigrationSet::embedded()).await?)))
    }
}

/// How often a run is looked at. Steps may end by the hundred in a second, and are done by other processes.
const PACE: Duration = Duration::from_secs(1);

/// Subscriptions about the fleet's migrations.
#[derive(Default)]
pub struct MigrationSubscription;

#[Object]
impl MigrationSubscription {
    /// A run as it is when the subscription begins, and again every second in which it has come further. It ends when the run
    /// has; with null where there is no such run.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run.")] run_id: ID,
    ) -> ApiResult<Option<MigrationRunNode>> {
        let (watch, (request, _)) = (Watch::of(ctx)?, AdminRequest::of(ctx)?);
        let id = parse_id(&run_id)?;
        watch.every(PACE);
        let Some(run) = service::run_by_id(&request.control, id).await? else {
            watch.end();
            return Ok(None);
        };
        let progress = service::progress(&request.control, id).await?;
        if matches!(run.status(), RunStatus::Completed | RunStatus::Abandoned) {
            watch.end();
        }
        let counts = [progress.total, progress.completed, progress.failed, progress.skipped, progress.retrying];
        let is_new = watch.is_new(&(&run.status, &run.pause_reason, &run.leader, counts, progress.wave));
        Ok(is_new.then_some(MigrationRunNode(run)))
    }
}

/// The options of a run. A field that is not given has its usual value.
#[derive(InputObject)]
pub struct MigrationRunStartInput {
    /// The slugs of tenants who go first. If one of them fails, the run pauses.
    #[graphql(default)]
    canaries: Vec<String>,
    /// The number of schemas in a wave, 1 to 10,000; 500 by default.
    wave_size: Option<i32>,
    /// The number of schemas that are changed at once, 1 to 16; 4 by default.
    concurrency: Option<i32>,
    /// The share of a wave's steps that may fail before the run pauses itself, 0 to 1; 0.05 by default. One always may,
    /// unless it is 0.
    error_rate_max: Option<f64>,
    /// The number of attempts after which a step is given up, 1 to 100; 10 by default.
    attempts_max: Option<i32>,
    /// The milliseconds for which a step waits for a lock, 10 to 10,000; 200 by default. So long it may keep a shop
    /// waiting.
    lock_timeout_ms: Option<i32>,
    /// Pauses the run when spare schemas and canaries are done.
    #[graphql(default)]
    hold_after_canaries: bool,
    /// Abandons a paused run that is in the way.
    #[graphql(default)]
    supersede: bool,
}

impl From<MigrationRunStartInput> for Options {
    fn from(input: MigrationRunStartInput) -> Self {
        let usual = Self::default();
        // What does not fit is out of bounds, and refused as such.
        let small = |value: Option<i32>, usual| value.map_or(usual, |value| i16::try_from(value).unwrap_or(0));
        Self {
            canaries: input.canaries,
            wave_size: input.wave_size.unwrap_or(usual.wave_size),
            concurrency: small(input.concurrency, usual.concurrency),
            error_rate_max: input.error_rate_max.unwrap_or(usual.error_rate_max),
            attempts_max: small(input.attempts_max, usual.attempts_max),
            lock_timeout_ms: input.lock_timeout_ms.unwrap_or(usual.lock_timeout_ms),
            hold_after_canaries: input.hold_after_canaries,
            supersede: input.supersede,
        }
    }
}

macro_rules! run_payload {
    ($(#[$doc:meta])* $name:ident) => {
        payload!(
            $(#[$doc])*
            $name {
                /// The run as it is now.
                migration_run: MigrationRunNode(Run)
            },
            ControlUserError(ControlErrorCode)
        );
    };
}

run_payload!(
    /// The answer to `migrationRunStart`.
    MigrationRunStartPayload
);
run_payload!(
    /// The answer to `migrationRunPause`.
    MigrationRunPausePayload
);
run_payload!(
    /// The answer to `migrationRunResume`.
    MigrationRunResumePayload
);
run_payload!(
    /// The answer to `migrationRunRetry`.
    MigrationRunRetryPayload
);
run_payload!(
    /// The answer to `migrationRunRollback`.
    MigrationRunRollbackPayload
);

/// Acts on the fleet by a request, and wakes who leads.
async fn act(
    ctx: &Context<'_>,
    work: impl AsyncFnOnce(&Bridge<'_>) -> Result<Run, ControlError>,
) -> ApiResult<Result<Run, ControlError>> {
    let (request, operator) = AdminRequest::of(ctx)?;
    let set = MigrationSet::embedded();
    let bridge = Bridge { control: &request.control, set: &set, clock: request.clock(), operator, by_job: true };
    let result = work(&bridge).await;
    if result.is_ok() {
        request.services.bell.ring();
    }
    Ok(result)
}

/// The run that an operator means. Who is none is told so before anything else.
fn run_id(ctx: &Context<'_>, id: &ID) -> ApiResult<MigrationRunId> {
    AdminRequest::of(ctx)?;
    parse_id(id)
}

/// Mutations of the fleet's migrations. Steps are done by a worker that has the owner's login.
#[derive(Default)]
pub struct MigrationMutation;

#[Object]
impl MigrationMutation {
    /// Starts a run that brings every schema to the newest version that this server knows.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_run_start(
        &self,
        ctx: &Context<'_>,
        input: MigrationRunStartInput,
    ) -> ApiResult<MigrationRunStartPayload> {
        let options = input.into();
        let result = act(ctx, async |bridge| bridge.run_start(&options).await).await?;
        MigrationRunStartPayload::new(result, &Actor::System)
    }

    /// Pauses a run: it does no more steps before it is resumed. Those under way end.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_run_pause(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The reason, for the operators.")] reason: String,
    ) -> ApiResult<MigrationRunPausePayload> {
        let id = run_id(ctx, &id)?;
        let result = act(ctx, async |bridge| bridge.run_pause(Some(id), &reason).await).await?;
        MigrationRunPausePayload::new(result, &Actor::System)
    }

    /// Resumes a paused run. What has failed in it stays failed.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_run_resume(&self, ctx: &Context<'_>, id: ID) -> ApiResult<MigrationRunResumePayload> {
        let id = run_id(ctx, &id)?;
        let result = act(ctx, async |bridge| bridge.run_resume(Some(id)).await).await?;
        MigrationRunResumePayload::new(result, &Actor::System)
    }

    /// Retries what has failed in a run, be the run paused or completed.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_run_retry(&self, ctx: &Context<'_>, id: ID) -> ApiResult<MigrationRunRetryPayload> {
        let id = run_id(ctx, &id)?;
        let result = act(ctx, async |bridge| bridge.run_retry(Some(id)).await).await?;
        MigrationRunRetryPayload::new(result, &Actor::System)
    }

    /// Starts a run that takes back what another has done, and answers the new one. A paused run is abandoned by it. What
    /// was written into columns that go is lost.
    #[graphql(directive = access::apply(signed_in()))]
    async fn migration_run_rollback(&self, ctx: &Context<'_>, id: ID) -> ApiResult<MigrationRunRollbackPayload> {
        let id = run_id(ctx, &id)?;
        let result = act(ctx, async |bridge| bridge.run_rollback(Some(id)).await).await?;
        MigrationRunRollbackPayload::new(result, &Actor::System)
    }
}
