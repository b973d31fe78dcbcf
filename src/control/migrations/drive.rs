//! Who leads a run: takes its lease, does its steps a few at a time, wave by wave, and sees when it had better stop.
//!
//! The lease is in the run's row and is prolonged while the process lives. A leader that was stopped and wakes up later
//! finds another number in the row before each step, and does nothing more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use uuid::Uuid;

use super::model::{DueStep, HOLD_REASON, MigrationSet, Run, RunStatus, WAVE_CANARIES};
use super::step::{Attempt, Steps};
use super::{repo, service, steps};
use crate::db::{ControlDb, DbError, OwnerDb};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{MigrationRunId, TenantId};

/// Steps that are read at once: memory does not grow with the fleet.
const PAGE: i64 = 200;

/// The longest time in which nobody looks whether something has become due, or the run was paused.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The first wait before a step is tried again; it doubles each time.
const WAIT_MIN: f64 = 0.25;

/// The longest wait in seconds.
const WAIT_MAX: f64 = 15.0;

/// How long a leader is believed to live without a sign, and how often it gives one.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// The lease.
    pub length: Duration,
    /// The pause between two signs of life.
    pub beat: Duration,
}

impl Default for Lease {
    fn default() -> Self {
        Self { length: Duration::from_secs(15), beat: Duration::from_secs(3) }
    }
}

/// Leads runs.
#[derive(Clone)]
pub struct Driver {
    /// Where runs are rows.
    pub control: ControlDb,
    /// Who changes schemas. A run takes connections of its own.
    pub owner: OwnerDb,
    /// The migrations that this process knows.
    pub set: MigrationSet,
    /// Ids and chance.
    pub clock: Arc<dyn Clock>,
    /// What the run's row calls this process.
    pub name: String,
    /// Its lease.
    pub lease: Lease,
}

/// Why a leader has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every step has ended.
    Completed,
    /// The run is paused, or was abandoned.
    Paused,
    /// Another leads it.
    Elsewhere,
    /// This release lacks migrations that the run is about.
    Unknown,
}

/// A run under a lease.
struct Led<'a> {
    driver: &'a Driver,
    run: Run,
    fence: i64,
    owner: OwnerDb,
}

/// How a wave ended.
#[derive(PartialEq, Eq)]
enum WaveEnd {
    Done,
    Stopped,
}

impl Driver {
    /// Leads a run until it ends, is paused, or is another's, or `stop` resolves. What is under way then is left undone,
    /// and whoever comes next goes on.
    ///
    /// # Errors
    /// The database failed. The run goes on where it was when somebody leads it again.
    pub async fn drive(&self, id: MigrationRunId, stop: impl Future<Output = ()> + Send) -> Result<Ended, DbError> {
        let Some(run) = repo::run_by_id(&self.control, id.0).await? else { return Ok(Ended::Paused) };
        // Of a run that is over nothing need be known.
        if run.status() != RunStatus::Running {
            return Ok(ended(run.status()));
        }
        if self.set.get(&run.target_version).is_none() {
            tracing::error!(run.id = %id, run.target = run.target_version, "This release does not know the run's target");
            return Ok(Ended::Unknown);
        }
        let length = self.lease.length.as_secs_f64();
        let Some(fence) = repo::lease_take(&self.control, id.0, &self.name, length).await? else {
            return self.where_it_is(id.0).await;
        };
        // As it is now that nobody else leads it.
        let Some(run) = repo::run_by_id(&self.control, id.0).await? else { return Ok(Ended::Paused) };
        let owner = self.owner.apart(u32::from(run.concurrency.unsigned_abs()));
        let led = Led { driver: self, run, fence, owner };
        let result = tokio::select! {
            result = led.lead() => result,
            () = led.beat() => Ok(()),
            () = stop => Ok(()),
        };
        // Where the database is away, the lease ends by itself.
        let _ = repo::lease_end(&self.control, id.0, fence).await;
        result?;
        self.where_it_is(id.0).await
    }

    async fn where_it_is(&self, run: Uuid) -> Result<Ended, DbError> {
        let run = repo::run_by_id(&self.control, run).await?;
        Ok(run.map_or(Ended::Paused, |run| ended(run.status())))
    }

    /// How long a step waits before it is tried again, in seconds: longer each time, and never for as long as another.
    fn wait(&self, attempts: i16) -> f64 {
        let longest = (WAIT_MIN * 2_f64.powi(attempts.into())).min(WAIT_MAX);
        let [chance, ..] = self.clock.secret();
        longest * (0.5 + f64::from(chance) / 512.0)
    }
}

/// What the state of a run means for one who does not lead it.
fn ended(status: RunStatus) -> Ended {
    match status {
        RunStatus::Running => Ended::Elsewhere,
        RunStatus::Completed => Ended::Completed,
        RunStatus::Paused | RunStatus::Abandoned => Ended::Paused,
    }
}

impl Led<'_> {
    /// Prolongs the lease until it is lost.
    async fn beat(&self) {
        let Lease { length, beat } = self.driver.lease;
        let mut last = Instant::now();
        while last.elapsed() < length {
            tokio::time::sleep(beat).await;
            let prolonged =
                repo::lease_prolong(&self.driver.control, self.run.id.0, self.fence, length.as_secs_f64()).await;
            match prolonged {
                Ok(true) => last = Instant::now(),
                Ok(false) => return,
                // It may be back before the lease is over.
                Err(error) => tracing::warn!(%error, "The lease of a fleet run was not prolonged"),
            }
        }
    }

    async fn lead(&self) -> Result<(), DbError> {
        let (control, run) = (&self.driver.control, self.run.id.0);
        let mut last = None;
        loop {
            let Some(wave) = steps::wave_first(control, run).await? else {
                // Tenants that an older release has made meanwhile, and spare schemas, come last.
                if service::latecomers_join(control, &self.run).await? {
                    continue;
                }
                match repo::run_complete(control, (run, self.fence)).await? {
                    // A retry has come in between.
                    Some(false) => continue,
                    Some(true) | None => return Ok(()),
                }
            };
            let is_past_canaries = wave > WAVE_CANARIES && last.is_none_or(|last| last <= WAVE_CANARIES);
            if is_past_canaries && self.run.hold_after_canaries {
                return self.pause(HOLD_REASON).await;
            }
            last = Some(wave);
            if self.wave(wave).await? == WaveEnd::Stopped {
                return Ok(());
            }
        }
    }

    /// Does the steps of a wave, so many at once as the run says.
    async fn wave(&self, wave: i32) -> Result<WaveEnd, DbError> {
        let (control, run) = (&self.driver.control, self.run.id.0);
        let concurrency = usize::from(self.run.concurrency.unsigned_abs());
        let (mut queue, mut under_way) = (VecDeque::<DueStep>::new(), Vec::<TenantId>::new());
        let mut attempts: FuturesUnordered<BoxFuture<'_, (TenantId, Result<WaveEnd, DbError>)>> =
            FuturesUnordered::new();
        let mut end = WaveEnd::Done;
        loop {
            if end == WaveEnd::Done && queue.is_empty() && under_way.len() < concurrency {
                queue = steps::steps_due(control, (run, wave), &under_way, PAGE).await?.into();
            }
            while end == WaveEnd::Done
                && under_way.len() < concurrency
                && let Some(step) = queue.pop_front()
            {
                under_way.push(step.tenant);
                attempts.push(self.step(step).boxed());
            }
            if attempts.is_empty() {
                match steps::wave_rest(control, run, wave).await? {
                    Some(seconds) if end == WaveEnd::Done => {
                        if !self.is_led().await? {
                            return Ok(WaveEnd::Stopped);
                        }
                        let rest = Duration::from_secs_f64(seconds.max(0.0)).min(LOOK_EVERY);
                        tokio::time::sleep(rest).await;
                    }
                    _ => return Ok(end),
                }
            }
            // What is tried again becomes due while others are under way.
            let Ok(Some((tenant, result))) = tokio::time::timeout(LOOK_EVERY, attempts.next()).await else { continue };
            under_way.retain(|other| *other != tenant);
            if result? == WaveEnd::Stopped {
                end = WaveEnd::Stopped;
            }
        }
    }

    async fn is_led(&self) -> Result<bool, DbError> {
        let run = repo::run_by_id(&self.driver.control, self.run.id.0).await?;
        Ok(run.is_some_and(|run| run.status() == RunStatus::Running))
    }

    /// Makes an attempt of a step and writes down what became of it.
    async fn step(&self, step: DueStep) -> (TenantId, Result<WaveEnd, DbError>) {
        let Driver { set, clock, .. } = self.driver;
        let steps = Steps { owner: &self.owner, clock: &**clock, set, run: &self.run, fence: self.fence };
        let attempt = steps.attempt(&step).await;
        (step.tenant, self.note(&step, attempt).await)
    }

    async fn note(&self, step: &DueStep, attempt: Attempt) -> Result<WaveEnd, DbError> {
        let control = &self.driver.control;
        let place = (self.run.id.0, self.fence, step.tenant);
        match attempt {
            Attempt::Done => Ok(WaveEnd::Done),
            Attempt::Stopped => Ok(WaveEnd::Stopped),
            Attempt::Gone => {
                steps::step_attempt(control, place, "skipped", Some("the schema is gone"), 0.0).await?;
                Ok(WaveEnd::Done)
            }
            Attempt::Waiting(reason) => {
                steps::step_attempt(control, place, "skipped", Some(&reason), 0.0).await?;
                Ok(WaveEnd::Done)
            }
            Attempt::Again(error) if step.attempts + 1 < self.run.attempts_max => {
                let wait = self.driver.wait(step.attempts);
                steps::step_attempt(control, place, "pending", Some(&error), wait).await?;
                Ok(WaveEnd::Done)
            }
            Attempt::Again(error) | Attempt::Failed(error) => {
                steps::step_attempt(control, place, "failed", Some(&error), 0.0).await?;
                tracing::warn!(tenant.id = %step.tenant, run.id = %self.run.id, error, "A tenant's migration failed");
                self.judge(step.wave).await
            }
        }
    }

    /// Whether a wave goes on after a failure.
    async fn judge(&self, wave: i32) -> Result<WaveEnd, DbError> {
        let counts = repo::wave_counts(&self.driver.control, self.run.id.0, wave).await?;
        let allowed = self.run.failures_allowed(wave, counts.total);
        if counts.failed <= allowed {
            return Ok(WaveEnd::Done);
        }
        let reason = if wave <= WAVE_CANARIES {
            "a canary failed".to_owned()
        } else {
            format!("{} of {} steps of wave {wave} failed; {allowed} may", counts.failed, counts.total)
        };
        self.pause(&reason).await?;
        Ok(WaveEnd::Stopped)
    }

    async fn pause(&self, reason: &str) -> Result<(), DbError> {
        tracing::warn!(run.id = %self.run.id, reason, "A fleet run has paused itself");
        let status = RunStatus::Paused.as_str();
        let lease = (self.run.id.0, self.fence);
        repo::run_end(&self.driver.control, lease, status, Some(reason.to_owned())).await.map(drop)
    }
}
