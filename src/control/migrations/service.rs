//! What operators do with the fleet: plan, start, pause, resume, retry and roll back. The steps are done by whoever leads.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::model::{
    MigrationSet, Options, Plan, Planned, Progress, Run, RunStatus, StepRow, WAVE_CANARIES, WAVE_SPARES,
};
use super::{FLEET_MIGRATE, backfills, repo, steps};
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode, ControlRefusal};
use crate::control::jobs::{NewJob, job_enqueue};
use crate::control::tenants::service::valid_reason;
use crate::db::migrate::notes::Direction;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::MigrationRunId;
use crate::kernel::page::{Page, PageRequest};

/// What the trail calls the fleet: no tenant has this slug.
const PLATFORM: &str = "platform";

/// Who acts on the fleet, and by what.
pub struct Bridge<'a> {
    /// Where runs are rows.
    pub control: &'a ControlDb,
    /// The migrations that this process knows.
    pub set: &'a MigrationSet,
    /// Time and ids.
    pub clock: &'a dyn Clock,
    /// Who acts.
    pub operator: &'a Operator,
    /// Whether a job is to lead what is started; else the caller does.
    pub by_job: bool,
}

/// A run.
///
/// # Errors
/// The database failed.
pub async fn run_by_id(control: &ControlDb, id: MigrationRunId) -> Result<Option<Run>, DbError> {
    repo::run_by_id(control, id.0).await
}

/// The run that has not ended, or else the newest.
///
/// # Errors
/// The database failed.
pub async fn run_current(control: &ControlDb) -> Result<Option<Run>, DbError> {
    match repo::run_unfinished(control).await? {
        Some(run) => Ok(Some(run)),
        None => repo::run_newest(control).await,
    }
}

/// One page of runs, the newest first.
///
/// # Errors
/// The database failed.
pub async fn run_list(control: &ControlDb, page: PageRequest<Uuid>) -> Result<Page<Run>, DbError> {
    Ok(page.cut(repo::run_list(control, &page).await?))
}

/// One page of a run's failed steps, in the order of tenants.
///
/// # Errors
/// The database failed.
pub async fn failed_list(
    control: &ControlDb,
    run: MigrationRunId,
    page: PageRequest<Uuid>,
) -> Result<Page<StepRow>, DbError> {
    Ok(page.cut(repo::step_list(control, run.0, "failed", &page).await?))
}

/// One page of a run's steps that were passed over, in the order of tenants.
///
/// # Errors
/// The database failed.
pub async fn skipped_list(
    control: &ControlDb,
    run: MigrationRunId,
    page: PageRequest<Uuid>,
) -> Result<Page<StepRow>, DbError> {
    Ok(page.cut(repo::step_list(control, run.0, "skipped", &page).await?))
}

/// How far a run is.
///
/// # Errors
/// The database failed.
pub async fn progress(control: &ControlDb, run: MigrationRunId) -> Result<Progress, DbError> {
    let Some(counts) = repo::counts(control, run.0).await? else { return Ok(Progress::default()) };
    let repo::Counts { total, completed, failed, skipped, pending, retrying, wave, wave_last, rate } = counts;
    Ok(Progress { total, completed, failed, skipped, pending, retrying, wave, wave_last, rate })
}

/// How many runs are in each state.
///
/// # Errors
/// The database failed.
pub async fn run_counts(control: &ControlDb) -> Result<Vec<(String, i64)>, DbError> {
    repo::run_counts(control).await
}

/// How many steps of the run that has not ended are in each state, and how long ago the last of them was done, or the run began.
/// Nothing, and no time, where every run has ended.
///
/// # Errors
/// The database failed.
pub async fn unfinished_counts(control: &ControlDb) -> Result<(Vec<(String, i64)>, Duration), DbError> {
    let rows = repo::step_counts(control).await?;
    let idle = rows.iter().map(|(.., seconds)| *seconds).reduce(f64::min).unwrap_or(0.0);
    let counts = rows.into_iter().filter_map(|(status, count, _)| Some((status?, count))).collect();
    Ok((counts, Duration::try_from_secs_f64(idle).unwrap_or_default()))
}

/// What a run would do. Nothing is written.
///
/// # Errors
/// The database failed.
pub async fn plan(control: &ControlDb, set: &MigrationSet) -> Result<Plan, DbError> {
    let behind = repo::behind(control, set.newest()).await?;
    let oldest = behind.first().map_or(set.newest(), |behind| behind.version.as_str());
    let planned = |migration: &crate::db::migrate::Migration| Planned {
        name: migration.name.clone(),
        version: migration.version.clone(),
        is_transactional: migration.is_transactional(Direction::Up),
        has_backfill: migration.backfill.is_some(),
        after_backfill: migration.after_backfill().map(str::to_owned),
    };
    let missing = set.migrations.iter().filter(|migration| migration.version.as_str() > oldest);
    let tenants: i64 = behind.iter().map(|behind| behind.tenants).sum();
    let wave_size = i64::from(Options::default().wave_size);
    Ok(Plan {
        target: set.newest().to_owned(),
        migrations: missing.map(planned).collect(),
        behind,
        problems: set.problems(),
        waves: (tenants + wave_size - 1) / wave_size,
        backfills: backfills::open_count(control).await?,
        unfinished: repo::run_unfinished(control).await?,
    })
}

/// Tenants that this release does not work on, with their versions: so many at most. A deploy waits while there are any.
///
/// # Errors
/// The database failed.
pub async fn tenants_too_old(
    control: &ControlDb,
    set: &MigrationSet,
    limit: i64,
) -> Result<Vec<(String, String)>, DbError> {
    repo::tenants_below(control, &set.version_min, limit).await
}

/// Enters steps for schemas that are behind and have none yet, as a last wave; answers whether there were any.
pub(super) async fn latecomers_join(control: &ControlDb, run: &Run) -> Result<bool, DbError> {
    if run.direction() == Direction::Down {
        return Ok(false);
    }
    control
        .write(async |tx: &mut ControlTx| {
            let last = steps::wave_last(tx, run.id.0).await?.unwrap_or(WAVE_CANARIES) + 1;
            Ok(repo::steps_insert(tx, run, (last, last), Vec::new()).await? > 0)
        })
        .await
}

impl Bridge<'_> {
    /// Starts a run that brings every schema to the newest version.
    ///
    /// # Errors
    /// An option breaks a bound, a canary does not exist, a migration does what it must not, another run has not ended, or
    /// no schema is behind.
    pub async fn run_start(&self, options: &Options) -> Result<Run, ControlError> {
        self.may_start(options)?;
        let (id, by) = (self.clock.new_id(), self.operator.name.as_str());
        let target = self.set.newest();
        let work = async |tx: &mut ControlTx| {
            let unknown = repo::slugs_unknown(tx, &options.canaries).await?;
            if !unknown.is_empty() {
                let refuse = |slug: String| {
                    let message = format!("There is no tenant `{slug}`.");
                    ControlRefusal::new(ControlErrorCode::TenantNotFound, message, &["input", "canaries"])
                };
                return Err(ControlError::Refused(unknown.into_iter().map(refuse).collect()));
            }
            self.make_way(tx, options.supersede).await?;
            let run = repo::run_insert(tx, (id, by), (Direction::Up.as_str(), target), None, options);
            let run = run.await.map_err(unfinished)?.ok_or_else(lost)?;
            let waves = (WAVE_SPARES, WAVE_CANARIES + 1);
            let count = repo::steps_insert(tx, &run, waves, options.canaries.clone()).await?;
            if count == 0 {
                let message = format!("Every schema is at version {target} or newer.");
                return Err(ControlError::refused(ControlErrorCode::MigrationNothingToDo, message, &[]));
            }
            self.note(tx, "migration.start", &run, json!({ "target": target, "steps": count })).await?;
            self.lead(tx, id).await?;
            Ok(run)
        };
        self.control.write(work).await
    }

    /// Has a run do no more steps before it is resumed. Those under way end.
    ///
    /// # Errors
    /// There is no run, or it is not running; the reason is blank or too long.
    pub async fn run_pause(&self, id: Option<MigrationRunId>, reason: &str) -> Result<Run, ControlError> {
        let (reason, id) = (valid_reason(reason)?, self.which(id).await?);
        let work = async |tx: &mut ControlTx| {
            let run = repo::run_hold(tx, id).await?.ok_or_else(not_found)?;
            require(&run, &[RunStatus::Running], "paused")?;
            self.note(tx, "migration.pause", &run, json!({ "reason": reason })).await?;
            self.moved(tx, &run, RunStatus::Paused, Some(reason.clone())).await
        };
        self.control.write(work).await
    }

    /// Has a paused run go on. What has failed in it stays failed.
    ///
    /// # Errors
    /// There is no run, it is not paused, or a migration does what it must not.
    pub async fn run_resume(&self, id: Option<MigrationRunId>) -> Result<Run, ControlError> {
        self.may_run()?;
        let id = self.which(id).await?;
        let work = async |tx: &mut ControlTx| {
            let run = repo::run_hold(tx, id).await?.ok_or_else(not_found)?;
            require(&run, &[RunStatus::Paused], "resumed")?;
            self.note(tx, "migration.resume", &run, json!({})).await?;
            self.lead(tx, run.id.0).await?;
            self.moved(tx, &run, RunStatus::Running, None).await
        };
        self.control.write(work).await
    }

    /// Has what has failed in a run tried again, be the run paused or completed.
    ///
    /// # Errors
    /// There is no run, nothing of it has failed, it was abandoned, another run has not ended, or a migration does what it
    /// must not.
    pub async fn run_retry(&self, id: Option<MigrationRunId>) -> Result<Run, ControlError> {
        self.may_run()?;
        let id = self.which(id).await?;
        let work = async |tx: &mut ControlTx| {
            let run = repo::run_hold(tx, id).await?.ok_or_else(not_found)?;
            require(&run, &[RunStatus::Running, RunStatus::Paused, RunStatus::Completed], "retried")?;
            let count = repo::steps_retry(tx, run.id.0).await?;
            if count == 0 {
                let message = "No step of the run has failed.";
                return Err(ControlError::refused(ControlErrorCode::MigrationNothingToDo, message, &["id"]));
            }
            self.note(tx, "migration.retry", &run, json!({ "steps": count })).await?;
            self.lead(tx, run.id.0).await?;
            self.moved(tx, &run, RunStatus::Running, None).await
        };
        self.control.write(work).await
    }

    /// Starts a run that takes back what another has done. A paused one is abandoned by it.
    ///
    /// # Errors
    /// There is no run, it is running or did nothing, it goes below what this release works on, tenants have later
    /// migrations by now, or another run has not ended.
    pub async fn run_rollback(&self, id: Option<MigrationRunId>) -> Result<Run, ControlError> {
        let (new, by) = (self.clock.new_id(), self.operator.name.as_str());
        let id = self.which(id).await?;
        let work = async |tx: &mut ControlTx| {
            // Steps that are under way hold the run: what they do is known when they have ended.
            let run = repo::run_lock(tx, id).await.map_err(under_way)?.ok_or_else(not_found)?;
            require(&run, &[RunStatus::Paused, RunStatus::Completed, RunStatus::Abandoned], "rolled back")?;
            if run.direction() == Direction::Down {
                return Err(conflict("The run is a way back itself; start a run instead."));
            }
            let overtaken = repo::steps_overtaken(tx, &run).await?;
            if overtaken > 0 {
                let message = format!("{overtaken} tenants have later migrations by now; roll those back first.");
                return Err(conflict(&message));
            }
            if run.status() == RunStatus::Paused {
                let reason = "it was rolled back".to_owned();
                repo::run_move(tx, run.id.0, RunStatus::Abandoned.as_str(), Some(reason)).await?;
            }
            let options = options_of(&run);
            let way = (Direction::Down.as_str(), run.target_version.as_str());
            let back = repo::run_insert(tx, (new, by), way, Some(run.id.0), &options).await.map_err(unfinished)?;
            let count = repo::steps_revert(tx, new, run.id.0).await?;
            self.may_go_back(tx, new, count).await?;
            let back = back.ok_or_else(lost)?;
            let details = json!({ "reverts": run.id.to_string(), "steps": count });
            self.note(tx, "migration.rollback", &back, details).await?;
            self.lead(tx, new).await?;
            Ok(back)
        };
        self.control.write_opened("BEGIN; SET LOCAL lock_timeout = '2s'", work).await
    }

    /// Whether there is something to go back to.
    async fn may_go_back(&self, tx: &mut ControlTx, run: Uuid, count: usize) -> Result<(), ControlError> {
        if count == 0 {
            let message = "The run has changed nothing, so there is nothing to take back.";
            return Err(ControlError::refused(ControlErrorCode::MigrationNothingToDo, message, &["id"]));
        }
        match repo::version_oldest(tx, run).await? {
            Some(oldest) if oldest < self.set.version_min => Err(conflict(&format!(
                "This release does not work on version {oldest}: roll back by the release before, or restore a backup."
            ))),
            _ => Ok(()),
        }
    }

    fn may_start(&self, options: &Options) -> Result<(), ControlError> {
        let refuse = |rule: &str| ControlRefusal::new(ControlErrorCode::MigrationOptionsInvalid, rule, &["input"]);
        let refusals: Vec<_> = options.problems().into_iter().map(refuse).collect();
        if !refusals.is_empty() {
            return Err(ControlError::Refused(refusals));
        }
        self.may_run()
    }

    /// Whether the migrations do nothing that they must not.
    fn may_run(&self) -> Result<(), ControlError> {
        let refuse = |problem: crate::db::migrate::check::Problem| {
            ControlRefusal::new(ControlErrorCode::MigrationsUnsafe, problem.to_string(), &[])
        };
        let refusals: Vec<_> = self.set.problems().into_iter().map(refuse).collect();
        if refusals.is_empty() { Ok(()) } else { Err(ControlError::Refused(refusals)) }
    }

    /// Abandons a paused run that is in the way, where that is wanted.
    async fn make_way(&self, tx: &mut ControlTx, supersede: bool) -> Result<(), ControlError> {
        let Some(run) = repo::run_hold_unfinished(tx).await? else { return Ok(()) };
        if !supersede || run.status() != RunStatus::Paused {
            return Err(unfinished(DbError::Unique(UNFINISHED_INDEX.to_owned())));
        }
        let reason = "another run was started in its place".to_owned();
        self.note(tx, "migration.abandon", &run, json!({ "reason": reason })).await?;
        repo::run_move(tx, run.id.0, RunStatus::Abandoned.as_str(), Some(reason)).await?;
        Ok(())
    }

    /// The run that is meant, or the current one where none is said.
    async fn which(&self, id: Option<MigrationRunId>) -> Result<Uuid, ControlError> {
        match id {
            Some(id) => Ok(id.0),
            None => Ok(run_current(self.control).await?.ok_or_else(not_found)?.id.0),
        }
    }

    async fn moved(
        &self,
        tx: &mut ControlTx,
        run: &Run,
        status: RunStatus,
        reason: Option<String>,
    ) -> Result<Run, ControlError> {
        let moved = repo::run_move(tx, run.id.0, status.as_str(), reason).await.map_err(unfinished)?;
        Ok(moved.ok_or_else(not_found)?)
    }

    /// Has a job lead the run, where that is wanted.
    async fn lead(&self, tx: &mut ControlTx, run: Uuid) -> Result<(), DbError> {
        if !self.by_job {
            return Ok(());
        }
        let job = NewJob {
            id: self.clock.new_id(),
            tenant: None,
            kind: FLEET_MIGRATE,
            payload: json!({ "run": run }),
            // One for each word: a job that has just found the run paused may be about to end. The lease lets one lead.
            unique_key: None,
            at: None,
        };
        job_enqueue(tx, job).await.map(drop)
    }

    async fn note(&self, tx: &mut ControlTx, act: &'static str, run: &Run, mut details: Value) -> Result<(), DbError> {
        details["run"] = json!(run.id.to_string());
        record(tx, self.clock, self.operator, (act, PLATFORM), details).await
    }
}

/// The index that lets one run be unfinished.
const UNFINISHED_INDEX: &str = "migration_runs_unfinished_idx";

/// How a run goes, for the one that takes it back.
fn options_of(run: &Run) -> Options {
    Options {
        wave_size: run.wave_size,
        concurrency: run.concurrency,
        error_rate_max: run.error_rate_max,
        attempts_max: run.attempts_max,
        lock_timeout_ms: run.lock_timeout_ms,
        ..Options::default()
    }
}

fn require(run: &Run, allowed: &[RunStatus], what: &str) -> Result<(), ControlError> {
    if allowed.contains(&run.status()) {
        return Ok(());
    }
    Err(conflict(&format!("The run is {}; it cannot be {what}.", run.status)))
}

fn conflict(message: &str) -> ControlError {
    ControlError::refused(ControlErrorCode::MigrationRunStatusConflict, message, &["id"])
}

fn not_found() -> ControlRefusal {
    ControlRefusal::new(ControlErrorCode::MigrationRunNotFound, "There is no such run.", &["id"])
}

fn lost() -> DbError {
    DbError::Other("the new run's row was not returned".to_owned())
}

fn under_way(error: DbError) -> ControlError {
    match error {
        DbError::Cancelled(_) => conflict("Steps of the run are still under way; try again when they have ended."),
        error => error.into(),
    }
}

fn unfinished(error: DbError) -> ControlError {
    match error {
        DbError::Unique(index) if index == UNFINISHED_INDEX => {
            let message = "Another run has not ended: resume it, retry it or roll it back.";
            ControlError::refused(ControlErrorCode::MigrationRunUnfinished, message, &[])
        }
        error => error.into(),
    }
}
