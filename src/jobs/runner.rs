//! A worker: claims jobs as slots get free, and runs them.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt as _, join};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::Instrument as _;
use uuid::Uuid;

use super::handler::{Answer, Handler, Handlers, Setback};
use super::model::Job;
use super::queue::{Claim, Claimed, Ending, Verdict, claim};
use super::retry::{chance, wait_after};
use super::{scribe, tender};
use crate::db::{Bell, ControlDb, DbError};
use crate::kernel::clock::Clock;
use crate::telemetry::frames::{self, Cause, JobNotes};
use crate::telemetry::jobs::JobMetrics;
use crate::telemetry::traces;

/// The pause between two claims while most slots are taken: as one job ends others do, and one claim serves them all.
const CLAIM_PAUSE: Duration = Duration::from_millis(5);

/// The pause before a job is tried again that found the database out of reach.
const UNAVAILABLE_PAUSE: Duration = Duration::from_secs(2);

/// How long a job may take to notice that it was given back.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(1);

/// How many jobs run at a time.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// On this worker.
    pub slots: u16,
    /// Of one tenant, on all workers together, where its plan does not say fewer; of the platform's own likewise.
    pub per_tenant_max: u16,
}

/// How often and how long. A test has less patience.
#[derive(Debug, Clone)]
pub struct Pace {
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// The pause between two heartbeats.
    pub heartbeat: Duration,
    /// The pause between two looks at the queue while nobody rings.
    pub poll: Duration,
    /// How long running jobs may go on after the signal to stop.
    pub drain: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            drain: Duration::from_secs(20),
        }
    }
}

/// A job of the platform that is enqueued again and again, without a payload.
///
/// One that is still unfinished when the next is due is not doubled.
#[derive(Debug, Clone, Copy)]
pub struct Periodic {
    /// The kind, which the worker knows.
    pub kind: &'static str,
    /// The pause between two.
    pub every: Duration,
}

/// A worker's parts.
pub struct Runner {
    /// Where the queue is.
    pub control: ControlDb,
    /// What wakes the worker.
    pub bell: Bell,
    /// Ids and chance.
    pub clock: Arc<dyn Clock>,
    /// What the worker can do.
    pub handlers: Handlers,
    /// What it enqueues by itself.
    pub periodic: Vec<Periodic>,
    /// How many jobs it runs.
    pub room: Room,
    /// How often and how long.
    pub pace: Pace,
    /// What is counted.
    pub metrics: JobMetrics,
    /// What the worker is called in the rows of its jobs.
    pub name: String,
}

/// A running worker.
pub(super) struct Core {
    pub(super) runner: Runner,
    /// The claims that the worker believes to have.
    held: Mutex<HashMap<Uuid, Held>>,
    /// Woken when endings were written: what waited for a lane's bound may be claimed.
    pub(super) freed: Notify,
}

/// A claim.
struct Held {
    fence: i64,
    /// When the claim was last known to hold: a moment before the statement that proved it.
    proven_at: Instant,
    /// Dropped, it ends the job because the claim is lost; used, it gives the job back.
    lifeline: oneshot::Sender<()>,
}

/// The end of an attempt.
pub(super) struct Ended {
    pub(super) verdict: Verdict,
    pub(super) kind: String,
    pub(super) duration: Duration,
}

impl Runner {
    /// Works until `stop` resolves; then claims no more, lets running jobs finish within the pace's time, and gives back
    /// those that do not.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let core = Arc::new(Core { runner: self, held: Mutex::default(), freed: Notify::new() });
        let (ended, endings) = mpsc::unbounded_channel();
        let work = join(claim_and_run(&core, ended, stop), scribe::write_down(&core, endings));
        tokio::select! {
            ((), ()) = work => {}
            never = tender::tend(&core) => match never {},
        }
    }
}

impl Core {
    fn held(&self) -> MutexGuard<'_, HashMap<Uuid, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All claims.
    pub(super) fn claims(&self) -> Vec<Claimed> {
        self.held().iter().map(|(id, held)| Claimed { id: *id, fence: held.fence }).collect()
    }

    /// Notes that claims held at a moment.
    pub(super) fn proven(&self, ids: &[Uuid], at: Instant) {
        let mut held = self.held();
        for id in ids {
            if let Some(held) = held.get_mut(id) {
                held.proven_at = at;
            }
        }
    }

    /// Lets a claim go: its job ends at its next await if it is still under way.
    pub(super) fn let_go(&self, claimed: Claimed) -> bool {
        let mut held = self.held();
        let is_ours = held.get(&claimed.id).is_some_and(|held| held.fence == claimed.fence);
        is_ours && held.remove(&claimed.id).is_some()
    }

    /// The claims that have not been proven for a whole lease: others may have them by now.
    pub(super) fn outlived(&self) -> Vec<Claimed> {
        let lease = self.runner.pace.lease;
        let held = self.held();
        let outlived = held.iter().filter(|(_, held)| held.proven_at.elapsed() >= lease);
        outlived.map(|(id, held)| Claimed { id: *id, fence: held.fence }).collect()
    }

    /// A wait before the next attempt.
    pub(super) fn wait_after(&self, attempt: i16) -> Duration {
        wait_after(attempt, chance(self.runner.clock.secret()))
    }

    /// How an attempt ends by its answer.
    fn ending(&self, job: (i16, i16), answer: Answer) -> Ending {
        let (attempt, attempts_max) = job;
        match answer {
            Ok(()) => Ending::Completed,
            Err(Setback::Retry(error)) if attempt >= attempts_max => Ending::Discarded(error),
            Err(Setback::Retry(error)) => Ending::Retry(self.wait_after(attempt), error),
            Err(Setback::Snooze(until)) => {
                Ending::Snoozed((until - self.runner.clock.now()).to_std().unwrap_or(Duration::ZERO))
            }
            Err(Setback::Unavailable) => Ending::Snoozed(UNAVAILABLE_PAUSE),
            Err(Setback::GiveUp(error)) => Ending::Discarded(error),
        }
    }

    /// Claims as many jobs as there are free slots.
    async fn claim(&self, slots: usize, after: Uuid) -> Result<(Vec<Job>, Uuid), DbError> {
        let Runner { control, handlers, room, pace, name, .. } = &self.runner;
        let (kinds, attempts) = handlers.kinds();
        let wanted = Claim {
            kinds,
            attempts,
            after,
            lane_max: room.per_tenant_max.into(),
            slots: i32::try_from(slots).unwrap_or(i32::MAX),
            worker: name.clone(),
            lease: pace.lease.as_secs_f64(),
        };
        claim(control, wanted).await
    }
}

/// Claims and runs until `stop` resolves, and then ends what runs.
async fn claim_and_run(core: &Arc<Core>, ended: mpsc::UnboundedSender<Ended>, stop: impl Future<Output = ()>) {
    let slots = usize::from(core.runner.room.slots);
    let mut jobs = JoinSet::new();
    let mut polls = interval(core.runner.pace.poll);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = pin!(stop);
    let mut ear = core.runner.bell.ear();
    let mut after = Uuid::nil();
    // Whether there may be jobs that can be claimed.
    let mut is_hungry = true;
    let mut claimed_at = Instant::now();
    loop {
        while jobs.try_join_next().is_some() {}
        let free = slots.saturating_sub(jobs.len());
        let pause = if free * 2 >= slots { Duration::ZERO } else { CLAIM_PAUSE };
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = rest(pause.saturating_sub(claimed_at.elapsed())), if is_hungry && free > 0 => {
                claimed_at = Instant::now();
                match core.claim(free, after).await {
                    Ok((claimed, last)) => {
                        after = last;
                        is_hungry = !claimed.is_empty();
                        for job in claimed {
                            start(core, &mut jobs, job, claimed_at, ended.clone());
                        }
                    }
                    Err(error) => {
                        is_hungry = false;
                        tracing::warn!(%error, "Jobs could not be claimed");
                    }
                }
            }
            Some(_) = jobs.join_next() => {}
            () = core.freed.notified() => is_hungry = true,
            () = ear.heard() => is_hungry = true,
            _ = polls.tick() => is_hungry = true,
        }
    }
    drop(ended);
    drain(core, jobs).await;
}

/// Waits, or does not: a timer that is over already would cost a turn of the runtime.
async fn rest(pause: Duration) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
}

/// Lets running jobs finish, and gives back those that do not in time.
async fn drain(core: &Core, mut jobs: JoinSet<()>) {
    let drain_timeout = core.runner.pace.drain;
    tracing::info!(jobs.running = jobs.len(), "Stopping: no new jobs, finishing what is under way");
    if timeout(drain_timeout, async { while jobs.join_next().await.is_some() {} }).await.is_ok() {
        return;
    }
    tracing::warn!(jobs.running = jobs.len(), "Giving back jobs that are still running after {drain_timeout:?}");
    for claimed in core.claims() {
        if let Some(held) = core.held().remove(&claimed.id) {
            let _ = held.lifeline.send(());
        }
    }
    if timeout(GIVE_BACK_TIMEOUT, async { while jobs.join_next().await.is_some() {} }).await.is_err() {
        // What hears nothing is left to the lease.
        jobs.abort_all();
    }
}

/// Starts a claimed job.
fn start(core: &Arc<Core>, jobs: &mut JoinSet<()>, job: Job, claimed_at: Instant, ended: mpsc::UnboundedSender<Ended>) {
    let (lifeline, cut) = oneshot::channel();
    core.held().insert(job.id, Held { fence: job.fence, proven_at: claimed_at, lifeline });
    let notes = JobNotes { id: job.id, kind: &job.kind, attempt: job.attempt, tenant: job.tenant_id };
    let span = frames::job(&notes, &Cause::of_meta(&job.meta));
    jobs.spawn(attempt(Arc::clone(core), job, cut, ended).instrument(span));
}

/// Makes one attempt and hands its end to the scribe. A job whose claim is lost ends without a word: it is another's.
async fn attempt(core: Arc<Core>, job: Job, cut: oneshot::Receiver<()>, ended: mpsc::UnboundedSender<Ended>) {
    let started = Instant::now();
    let claimed = Claimed { id: job.id, fence: job.fence };
    let (kind, attempts) = (job.kind.clone(), (job.attempt, job.attempts_max));
    let ending = tokio::select! {
        biased;
        cut = cut => match cut {
            Ok(()) => Ending::GivenBack,
            Err(_) => {
                core.runner.metrics.attempts.with_label_values(&[kind.as_str(), "lost"]).inc();
                tracing::warn!("Dropped a job whose claim is lost");
                return;
            }
        },
        answer = answer(core.runner.handlers.get(&kind), job) => core.ending(attempts, answer),
    };
    note(&ending);
    match &ending {
        Ending::Retry(_, error) => tracing::warn!(error, "An attempt failed"),
        Ending::Discarded(error) => tracing::error!(error, "A job was discarded"),
        _ => tracing::debug!(outcome = ending.outcome(), "An attempt ended"),
    }
    // Nobody listens any more where the scribe has given up; the lease ends the claim then.
    let _ = ended.send(Ended { verdict: Verdict { claimed, ending }, kind, duration: started.elapsed() });
}

/// Tells the trace how an attempt ended.
fn note(ending: &Ending) {
    let span = tracing::Span::current();
    traces::note(&span, "shelfwise.job.outcome", ending.outcome());
    if matches!(ending, Ending::Retry(..) | Ending::Discarded(_)) {
        traces::note_failure(&span, "attempt_failed");
    }
}

/// What a handler answers, its panics and delays among it.
async fn answer(handler: Option<&Arc<dyn Handler>>, job: Job) -> Answer {
    let Some(handler) = handler else { return Err(Setback::Retry("no handler knows this kind".to_owned())) };
    let time = handler.timeout();
    let work = AssertUnwindSafe(async { handler.run(job).await }).catch_unwind();
    match timeout(time, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Err(Setback::Retry(format!("panicked: {}", panic_text(&*panic)))),
        Err(_) => Err(Setback::Retry(format!("took longer than {time:?}"))),
    }
}

/// What a panic says.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
