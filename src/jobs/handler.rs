//! What jobs do: a handler for each kind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::model::Job;
use crate::db::DbError;

/// Attempts where a handler does not say.
pub const ATTEMPTS_MAX: i16 = 10;

/// How long an attempt may take where a handler does not say.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// How an attempt ended: done, or not.
pub type Answer = Result<(), Setback>;

/// Why a job is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setback {
    /// It failed: to be tried again later, as long as attempts are left.
    Retry(String),
    /// It is not the time for it. No attempt is used up.
    Snooze(DateTime<Utc>),
    /// The database was out of reach or had no room: not the job's fault. It is tried again in a moment, and no attempt is
    /// used up.
    Unavailable,
    /// It can never be done: a dead letter at once.
    GiveUp(String),
}

/// Does the jobs of one kind.
///
/// A job is done at least once: a worker may die after the work and before this is written down. So each handler says
/// why doing its job twice is safe. It is dropped at an await where its time is up or its claim is lost.
pub trait Handler: Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> &'static str;

    /// After so many failed attempts a job is discarded.
    fn attempts_max(&self) -> i16 {
        ATTEMPTS_MAX
    }

    /// How long an attempt may take.
    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    /// Makes one attempt.
    fn run(&self, job: Job) -> BoxFuture<'_, Answer>;
}

impl From<DbError> for Setback {
    fn from(error: DbError) -> Self {
        match error {
            // Of one that is given up again and again somebody should hear.
            DbError::Conflict(_) => Self::Retry(error.to_string()),
            _ if error.is_unavailable() => Self::Unavailable,
            _ => Self::Retry(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Setback {
    fn from(error: serde_json::Error) -> Self {
        // Where, and not what: the payload may hold personal data.
        Self::Retry(format!("the payload is not as it should be, at its column {}", error.column()))
    }
}

impl From<anyhow::Error> for Setback {
    fn from(error: anyhow::Error) -> Self {
        Self::Retry(format!("{error:#}"))
    }
}

/// The handlers of a worker. It claims jobs of their kinds and leaves all others to workers that know them.
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<&'static str, Arc<dyn Handler>>);

impl Handlers {
    /// The same with another one, which takes the place of an earlier one of its kind.
    #[must_use]
    pub fn with(mut self, handler: impl Handler) -> Self {
        self.0.insert(handler.kind(), Arc::new(handler));
        self
    }

    /// The handler of a kind.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn Handler>> {
        self.0.get(kind)
    }

    /// The kinds, with how often each is tried.
    #[must_use]
    pub fn kinds(&self) -> (Vec<String>, Vec<i16>) {
        self.0.iter().map(|(kind, handler)| ((*kind).to_owned(), handler.attempts_max())).unzip()
    }
}
