//! A run, its steps, and what is known before there are any.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::db::migrate::check::{Problem, check};
use crate::db::migrate::notes::Direction;
use crate::db::migrate::{Migration, Plane, TENANT_VERSION_MIN, migrations};
use crate::db::schema::control::{migration_runs, migration_steps};
use crate::kernel::ids::{MigrationRunId, TenantId};

/// The wave of spare schemas.
pub const WAVE_SPARES: i32 = 0;

/// The wave of canaries.
pub const WAVE_CANARIES: i32 = 1;

/// Why a run has paused that was asked to after its canaries.
pub const HOLD_REASON: &str = "the canaries are done; resume to go on";

/// The migrations of tenants' schemas that a process knows. Clones are the same set.
#[derive(Debug, Clone)]
pub struct MigrationSet {
    /// In their order.
    pub migrations: Arc<[Migration]>,
    /// The oldest version that this release works on.
    pub version_min: String,
    /// Whether one of them waits for another's backfill.
    pub has_waits: bool,
}

/// How a run goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Slugs of tenants who go first.
    pub canaries: Vec<String>,
    /// Schemas of a wave.
    pub wave_size: i32,
    /// Schemas that are changed at once; it is bound by the processor.
    pub concurrency: i16,
    /// The share of a wave's steps that may fail before the run pauses itself.
    pub error_rate_max: f64,
    /// After so many attempts a step has failed.
    pub attempts_max: i16,
    /// How long a step waits for a lock, in milliseconds, and so how long it may keep a shop waiting.
    pub lock_timeout_ms: i32,
    /// Whether the run pauses when the canaries are done.
    pub hold_after_canaries: bool,
    /// Whether a paused run that is in the way is abandoned.
    pub supersede: bool,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// Its steps are done by whoever leads it.
    Running,
    /// Nothing is done before an operator says so.
    Paused,
    /// Every step has ended, be it by failing.
    Completed,
    /// Ended by an operator with steps left.
    Abandoned,
}

/// A run of the fleet.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = migration_runs)]
pub struct Run {
    /// The run; ids are made in the order of time.
    #[diesel(deserialize_as = Uuid)]
    pub id: MigrationRunId,
    /// Which way, as text.
    pub direction: String,
    /// What schemas are brought to, or from where they go back.
    pub target_version: String,
    /// The state, as text.
    pub status: String,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// The run that it takes back.
    pub reverts: Option<Uuid>,
    /// Schemas of a wave.
    pub wave_size: i32,
    /// Schemas that are changed at once.
    pub concurrency: i16,
    /// The share of a wave's steps that may fail.
    pub error_rate_max: f64,
    /// After so many attempts a step has failed.
    pub attempts_max: i16,
    /// How long a step waits for a lock, in milliseconds.
    pub lock_timeout_ms: i32,
    /// Whether it pauses when the canaries are done.
    pub hold_after_canaries: bool,
    /// Who leads it.
    pub leader: Option<String>,
    /// Until when, unless it is prolonged.
    pub leader_until: Option<DateTime<Utc>>,
    /// Who asked for it.
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What a run does to one schema.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct StepRow {
    /// The slug of the tenant; `None` for a spare schema.
    pub slug: Option<String>,
    /// The tenant, or the one that the spare schema is to become.
    #[diesel(deserialize_as = Uuid)]
    pub tenant: TenantId,
    /// In which wave.
    pub wave: i32,
    /// `pending`, `completed`, `failed` or `skipped`.
    pub status: String,
    /// The version before.
    pub from_version: String,
    /// The version that is meant.
    pub to_version: String,
    /// Attempts so far.
    pub attempts: i16,
    /// What went wrong at last.
    pub error: Option<String>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A step that is to be done.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = migration_steps)]
pub struct DueStep {
    /// The tenant, or the one that the spare schema is to become.
    #[diesel(deserialize_as = Uuid)]
    #[diesel(column_name = tenant_id)]
    pub tenant: TenantId,
    /// Whether it was a spare schema when the run began.
    pub is_spare: bool,
    /// In which wave.
    pub wave: i32,
    /// The version that is meant.
    pub to_version: String,
    /// Attempts so far.
    pub attempts: i16,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Steps in all.
    pub total: i64,
    /// Done.
    pub completed: i64,
    /// Given up; these schemas keep their version.
    pub failed: i64,
    /// Passed over: the schema is gone, or waits for its backfill and is a later run's.
    pub skipped: i64,
    /// To be done.
    pub pending: i64,
    /// Of these, tried before: in use by somebody, mostly.
    pub retrying: i64,
    /// The wave under way; `None` where nothing is to be done.
    pub wave: Option<i32>,
    /// The last wave.
    pub wave_last: Option<i32>,
    /// Steps that ended in each second of the last minute.
    pub rate: f64,
}

/// How many schemas are at a version.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Behind {
    /// The version.
    pub version: String,
    /// Schemas of tenants.
    pub tenants: i64,
    /// Spare schemas.
    pub spares: i64,
}

/// A migration that a run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The migration's folder.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it runs in a transaction.
    pub is_transactional: bool,
    /// Whether it leaves something to be filled in by jobs.
    pub has_backfill: bool,
    /// Whether it waits for another's backfill.
    pub after_backfill: Option<String>,
}

/// What a run would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What schemas would be brought to.
    pub target: String,
    /// Schemas that are behind, by version.
    pub behind: Vec<Behind>,
    /// Migrations that some of them lack.
    pub migrations: Vec<Planned>,
    /// What the migrations do and must not.
    pub problems: Vec<Problem>,
    /// Waves of tenants who are no canaries, at the usual size.
    pub waves: i64,
    /// Backfills that are under way.
    pub backfills: i64,
    /// The run that has not ended.
    pub unfinished: Option<Run>,
}

impl MigrationSet {
    /// The migrations of this release.
    #[must_use]
    pub fn embedded() -> Self {
        Self::of(migrations(Plane::Tenant))
    }

    /// A set of one's own, in the order of versions.
    #[must_use]
    pub fn of(migrations: Vec<Migration>) -> Self {
        let has_waits = migrations.iter().any(|migration| migration.after_backfill().is_some());
        Self { migrations: migrations.into(), version_min: TENANT_VERSION_MIN.to_owned(), has_waits }
    }

    /// The version of the newest one.
    #[must_use]
    pub fn newest(&self) -> &str {
        self.migrations.last().map_or("", |migration| migration.version.as_str())
    }

    /// The migration of a version.
    #[must_use]
    pub fn get(&self, version: &str) -> Option<&Migration> {
        self.migrations.iter().find(|migration| migration.version == version)
    }

    /// What is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        check(&self.migrations)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            canaries: Vec::new(),
            wave_size: 500,
            concurrency: 4,
            error_rate_max: 0.05,
            attempts_max: 10,
            lock_timeout_ms: 200,
            hold_after_canaries: false,
            supersede: false,
        }
    }
}

impl Options {
    /// What breaks a bound.
    #[must_use]
    pub fn problems(&self) -> Vec<&'static str> {
        let rules = [
            ((1..=10_000).contains(&self.wave_size), "A wave has 1 to 10000 schemas."),
            ((1..=16).contains(&self.concurrency), "1 to 16 schemas are changed at once."),
            ((0.0..=1.0).contains(&self.error_rate_max), "The rate of errors is between 0 and 1."),
            ((1..=100).contains(&self.attempts_max), "A step has 1 to 100 attempts."),
            ((10..=10_000).contains(&self.lock_timeout_ms), "A lock is waited for 10 to 10000 milliseconds."),
            (self.canaries.len() <= 1_000, "There are at most 1000 canaries."),
        ];
        rules.into_iter().filter(|(is_kept, _)| !is_kept).map(|(_, rule)| rule).collect()
    }
}

impl Run {
    /// The state. A text that no version knows counts as paused: nothing is done.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.status.parse().unwrap_or(RunStatus::Paused)
    }

    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.direction == Direction::Down.as_str() { Direction::Down } else { Direction::Up }
    }

    /// How long a step waits for a lock.
    #[must_use]
    pub fn lock_timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.lock_timeout_ms).unwrap_or(1))
    }

    /// How many steps of a wave of this size may fail. One always may, where any may: a rate says nothing about few. A
    /// canary may not.
    #[must_use]
    pub fn failures_allowed(&self, wave: i32, size: i64) -> i64 {
        if wave <= WAVE_CANARIES || self.error_rate_max <= 0.0 {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a share of a wave is no more than the wave")]
        let share = (self.error_rate_max * size as f64) as i64;
        share.max(1)
    }
}

impl RunStatus {
    /// The text that the database stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl FromStr for RunStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Running, Self::Paused, Self::Completed, Self::Abandoned]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("unknown status `{text}`"))
    }
}

impl Progress {
    /// Steps that have ended.
    #[must_use]
    pub fn ended(&self) -> i64 {
        self.total - self.pending
    }

    /// How many seconds the rest will take at the present rate; `None` where nothing moves.
    #[must_use]
    pub fn eta_seconds(&self) -> Option<f64> {
        (self.rate > 0.0).then(|| self.pending as f64 / self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_never_stops_a_wave_and_one_canary_does() {
        let run = |rate| Run {
            id: MigrationRunId(Uuid::nil()),
            direction: "up".to_owned(),
            target_version: "1".to_owned(),
            status: "running".to_owned(),
            pause_reason: None,
            reverts: None,
            wave_size: 500,
            concurrency: 4,
            error_rate_max: rate,
            attempts_max: 10,
            lock_timeout_ms: 200,
            hold_after_canaries: false,
            leader: None,
            leader_until: None,
            requested_by: "cli:test".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
            finished_at: None,
        };
        let check = |rate, wave, size, allowed| {
            assert_eq!(run(rate).failures_allowed(wave, size), allowed, "{rate} {wave} {size}");
        };
        check(0.05, WAVE_SPARES, 500, 0);
        check(0.05, WAVE_CANARIES, 500, 0);
        check(0.05, 2, 3, 1);
        check(0.05, 2, 500, 25);
        check(0.0, 2, 500, 0);
        check(1.0, 2, 10, 10);
    }

    #[test]
    fn options_have_bounds() {
        assert!(Options::default().problems().is_empty());
        let odd = Options {
            wave_size: 0,
            concurrency: 17,
            error_rate_max: f64::NAN,
            attempts_max: 0,
            lock_timeout_ms: 0,
            ..Options::default()
        };
        assert_eq!(odd.problems().len(), 5);
    }
}
