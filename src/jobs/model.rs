//! A job as its handler sees it, and the states of its row.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::kernel::ids::TenantId;

/// A job that was claimed.
#[derive(Debug, Clone, Queryable)]
pub struct Job {
    /// The job; ids are made in the order of time.
    pub id: Uuid,
    /// Whose job it is; `None` for the platform's own.
    pub tenant_id: Option<Uuid>,
    /// What is to be done.
    pub kind: String,
    /// With what.
    pub payload: Value,
    /// Which attempt this is, from 1 on.
    pub attempt: i16,
    /// After so many failed attempts the job is discarded.
    pub attempts_max: i16,
    /// The claim: whoever claims the job after this worker has a higher one.
    pub fence: i64,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// Which request caused it.
    pub meta: Value,
    /// Whose turn it took.
    pub lane: Uuid,
}

impl Job {
    /// Whose job it is; `None` for the platform's own.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        self.tenant_id.map(TenantId)
    }
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// May be claimed.
    Available,
    /// Waits for its time.
    Scheduled,
    /// Claimed by a worker.
    Running,
    /// Failed, and waits to be tried again.
    Retryable,
    /// Done.
    Completed,
    /// Called off.
    Cancelled,
    /// Given up after its last attempt: a dead letter.
    Discarded,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Available,
        Self::Scheduled,
        Self::Running,
        Self::Retryable,
        Self::Completed,
        Self::Cancelled,
        Self::Discarded,
    ];

    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Retryable => "retryable",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("unknown state; use one of {}", names()))
    }
}
