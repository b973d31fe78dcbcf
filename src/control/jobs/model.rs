//! A job as operators see it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::jobs::JobState;
use crate::kernel::ids::{JobId, TenantId};

/// A row of the queue, without its payload.
#[derive(Debug, Clone, Queryable)]
pub struct JobRow {
    /// The job; ids are made in the order of time.
    #[diesel(deserialize_as = Uuid)]
    pub id: JobId,
    /// The slug of the tenant; `None` for the platform's own.
    pub tenant: Option<String>,
    /// What is to be done.
    pub kind: String,
    /// The state, as text.
    pub state: String,
    /// From 1, the most urgent, to 4.
    pub priority: i16,
    /// Attempts so far.
    pub attempt: i16,
    /// After so many failed attempts the job is discarded.
    pub attempts_max: i16,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it is or was to be done.
    pub scheduled_at: DateTime<Utc>,
    /// When the last attempt began.
    pub attempted_at: Option<DateTime<Utc>>,
    /// Which worker made it.
    pub attempted_by: Option<String>,
    /// When it ended.
    pub finalized_at: Option<DateTime<Utc>>,
    /// The last errors.
    pub errors: Value,
}

impl JobRow {
    /// The state. A text that no version knows counts as discarded: it waits for a person.
    #[must_use]
    pub fn state(&self) -> JobState {
        self.state.parse().unwrap_or(JobState::Discarded)
    }
}

/// Which jobs, by the slug of their tenant.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
}

/// Which jobs, by the id of their tenant.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
}

/// How many jobs of a kind are in a state.
#[derive(Debug, Clone, Queryable)]
pub struct JobCount {
    /// The kind.
    pub kind: String,
    /// The state, as text.
    pub state: String,
    /// How many.
    pub count: i64,
    /// The earliest time that one of them is or was to be done.
    pub oldest: Option<DateTime<Utc>>,
}

/// What the queue holds.
#[derive(Debug, Clone)]
pub struct JobStats {
    /// How many jobs of each kind are in each state.
    pub counts: Vec<JobCount>,
    /// Since when the oldest job that may be claimed waits.
    pub oldest_due_at: Option<DateTime<Utc>>,
}

/// What the queue holds of a tenant: its slug, how many unfinished jobs, and for how many seconds the oldest that may be
/// claimed is due.
pub type TenantDepth = (String, i64, f64);
