//! What keeps the queue going: due jobs, lost claims, periodic jobs, old rows.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, SmallInt, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::finish::Claimed;
use crate::db::statement::statement;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::jobs::model::JobState;

/// Rows that one statement moves.
const BATCH: i64 = 1_000;

/// A claim whose lease has run out.
#[derive(Debug, Clone, Queryable)]
pub struct Expired {
    id: Uuid,
    fence: i64,
    /// What was to be done.
    pub kind: String,
    /// The attempt that was broken off.
    pub attempt: i16,
    /// After so many failed attempts the job is discarded.
    pub attempts_max: i16,
}

/// A job that is to be enqueued again and again.
#[derive(Debug, Clone)]
pub struct Periodical {
    /// The id that the next one gets.
    pub id: Uuid,
    /// Its kind.
    pub kind: &'static str,
    /// The pause between two.
    pub every: Duration,
}

impl Expired {
    /// The claim.
    #[must_use]
    pub fn claimed(&self) -> Claimed {
        Claimed { id: self.id, fence: self.fence }
    }
}

statement!(
    /// Makes jobs available whose time has come.
    Promote { batch: i64 => BigInt } -> SqlUuid = "
UPDATE control.jobs SET state = 'available'
WHERE jobs.id = ANY (ARRAY(
    SELECT jobs.id FROM control.jobs
    WHERE jobs.state IN ('scheduled', 'retryable') AND jobs.scheduled_at <= clock_timestamp()
    ORDER BY jobs.scheduled_at LIMIT {} FOR UPDATE SKIP LOCKED
))
RETURNING jobs.id"
);

statement!(
    /// Locks claims whose lease has run out. One that a tenant's transaction holds is left until that has ended.
    Rescue { batch: i64 => BigInt } -> (SqlUuid, BigInt, Text, SmallInt, SmallInt) = "
SELECT jobs.id, jobs.fence, jobs.kind, jobs.attempt, jobs.attempts_max FROM control.jobs
WHERE jobs.state = 'running' AND jobs.lease_expires_at <= clock_timestamp()
ORDER BY jobs.lease_expires_at LIMIT {} FOR UPDATE SKIP LOCKED"
);

statement!(
    /// Enqueues periodic jobs that are due. Of workers that come together one writes the row, and the others see it.
    Enqueue {
        ids: Vec<Uuid> => Array<SqlUuid>,
        kinds: Vec<&'static str> => Array<Text>,
        seconds: Vec<f64> => Array<Double>,
    } -> SqlUuid = "
WITH periodic AS (
    SELECT * FROM unnest({}::uuid[], {}::text[], {}::float8[]) AS periodic (id, kind, seconds)
), due AS (
    INSERT INTO control.periodic_jobs AS known (kind, next_due)
    SELECT periodic.kind, clock_timestamp() + make_interval(secs => periodic.seconds)
    FROM periodic LEFT JOIN control.periodic_jobs ON periodic_jobs.kind = periodic.kind
    WHERE periodic_jobs.next_due IS NULL OR periodic_jobs.next_due <= clock_timestamp()
    ORDER BY periodic.kind
    ON CONFLICT (kind) DO UPDATE SET next_due = excluded.next_due WHERE known.next_due <= clock_timestamp()
    RETURNING known.kind
)
INSERT INTO control.jobs (id, kind, payload, unique_key)
SELECT periodic.id, periodic.kind, '{ }', 'periodic' FROM due JOIN periodic ON periodic.kind = due.kind
ON CONFLICT DO NOTHING
RETURNING id"
);

statement!(
    /// Deletes jobs that ended in a state long ago.
    Prune { state: &'static str => Text, seconds: f64 => Double, batch: i64 => BigInt } -> SqlUuid = "
DELETE FROM control.jobs
WHERE jobs.id = ANY (ARRAY(
    SELECT jobs.id FROM control.jobs
    WHERE jobs.state = {} AND jobs.finalized_at < clock_timestamp() - make_interval(secs => {})
        AND jobs.finalized_at IS NOT NULL
    ORDER BY jobs.finalized_at LIMIT {} FOR UPDATE SKIP LOCKED
))
RETURNING jobs.id"
);

/// Makes some jobs available whose time has come, and answers how many.
///
/// # Errors
/// The statement's failure.
pub async fn promote(tx: &mut ControlTx) -> Result<usize, DbError> {
    let promoted: Vec<Uuid> = tx.load(Promote { batch: BATCH }).await?;
    Ok(promoted.len())
}

/// Some claims whose lease has run out, locked until the transaction ends.
///
/// # Errors
/// The statement's failure.
pub async fn rescue_list(tx: &mut ControlTx) -> Result<Vec<Expired>, DbError> {
    tx.load(Rescue { batch: BATCH }).await
}

/// Enqueues the periodic jobs that are due, and answers how many.
///
/// # Errors
/// The statement's failure.
pub async fn periodic_enqueue(tx: &mut ControlTx, jobs: Vec<Periodical>) -> Result<usize, DbError> {
    let enqueue = Enqueue {
        ids: jobs.iter().map(|job| job.id).collect(),
        kinds: jobs.iter().map(|job| job.kind).collect(),
        seconds: jobs.iter().map(|job| job.every.as_secs_f64()).collect(),
    };
    let enqueued: Vec<Uuid> = tx.load(enqueue).await?;
    Ok(enqueued.len())
}

/// Deletes some jobs that ended in a state longer ago than this, and answers whether there may be more.
///
/// # Errors
/// The statement's failure.
pub async fn prune(tx: &mut ControlTx, state: JobState, age: Duration) -> Result<bool, DbError> {
    let prune = Prune { state: state.as_str(), seconds: age.as_secs_f64(), batch: BATCH };
    let deleted: Vec<Uuid> = tx.load(prune).await?;
    Ok(i64::try_from(deleted.len()).is_ok_and(|deleted| deleted == BATCH))
}

statement!(
    /// Counts jobs that have not ended, and dead letters, by state, with how long each state's oldest is overdue.
    Depth {} -> (Text, BigInt, Nullable<Double>) = "
SELECT counted.state, counted.count, extract(epoch FROM clock_timestamp() - counted.oldest)::float8
FROM (
    SELECT 'available', count(*), min(jobs.scheduled_at) FROM control.jobs WHERE jobs.state = 'available'
    UNION ALL
    SELECT 'scheduled', count(*), NULL FROM control.jobs WHERE jobs.state IN ('scheduled', 'retryable') AND jobs.state = 'scheduled'
    UNION ALL
    SELECT 'retryable', count(*), NULL FROM control.jobs WHERE jobs.state IN ('scheduled', 'retryable') AND jobs.state = 'retryable'
    UNION ALL
    SELECT 'running', count(*), NULL FROM control.jobs WHERE jobs.state = 'running'
    UNION ALL
    SELECT 'discarded', count(*), NULL FROM control.jobs WHERE jobs.state = 'discarded'
) AS counted (state, count, oldest)"
);

/// How many jobs are in a state, and for how many seconds the oldest has been due.
pub type StateDepth = (String, i64, Option<f64>);

/// The depth of the queue, by state.
///
/// # Errors
/// The database failed.
pub async fn depth(control: &ControlDb) -> Result<Vec<StateDepth>, DbError> {
    control.load(Depth {}).await
}
