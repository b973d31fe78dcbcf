//! Whether this process can do its work: what its probes answer, and the details for operators.
//!
//! A look asks the database one question and Redis another. Its result is kept for the interval of the configuration, and for a
//! second where something is wrong; one look is under way at a time, and none takes longer than [`LOOK_TIMEOUT`]. So however many
//! probes there are, what they cost is bounded, and who probes and goes away breaks nothing off. The database is asked by a connection
//! that nothing else uses.

pub mod graphql;
mod repo;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use prometheus::IntGauge;

use crate::db::migrate::{CONTROL_VERSION_MIN, TENANT_VERSION_MIN};
use crate::db::{ControlDb, DbError};
use crate::kernel::clock::Clock;
use crate::redis::Redis;

/// How long a look may take.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// From one look to the next while something is wrong, where the interval is longer: what is mended is to be used.
const UNREADY_INTERVAL: Duration = Duration::from_secs(1);

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Tells whether it is as it should be.
    pub is_ok: bool,
    /// Whether the process is of no use without it.
    pub is_required: bool,
    /// How long it took to find out.
    pub duration: Duration,
    /// What was found, for operators. It holds no secret.
    pub message: String,
}

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// When.
    pub at: DateTime<Utc>,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether all is there that the process cannot do without.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.checks.iter().all(|check| check.is_ok || !check.is_required)
    }
}

/// The phase of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The process has not found out yet what it can do.
    Starting,
    /// The process works, or would.
    Running,
    /// The process was told to stop, and gets no new work.
    Stopping,
}

impl Phase {
    /// The name for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}

/// What this process knows of its own health. Clones are the same.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    control: ControlDb,
    redis: Option<Redis>,
    clock: Arc<dyn Clock>,
    interval: Duration,
    /// `shelfwise_ready`.
    ready: IntGauge,
    is_stopping: AtomicBool,
    state: Mutex<State>,
    looks: AtomicU64,
}

#[derive(Default)]
struct State {
    last: Option<(Arc<Report>, Instant)>,
    under_way: Option<Look>,
}

/// A look that is under way, to be waited for by anybody.
type Look = Shared<BoxFuture<'static, Option<Arc<Report>>>>;

impl Health {
    /// Nobody has looked yet.
    #[must_use]
    pub fn new(
        control: ControlDb,
        redis: Option<Redis>,
        clock: Arc<dyn Clock>,
        interval: Duration,
        ready: IntGauge,
    ) -> Self {
        let (is_stopping, state, looks) = (AtomicBool::new(false), Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Inner { control, redis, clock, interval, ready, is_stopping, state, looks }))
    }

    /// What the process is at.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if self.0.is_stopping.load(Ordering::Acquire) {
            Phase::Stopping
        } else if self.state().last.is_some() {
            Phase::Running
        } else {
            Phase::Starting
        }
    }

    /// What was found lately, or else what is found now; nothing where the process ends meanwhile.
    pub async fn report(&self) -> Option<Arc<Report>> {
        let look = {
            let mut state = self.state();
            if let Some((report, at)) = &state.last
                && at.elapsed() < self.pause(report)
            {
                return Some(Arc::clone(report));
            }
            // One that came to nothing, by a panic, is no reason never to look again.
            match state.under_way.clone().filter(|look| look.peek().is_none()) {
                Some(look) => look,
                None => state.under_way.insert(self.look()).clone(),
            }
        };
        look.await
    }

    /// Whether the process should be given work.
    pub async fn is_ready(&self) -> bool {
        if self.phase() == Phase::Stopping {
            return false;
        }
        self.report().await.is_some_and(|report| report.is_well())
    }

    /// Has somebody look where nobody has, and waits for nothing.
    pub fn wake(&self) {
        let _ = self.report().now_or_never();
    }

    /// Says from now on that the process is not ready: it was told to stop.
    pub fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::Release);
        self.0.ready.set(0);
    }

    /// Looks again and again, so that probes and metrics find what they ask for.
    pub async fn keep(&self) -> Infallible {
        loop {
            let pause = self.report().await.map_or(UNREADY_INTERVAL, |report| self.pause(&report));
            tokio::time::sleep(pause).await;
        }
    }

    /// How many looks there were.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.0.looks.load(Ordering::Relaxed)
    }

    /// How long what was found counts.
    fn pause(&self, report: &Report) -> Duration {
        if report.is_well() { self.0.interval } else { self.0.interval.min(UNREADY_INTERVAL) }
    }

    /// Begins a look. It goes on whether anybody waits for it or not.
    fn look(&self) -> Look {
        self.0.looks.fetch_add(1, Ordering::Relaxed);
        let health = self.clone();
        #[expect(clippy::disallowed_methods, reason = "one at a time, and none takes longer than its timeout")]
        let task = tokio::spawn(async move {
            let report = Arc::new(health.0.look().await);
            let mut state = health.state();
            health.tell(state.last.as_ref().map(|(report, _)| report.as_ref()), &report);
            *state = State { last: Some((Arc::clone(&report), Instant::now())), under_way: None };
            report
        });
        async move { task.await.ok() }.boxed().shared()
    }

    /// Counts what was found, and logs it where it is not what was found before.
    fn tell(&self, before: Option<&Report>, report: &Report) {
        let is_well = report.is_well();
        self.0.ready.set(i64::from(is_well && !self.0.is_stopping.load(Ordering::Acquire)));
        if before.is_none_or(|before| before.is_well()) == is_well {
            return;
        }
        if is_well {
            tracing::info!("Ready again");
        }
        for Check { name, message, .. } in report.checks.iter().filter(|check| !check.is_ok && check.is_required) {
            tracing::warn!(check = name, error = message, "Not ready");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    async fn look(&self) -> Report {
        let (database, redis) = futures_util::future::join(self.look_at_database(), self.look_at_redis()).await;
        Report { at: self.clock.now(), checks: database.into_iter().chain(redis).collect() }
    }

    /// Asks the database whether it answers, and which migrations it has had.
    async fn look_at_database(&self) -> [Check; 2] {
        let asked_at = Instant::now();
        let standing = tokio::time::timeout(LOOK_TIMEOUT, repo::standing(&self.control)).await;
        let check = |name, found: Result<String, String>| Check {
            name,
            is_ok: found.is_ok(),
            is_required: true,
            duration: asked_at.elapsed(),
            message: found.unwrap_or_else(|problem| problem),
        };
        let (database, migrations) = match standing {
            Ok(Ok(standing)) => (Ok("it answers".to_owned()), judged(standing.as_ref())),
            // It answers, but has no such view, or none that we may read: no release that has one has migrated it.
            Ok(Err(error @ (DbError::Other(_) | DbError::Denied(_)))) => {
                let problem =
                    format!("no version is told, so run `shelfwise migrate`: {}", first_line(&error.to_string()));
                (Ok("it answers".to_owned()), Err(problem))
            }
            Ok(Err(error)) => (Err(first_line(&error.to_string())), Err(UNKNOWN.to_owned())),
            Err(_) => (
                Err(format!("no answer within {LOOK_TIMEOUT:?}; the log says where a connection failed")),
                Err(UNKNOWN.to_owned()),
            ),
        };
        [check("database", database), check("migrations", migrations)]
    }

    /// Asks Redis whether it answers, where there is one. Nothing rests on it.
    async fn look_at_redis(&self) -> Option<Check> {
        let redis = self.redis.as_ref()?;
        let asked_at = Instant::now();
        let is_ok = redis.ping().await.is_ok();
        let message = if is_ok { "it answers" } else { "it does not answer; limits and cache are this process's own" };
        let duration = asked_at.elapsed();
        Some(Check { name: "redis", is_ok, is_required: false, duration, message: message.to_owned() })
    }
}

/// What is told of migrations while the database does not answer.
const UNKNOWN: &str = "not known while the database does not answer";

/// Whether this release works on the schemas that are there.
fn judged(standing: Option<&repo::Standing>) -> Result<String, String> {
    let version = standing.and_then(|standing| standing.control.as_deref()).unwrap_or("no version");
    if version < CONTROL_VERSION_MIN || !version.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(format!(
            "the control plane is at {version}, and this release needs {CONTROL_VERSION_MIN}: run `shelfwise migrate`"
        ));
    }
    match standing.map_or((false, false), |standing| (standing.has_older, standing.has_suitable)) {
        // Not one of them can be served: the fleet was not migrated.
        (true, false) => Err(format!(
            "every tenant is older than {TENANT_VERSION_MIN}, which this release needs: run `shelfwise migrate`"
        )),
        // The others are served; theirs is no reason to turn everybody away.
        (true, true) => {
            Ok(format!("the control plane is at {version}; tenants older than {TENANT_VERSION_MIN} are not served"))
        }
        _ => Ok(format!("the control plane is at {version}")),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_ready_on_what_it_works_on_and_on_what_is_newer() {
        let standing = |control: Option<&str>, has_older, has_suitable| repo::Standing {
            control: control.map(str::to_owned),
            has_older,
            has_suitable,
        };
        let check = |control, (has_older, has_suitable), expected: Result<&str, &str>| {
            let found = judged(Some(&standing(control, has_older, has_suitable)));
            let text = found.as_ref().unwrap_or_else(|problem| problem);
            assert_eq!(found.is_ok(), expected.is_ok(), "{text}");
            assert!(text.contains(expected.unwrap_or_else(|problem| problem)), "{text}");
        };
        check(Some(CONTROL_VERSION_MIN), (false, true), Ok("is at"));
        check(Some(CONTROL_VERSION_MIN), (false, false), Ok("is at"));
        check(Some("29990101000001"), (false, true), Ok("29990101000001"));
        check(Some("20261124000001"), (false, true), Err("this release needs"));
        check(None, (false, true), Err("no version"));
        check(Some(CONTROL_VERSION_MIN), (true, true), Ok("are not served"));
        check(Some(CONTROL_VERSION_MIN), (true, false), Err("every tenant"));
        assert!(judged(None).is_err());
    }
}
