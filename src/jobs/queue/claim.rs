//! Claiming: who gets the free slots.

use diesel::sql_types::{
    Array, BigInt, Double, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid,
};
use uuid::Uuid;

use crate::db::statement::statement;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::jobs::model::Job;

/// Opens the transaction of a claim.
///
/// Claims come one after the other: what counts running jobs sees all claims before it, so that the bound of a lane is
/// exact. The plan is made once, for any values, and reads by the index whatever the statistics say: a queue that was
/// empty when it was analysed may hold a hundred thousand rows a minute later.
pub const CLAIM_OPENING: &str = "BEGIN; \
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
    SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan; \
    SELECT pg_catalog.pg_advisory_xact_lock(x'5348454c46'::bigint)";

/// The text of a claim, as [`Claim`] binds it.
///
/// `$1` are kinds, `$2` attempts of each, `$3` the lane that was served last, `$4` the most running jobs of a lane and these kinds
/// where the tenant's plan does not say fewer, `$5` free slots, `$6` the worker, `$7` seconds of the lease.
///
/// `ahead` and `behind` walk the lanes that have jobs, from the one after the last served one round to it: a step is one
/// look into the index for each kind. `lanes` are those that may have another job now, as many as there are slots, and
/// no further lane is walked to. Slots are shared out among them evenly; within a lane the order is priority, time, id.
pub const CLAIM: &str = "
WITH RECURSIVE known AS MATERIALIZED (
    SELECT known.kind, known.attempts_max FROM unnest({}::text[], {}::int2[]) AS known (kind, attempts_max)
), ahead (lane, turn) AS (
    SELECT {}::uuid, 0
    UNION ALL
    SELECT next.lane, ahead.turn + 1
    FROM ahead CROSS JOIN LATERAL (
        SELECT due.lane FROM known CROSS JOIN LATERAL (
            SELECT jobs.lane FROM control.jobs
            WHERE jobs.state = 'available' AND jobs.kind = known.kind AND jobs.lane > ahead.lane
            ORDER BY jobs.lane LIMIT 1
        ) AS due
        ORDER BY due.lane LIMIT 1
    ) AS next
), behind (lane, turn) AS (
    SELECT '00000000-0000-0000-0000-000000000000'::uuid, 0
    UNION ALL
    SELECT next.lane, behind.turn + 1
    FROM behind CROSS JOIN LATERAL (
        SELECT due.lane FROM known CROSS JOIN LATERAL (
            SELECT jobs.lane FROM control.jobs
            WHERE jobs.state = 'available' AND jobs.kind = known.kind AND jobs.lane > behind.lane AND jobs.lane <= $3
            ORDER BY jobs.lane LIMIT 1
        ) AS due
        ORDER BY due.lane LIMIT 1
    ) AS next
), lanes AS MATERIALIZED (
    SELECT counted.round, counted.turn, counted.lane, least($4, counted.most) - counted.running AS room
    FROM (
        SELECT walked.round, walked.turn, walked.lane, (
            SELECT count(*)::int4 FROM control.jobs WHERE jobs.state = 'running' AND jobs.lane = walked.lane AND jobs.kind = ANY ($1)
        ) AS running, (
            SELECT coalesce(agreed.value, plans.jobs)
            FROM control.tenants JOIN control.plans ON plans.code = tenants.plan
            LEFT JOIN control.plan_overrides AS agreed
                ON agreed.tenant_id = tenants.id AND agreed.limit_name = 'jobs' AND agreed.ends_at > clock_timestamp()
            WHERE tenants.id = walked.lane
        ) AS most
        FROM (
            SELECT 1 AS round, ahead.turn, ahead.lane FROM ahead WHERE ahead.turn > 0
            UNION ALL
            SELECT 2 AS round, behind.turn, behind.lane FROM behind WHERE behind.turn > 0
        ) AS walked
        WHERE walked.lane = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
            OR (SELECT tenants.status FROM control.tenants WHERE tenants.id = walked.lane) = 'active'
    ) AS counted
    WHERE counted.running < least({}, counted.most)
    LIMIT {}
), picked AS MATERIALIZED (
    SELECT job.id
    FROM (
        SELECT lanes.round, lanes.turn, lanes.lane,
            least(lanes.room, ceil($5::float8 / count(*) OVER ())::int4) AS share
        FROM lanes ORDER BY lanes.round, lanes.turn
    ) AS shared
    CROSS JOIN LATERAL (
        SELECT due.id FROM known CROSS JOIN LATERAL (
            SELECT jobs.id, jobs.priority, jobs.scheduled_at FROM control.jobs
            WHERE jobs.state = 'available' AND jobs.kind = known.kind AND jobs.lane = shared.lane
            ORDER BY jobs.priority, jobs.scheduled_at, jobs.id
            LIMIT shared.share
            FOR UPDATE OF jobs SKIP LOCKED
        ) AS due
        ORDER BY due.priority, due.scheduled_at, due.id
        LIMIT shared.share
    ) AS job
    LIMIT $5
)
UPDATE control.jobs
SET state = 'running', attempt = jobs.attempt + 1, fence = jobs.fence + 1,
    attempts_max = (SELECT known.attempts_max FROM known WHERE known.kind = jobs.kind),
    attempted_at = clock_timestamp(), attempted_by = {},
    lease_expires_at = clock_timestamp() + make_interval(secs => {})
WHERE jobs.id = ANY (ARRAY(SELECT picked.id FROM picked))
RETURNING jobs.id, jobs.tenant_id, jobs.kind, jobs.payload, jobs.attempt, jobs.attempts_max, jobs.fence,
    jobs.created_at, jobs.meta, jobs.lane";

statement!(
    /// A claim.
    pub Claim {
        /// The kinds that the worker knows.
        kinds: Vec<String> => Array<Text>,
        /// How often each is tried.
        attempts: Vec<i16> => Array<SmallInt>,
        /// The lane that was served last.
        after: Uuid => SqlUuid,
        /// The most running jobs of a lane.
        lane_max: i32 => Integer,
        /// Free slots.
        slots: i32 => Integer,
        /// Who claims.
        worker: String => Text,
        /// How long the claim holds without a heartbeat, in seconds.
        lease: f64 => Double,
    } -> (SqlUuid, Nullable<SqlUuid>, Text, Jsonb, SmallInt, SmallInt, BigInt, Timestamptz, Jsonb, SqlUuid) = CLAIM
);

/// Claims jobs, a fair share for each lane, and answers them with the lane that was served last.
///
/// # Errors
/// The database failed. Where the failure was its COMMIT's, what was claimed is rescued after the lease.
pub async fn claim(control: &ControlDb, claim: Claim) -> Result<(Vec<Job>, Uuid), DbError> {
    let after = claim.after;
    let jobs: Vec<Job> = control.write_opened(CLAIM_OPENING, async |tx: &mut ControlTx| tx.load(claim).await).await?;
    // Behind the last served lane means past the end and round again.
    let last = jobs.iter().map(|job| job.lane).max_by_key(|lane| (*lane <= after, *lane)).unwrap_or(after);
    Ok((jobs, last))
}
