//! What becomes of claims: prolonged, or ended. Nothing is written about a job whose claim is lost.

use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Double, Nullable, SmallInt, Text, Uuid as SqlUuid};
use uuid::Uuid;

use crate::db::statement::statement;
use crate::db::{ControlTx, DbError};
use crate::jobs::model::JobState;

/// The most characters of an error that a job's row keeps.
const ERROR_LEN_MAX: usize = 1_000;

/// A claim: a job, and the fence that it was claimed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// The job.
    pub id: Uuid,
    /// The fence.
    pub fence: i64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Done.
    Completed,
    /// Failed; tried again after a wait.
    Retry(Duration, String),
    /// Put off. The attempt does not count.
    Snoozed(Duration),
    /// Failed for the last time.
    Discarded(String),
    /// Given back as it was claimed. The attempt does not count.
    GivenBack,
}

/// An ending of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The claim.
    pub claimed: Claimed,
    /// How it ended.
    pub ending: Ending,
}

impl Ending {
    /// The state that the job is in then.
    #[must_use]
    pub fn state(&self) -> JobState {
        match self {
            Self::Completed => JobState::Completed,
            Self::Retry(..) => JobState::Retryable,
            Self::Snoozed(_) => JobState::Scheduled,
            Self::Discarded(_) => JobState::Discarded,
            Self::GivenBack => JobState::Available,
        }
    }

    /// What a metric calls it.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retry(..) => "failed",
            Self::Snoozed(_) => "snoozed",
            Self::Discarded(_) => "discarded",
            Self::GivenBack => "given_back",
        }
    }

    fn wait(&self) -> Option<f64> {
        match self {
            Self::Retry(wait, _) | Self::Snoozed(wait) => Some(wait.as_secs_f64()),
            _ => None,
        }
    }

    fn error(&self) -> Option<String> {
        match self {
            // PostgreSQL takes no NUL.
            Self::Retry(_, error) | Self::Discarded(error) => {
                Some(error.chars().filter(|c| *c != '\0').take(ERROR_LEN_MAX).collect())
            }
            _ => None,
        }
    }

    /// Attempts that are given back.
    fn refund(&self) -> i16 {
        i16::from(matches!(self, Self::Snoozed(_) | Self::GivenBack))
    }
}

statement!(
    /// Prolongs claims and answers those that held.
    Beat {
        lease: f64 => Double,
        ids: Vec<Uuid> => Array<SqlUuid>,
        fences: Vec<i64> => Array<BigInt>,
    } -> SqlUuid = "
UPDATE control.jobs SET lease_expires_at = clock_timestamp() + make_interval(secs => {})
FROM unnest({}::uuid[], {}::int8[]) AS held (id, fence)
WHERE jobs.id = held.id AND jobs.fence = held.fence AND jobs.state = 'running'
RETURNING jobs.id"
);

statement!(
    /// Ends claims and answers those that held until then. A row keeps its last ten errors.
    Finish {
        ids: Vec<Uuid> => Array<SqlUuid>,
        fences: Vec<i64> => Array<BigInt>,
        states: Vec<&'static str> => Array<Text>,
        waits: Vec<Option<f64>> => Array<Nullable<Double>>,
        errors: Vec<Option<String>> => Array<Nullable<Text>>,
        refunds: Vec<i16> => Array<SmallInt>,
    } -> SqlUuid = "
UPDATE control.jobs
SET state = ended.state,
    attempt = jobs.attempt - ended.refund,
    scheduled_at = CASE WHEN ended.wait IS NULL THEN jobs.scheduled_at
        ELSE clock_timestamp() + make_interval(secs => ended.wait) END,
    finalized_at = CASE WHEN ended.state IN ('completed', 'discarded') THEN clock_timestamp() END,
    lease_expires_at = NULL,
    errors = CASE WHEN ended.error IS NULL THEN jobs.errors ELSE
        (CASE WHEN jsonb_array_length(jobs.errors) >= 10 THEN jobs.errors - 0 ELSE jobs.errors END)
        || jsonb_build_object('at', clock_timestamp(), 'attempt', jobs.attempt, 'message', ended.error) END
FROM unnest({}::uuid[], {}::int8[], {}::text[], {}::float8[], {}::text[], {}::int2[])
    AS ended (id, fence, state, wait, error, refund)
WHERE jobs.id = ended.id AND jobs.fence = ended.fence AND jobs.state = 'running'
RETURNING jobs.id"
);

/// Prolongs claims, and answers the jobs whose claim held.
///
/// # Errors
/// The statement's failure.
pub async fn beat(tx: &mut ControlTx, claims: &[Claimed], lease: Duration) -> Result<Vec<Uuid>, DbError> {
    let (ids, fences) = claims.iter().map(|claim| (claim.id, claim.fence)).unzip();
    tx.load(Beat { ids, fences, lease: lease.as_secs_f64() }).await
}

/// Ends claims, and answers the jobs whose claim held until then.
///
/// # Errors
/// The statement's failure.
pub async fn finish(tx: &mut ControlTx, verdicts: &[Verdict]) -> Result<Vec<Uuid>, DbError> {
    let ending = || verdicts.iter().map(|verdict| &verdict.ending);
    let (ids, fences) = verdicts.iter().map(|verdict| (verdict.claimed.id, verdict.claimed.fence)).unzip();
    tx.load(Finish {
        ids,
        fences,
        states: ending().map(|ending| ending.state().as_str()).collect(),
        waits: ending().map(Ending::wait).collect(),
        errors: ending().map(Ending::error).collect(),
        refunds: ending().map(Ending::refund).collect(),
    })
    .await
}
