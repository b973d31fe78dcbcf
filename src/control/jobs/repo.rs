//! SQL of the queue for operators. The engine's own is in `crate::jobs::queue`.

use diesel::dsl::{count_star, min, now};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{JobCount, JobRow, TenantDepth, Which};
use crate::db::schema::control::{jobs, tenants};
use crate::db::statement::{kept, statement};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::jobs::JobState;
use crate::kernel::ids::JobId;
use crate::kernel::page::{Direction, PageRequest};

/// The columns of a [`JobRow`].
macro_rules! columns {
    () => {
        (
            jobs::id,
            tenants::slug.nullable(),
            jobs::kind,
            jobs::state,
            jobs::priority,
            jobs::attempt,
            jobs::attempts_max,
            jobs::created_at,
            jobs::scheduled_at,
            jobs::attempted_at,
            jobs::attempted_by,
            jobs::finalized_at,
            jobs::errors,
        )
    };
}

/// Jobs with the tenant of each.
macro_rules! rows {
    () => {
        jobs::table.left_join(tenants::table.on(jobs::tenant_id.eq(tenants::id.nullable())))
    };
}

/// A job.
pub async fn job_by_id(control: &ControlDb, id: JobId) -> Result<Option<JobRow>, DbError> {
    Ok(control.load(rows!().filter(jobs::id.eq(id.0)).select(columns!())).await?.pop())
}

/// A job, read in a transaction.
pub async fn job_read(tx: &mut ControlTx, id: JobId) -> Result<Option<JobRow>, DbError> {
    Ok(tx.load(rows!().filter(jobs::id.eq(id.0)).select(columns!())).await?.pop())
}

/// Locks a job until the transaction ends, and waits for a tenant's transaction that holds its claim.
pub async fn job_lock(tx: &mut ControlTx, id: JobId) -> Result<bool, DbError> {
    let locked: Vec<Uuid> = tx.load(jobs::table.find(id.0).select(jobs::id).for_update()).await?;
    Ok(!locked.is_empty())
}

/// One page's rows, the newest first, read in the page's direction.
pub async fn job_list(control: &ControlDb, which: &Which, page: &PageRequest<Uuid>) -> Result<Vec<JobRow>, DbError> {
    let mut query = rows!().select(columns!()).limit(page.rows()).into_boxed();
    if let Some(tenant) = which.tenant {
        query = query.filter(jobs::tenant_id.eq(Some(tenant.0)));
    }
    if let Some(kind) = which.kind.clone() {
        query = query.filter(jobs::kind.eq(kind));
    }
    if let Some(state) = which.state {
        query = query.filter(jobs::state.eq(state.as_str()));
    }
    let query = match (&page.direction, page.from) {
        (Direction::Forward, None) => query.order(jobs::id.desc()),
        (Direction::Forward, Some(from)) => query.filter(jobs::id.lt(from)).order(jobs::id.desc()),
        (Direction::Backward, None) => query.order(jobs::id.asc()),
        (Direction::Backward, Some(from)) => query.filter(jobs::id.gt(from)).order(jobs::id.asc()),
    };
    control.load(query).await
}

/// How many jobs of each kind are in each state.
pub async fn job_counts(control: &ControlDb, which: &Which) -> Result<Vec<JobCount>, DbError> {
    let query = jobs::table.group_by((jobs::kind, jobs::state)).order((jobs::kind, jobs::state)).select((
        jobs::kind,
        jobs::state,
        count_star(),
        min(jobs::scheduled_at),
    ));
    match which.tenant {
        Some(tenant) => control.load(query.filter(jobs::tenant_id.eq(Some(tenant.0)))).await,
        None => control.load(query).await,
    }
}

/// Makes a job that has ended available once more, with all its attempts.
pub async fn job_replay(tx: &mut ControlTx, id: JobId) -> Result<(), DbError> {
    let update = diesel::update(jobs::table.find(id.0)).set((
        jobs::state.eq(JobState::Available.as_str()),
        jobs::attempt.eq(0),
        jobs::scheduled_at.eq(now),
        jobs::finalized_at.eq(None::<chrono::DateTime<chrono::Utc>>),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Calls a job off, whatever it is doing: the fence of its claim is not good any more.
pub async fn job_cancel(tx: &mut ControlTx, id: JobId) -> Result<(), DbError> {
    let update = diesel::update(jobs::table.find(id.0)).set((
        jobs::state.eq(JobState::Cancelled.as_str()),
        jobs::fence.eq(jobs::fence + 1),
        jobs::lease_expires_at.eq(None::<chrono::DateTime<chrono::Utc>>),
        jobs::finalized_at.eq(now.into_sql::<Timestamptz>().nullable()),
    ));
    tx.execute(kept(update)).await.map(drop)
}

statement!(
    /// Makes dead letters available once more. Of those that share a key one is taken, and none whose key is in use.
    pub Replay {
        tenant: Option<Uuid> => Nullable<SqlUuid>,
        kind: Option<String> => Nullable<Text>,
        count_max: i64 => BigInt,
    } -> SqlUuid = "
UPDATE control.jobs SET state = 'available', attempt = 0, scheduled_at = now(), finalized_at = NULL
WHERE jobs.state = 'discarded' AND jobs.id = ANY (ARRAY(
    SELECT dead.id FROM (
        SELECT jobs.id, jobs.kind, jobs.lane, jobs.unique_key,
            row_number() OVER (PARTITION BY jobs.kind, jobs.lane, jobs.unique_key ORDER BY jobs.id DESC) AS place
        FROM control.jobs
        WHERE jobs.state = 'discarded' AND ({}::uuid IS NULL OR jobs.tenant_id = $1) AND ({}::text IS NULL OR jobs.kind = $2)
    ) AS dead
    WHERE dead.unique_key IS NULL OR (dead.place = 1 AND NOT EXISTS (
        SELECT FROM control.jobs
        WHERE jobs.kind = dead.kind AND jobs.lane = dead.lane AND jobs.unique_key = dead.unique_key
            AND jobs.finalized_at IS NULL
    ))
    ORDER BY dead.id LIMIT {}
))
RETURNING jobs.id"
);

statement!(
    /// Puts dead letters away: they are kept as cancelled jobs are.
    pub Discard {
        tenant: Option<Uuid> => Nullable<SqlUuid>,
        kind: Option<String> => Nullable<Text>,
        count_max: i64 => BigInt,
    } -> SqlUuid = "
UPDATE control.jobs SET state = 'cancelled', finalized_at = now()
WHERE jobs.state = 'discarded' AND jobs.id = ANY (ARRAY(
    SELECT jobs.id FROM control.jobs
    WHERE jobs.state = 'discarded' AND ({}::uuid IS NULL OR jobs.tenant_id = $1) AND ({}::text IS NULL OR jobs.kind = $2)
    ORDER BY jobs.id LIMIT {}
))
RETURNING jobs.id"
);

/// Makes dead letters available once more, and answers how many.
pub async fn dead_replay(tx: &mut ControlTx, which: &Which, count_max: i64) -> Result<usize, DbError> {
    let tenant = which.tenant.map(|tenant| tenant.0);
    let replayed: Vec<Uuid> = tx.load(Replay { tenant, kind: which.kind.clone(), count_max }).await?;
    Ok(replayed.len())
}

/// Puts dead letters away, and answers how many.
pub async fn dead_discard(tx: &mut ControlTx, which: &Which, count_max: i64) -> Result<usize, DbError> {
    let tenant = which.tenant.map(|tenant| tenant.0);
    let discarded: Vec<Uuid> = tx.load(Discard { tenant, kind: which.kind.clone(), count_max }).await?;
    Ok(discarded.len())
}

statement!(
    /// Counts unfinished jobs of the tenants who have the most, with how long the oldest that may be claimed is due. Each of the
    /// three is answered by a partial index of its own, so what has ended is passed by.
    pub Depths {
        /// So many tenants at most.
        count_max: i64 => BigInt,
    } -> (Text, BigInt, Double) = "
SELECT tenants.slug, deepest.count, coalesce(extract(epoch FROM clock_timestamp() - deepest.oldest)::float8, 0)
FROM (
    SELECT unfinished.lane, sum(unfinished.count)::bigint AS count, min(unfinished.oldest) AS oldest
    FROM (
        SELECT lane, count(*) AS count, min(scheduled_at) AS oldest
        FROM control.jobs WHERE state = 'available' GROUP BY lane
        UNION ALL
        SELECT lane, count(*), NULL FROM control.jobs WHERE state IN ('scheduled', 'retryable') GROUP BY lane
        UNION ALL
        SELECT lane, count(*), NULL FROM control.jobs WHERE state = 'running' GROUP BY lane
    ) AS unfinished
    WHERE unfinished.lane <> 'ffffffff-ffff-ffff-ffff-ffffffffffff'
    GROUP BY unfinished.lane ORDER BY count DESC, unfinished.lane LIMIT {}
) AS deepest JOIN control.tenants ON tenants.id = deepest.lane"
);

/// The tenants who have the most unfinished jobs, at most `count_max` of them.
pub async fn tenant_depths(control: &ControlDb, count_max: i64) -> Result<Vec<TenantDepth>, DbError> {
    control.load(Depths { count_max }).await
}
