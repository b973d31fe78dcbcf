//! SQL of runs. What happens to one schema is in [`steps`](super::steps).

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{Behind, HOLD_REASON, Options, Run, StepRow};
use crate::db::schema::control::{migration_runs, migration_steps, tenants};
use crate::db::statement::{kept, statement};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::page::{Direction, PageRequest};

/// Tenants that have a schema, in SQL: one that has lost its keys on its way out is losing its tables one by one.
macro_rules! alive {
    () => {
        "status <> 'deleted' AND (status <> 'offboarding' OR keys <> '[]')"
    };
}

pub(in crate::control) use alive;

/// The same as a filter.
fn is_alive() -> SqlLiteral<Bool> {
    sql(concat!("(", alive!(), ")"))
}

/// A run.
pub async fn run_by_id(control: &ControlDb, id: Uuid) -> Result<Option<Run>, DbError> {
    Ok(control.load(migration_runs::table.find(id).select(Run::as_select())).await?.pop())
}

/// The newest run.
pub async fn run_newest(control: &ControlDb) -> Result<Option<Run>, DbError> {
    let query = migration_runs::table.order(migration_runs::id.desc()).limit(1).select(Run::as_select());
    Ok(control.load(query).await?.pop())
}

/// The run that has not ended.
pub async fn run_unfinished(control: &ControlDb) -> Result<Option<Run>, DbError> {
    let query = migration_runs::table
        .filter(migration_runs::status.eq_any(["running", "paused"]))
        .limit(1)
        .select(Run::as_select());
    Ok(control.load(query).await?.pop())
}

/// One page's rows of runs, the newest first, read in the page's direction.
pub async fn run_list(control: &ControlDb, page: &PageRequest<Uuid>) -> Result<Vec<Run>, DbError> {
    let query = migration_runs::table.select(Run::as_select()).limit(page.rows()).into_boxed();
    let query = match (&page.direction, page.from) {
        (Direction::Forward, None) => query.order(migration_runs::id.desc()),
        (Direction::Forward, Some(from)) => query.filter(migration_runs::id.lt(from)).order(migration_runs::id.desc()),
        (Direction::Backward, None) => query.order(migration_runs::id.asc()),
        (Direction::Backward, Some(from)) => query.filter(migration_runs::id.gt(from)).order(migration_runs::id.asc()),
    };
    control.load(query).await
}

/// One page's rows of a run's steps that are in a state, in the order of tenants.
pub async fn step_list(
    control: &ControlDb,
    run: Uuid,
    status: &'static str,
    page: &PageRequest<Uuid>,
) -> Result<Vec<StepRow>, DbError> {
    let query = migration_steps::table
        .left_join(tenants::table.on(tenants::id.eq(migration_steps::tenant_id)))
        .filter(migration_steps::run_id.eq(run))
        .filter(migration_steps::status.eq(status))
        .select((
            tenants::slug.nullable(),
            migration_steps::tenant_id,
            migration_steps::wave,
            migration_steps::status,
            migration_steps::from_version,
            migration_steps::to_version,
            migration_steps::attempts,
            migration_steps::error,
            migration_steps::finished_at,
        ))
        .limit(page.rows())
        .into_boxed();
    let id = migration_steps::tenant_id;
    let query = match (&page.direction, page.from) {
        (Direction::Forward, None) => query.order(id.asc()),
        (Direction::Forward, Some(from)) => query.filter(id.gt(from)).order(id.asc()),
        (Direction::Backward, None) => query.order(id.desc()),
        (Direction::Backward, Some(from)) => query.filter(id.lt(from)).order(id.desc()),
    };
    control.load(query).await
}

/// A run, locked until the transaction ends. Waits for steps that are under way.
pub async fn run_lock(tx: &mut ControlTx, id: Uuid) -> Result<Option<Run>, DbError> {
    Ok(tx.load(migration_runs::table.find(id).select(Run::as_select()).for_update()).await?.pop())
}

/// A run, kept from being changed by others until the transaction ends. Steps that are under way are not waited for.
pub async fn run_hold(tx: &mut ControlTx, id: Uuid) -> Result<Option<Run>, DbError> {
    Ok(tx.load(migration_runs::table.find(id).select(Run::as_select()).for_no_key_update()).await?.pop())
}

/// The run that has not ended, kept likewise.
pub async fn run_hold_unfinished(tx: &mut ControlTx) -> Result<Option<Run>, DbError> {
    let query = migration_runs::table
        .filter(migration_runs::status.eq_any(["running", "paused"]))
        .select(Run::as_select())
        .for_no_key_update();
    Ok(tx.load(query).await?.pop())
}

/// Enters a run.
pub async fn run_insert(
    tx: &mut ControlTx,
    (id, by): (Uuid, &str),
    (direction, target): (&'static str, &str),
    reverts: Option<Uuid>,
    options: &Options,
) -> Result<Option<Run>, DbError> {
    let insert = diesel::insert_into(migration_runs::table)
        .values((
            migration_runs::id.eq(id),
            migration_runs::direction.eq(direction),
            migration_runs::target_version.eq(target.to_owned()),
            migration_runs::status.eq("running"),
            migration_runs::reverts.eq(reverts),
            migration_runs::wave_size.eq(options.wave_size),
            migration_runs::concurrency.eq(options.concurrency),
            migration_runs::error_rate_max.eq(options.error_rate_max),
            migration_runs::attempts_max.eq(options.attempts_max),
            migration_runs::lock_timeout_ms.eq(options.lock_timeout_ms),
            migration_runs::hold_after_canaries.eq(options.hold_after_canaries),
            migration_runs::requested_by.eq(by.to_owned()),
        ))
        .returning(Run::as_returning());
    Ok(tx.load(insert).await?.pop())
}

statement!(
    /// Moves a run to a state.
    RunMove {
        status: &'static str => Text,
        reason: Option<String> => Nullable<Text>,
        held_for: &'static str => Text,
        run: Uuid => SqlUuid,
    } -> () = "UPDATE control.migration_runs SET status = {}, pause_reason = {},
            hold_after_canaries = hold_after_canaries AND ($1 <> 'running' OR pause_reason IS DISTINCT FROM {}),
            updated_at = now(),
            finished_at = CASE WHEN $1 IN ('completed', 'abandoned') THEN now() END
        WHERE id = {}"
);

/// Moves a run to a state, and answers it as it is then. One that has held after its canaries does not hold again.
pub async fn run_move(
    tx: &mut ControlTx,
    run: Uuid,
    status: &'static str,
    reason: Option<String>,
) -> Result<Option<Run>, DbError> {
    tx.execute(RunMove { status, reason, held_for: HOLD_REASON, run }).await?;
    Ok(tx.load(migration_runs::table.find(run).select(Run::as_select())).await?.pop())
}

statement!(
    /// A step for each schema that is behind and has none in the run yet: spare schemas, canaries, then the others in
    /// waves from the first one on.
    StepsInsert {
        run: Uuid => SqlUuid,
        target: String => Text,
        /// The wave of spare schemas.
        spares: i32 => Integer,
        /// The first wave of those who are no canaries.
        first: i32 => Integer,
        wave_size: i32 => Integer,
        canaries: Vec<String> => Array<Text>,
    } -> () = concat!("
        WITH asked AS (SELECT {} AS run, {} AS target, {} AS spares, {} AS first, {} AS wave_size, {} AS canaries),
        fleet AS (
            SELECT id, true AS is_spare, false AS is_canary, schema_version FROM control.spare_schemas
            UNION ALL
            SELECT id, false, slug = ANY (asked.canaries), schema_version FROM control.tenants, asked
            WHERE ", alive!(), " AND schema_version < asked.target
        )
        INSERT INTO control.migration_steps (run_id, tenant_id, is_spare, wave, from_version, to_version)
        SELECT asked.run, id, is_spare,
            CASE WHEN is_spare THEN asked.spares WHEN is_canary THEN 1
                ELSE asked.first + (row_number() OVER (PARTITION BY is_spare OR is_canary ORDER BY id) - 1)::integer
                    / asked.wave_size END,
            schema_version, asked.target
        FROM fleet, asked
        WHERE schema_version < asked.target
        ON CONFLICT (run_id, tenant_id) DO NOTHING")
);

/// Enters steps for schemas that are behind, and answers how many.
pub async fn steps_insert(
    tx: &mut ControlTx,
    run: &Run,
    (spares, first): (i32, i32),
    canaries: Vec<String>,
) -> Result<usize, DbError> {
    let (target, wave_size) = (run.target_version.clone(), run.wave_size);
    tx.execute(StepsInsert { run: run.id.0, target, spares, first, wave_size, canaries }).await
}

statement!(
    /// A step back for each that a run has done.
    StepsRevert {
        run: Uuid => SqlUuid,
        reverted: Uuid => SqlUuid,
    } -> () = "INSERT INTO control.migration_steps
            (run_id, tenant_id, is_spare, wave, from_version, to_version, versions)
        SELECT {}, tenant_id, is_spare, wave, to_version, from_version, versions
        FROM control.migration_steps WHERE run_id = {} AND cardinality(versions) > 0"
);

/// Enters a step back for each that a run has done, and answers how many.
pub async fn steps_revert(tx: &mut ControlTx, run: Uuid, reverted: Uuid) -> Result<usize, DbError> {
    tx.execute(StepsRevert { run, reverted }).await
}

statement!(
    /// Tenants that a run has brought somewhere and that are further by now.
    StepsOvertaken {
        run: Uuid => SqlUuid,
        target: String => Text,
    } -> BigInt = concat!("SELECT count(*) FROM control.migration_steps s
        JOIN (SELECT id, schema_version FROM control.tenants WHERE ", alive!(), ") t ON t.id = s.tenant_id
        WHERE s.run_id = {} AND cardinality(s.versions) > 0 AND t.schema_version > {}")
);

/// How many tenants that a run has brought somewhere are further by now.
pub async fn steps_overtaken(tx: &mut ControlTx, run: &Run) -> Result<i64, DbError> {
    let overtaken = StepsOvertaken { run: run.id.0, target: run.target_version.clone() };
    Ok(tx.load(overtaken).await?.pop().unwrap_or(0))
}

/// The oldest version that steps of a run go back to.
pub async fn version_oldest(tx: &mut ControlTx, run: Uuid) -> Result<Option<String>, DbError> {
    let query = migration_steps::table
        .filter(migration_steps::run_id.eq(run))
        .select(diesel::dsl::min(migration_steps::to_version));
    Ok(tx.load::<_, Option<String>, _>(query).await?.pop().flatten())
}

/// Has failed steps tried again, and answers how many.
pub async fn steps_retry(tx: &mut ControlTx, run: Uuid) -> Result<usize, DbError> {
    let update = diesel::update(migration_steps::table)
        .filter(migration_steps::run_id.eq(run))
        .filter(migration_steps::status.eq("failed"))
        .set((
            migration_steps::status.eq("pending"),
            migration_steps::attempts.eq(0_i16),
            migration_steps::due_at.eq(diesel::dsl::now),
            migration_steps::finished_at.eq(None::<chrono::DateTime<chrono::Utc>>),
        ));
    tx.execute(kept(update)).await
}

/// Slugs among these that no tenant has.
pub async fn slugs_unknown(tx: &mut ControlTx, slugs: &[String]) -> Result<Vec<String>, DbError> {
    let query = tenants::table.filter(tenants::slug.eq_any(slugs.to_vec())).filter(is_alive()).select(tenants::slug);
    let known: Vec<String> = tx.load(query).await?;
    Ok(slugs.iter().filter(|slug| !known.contains(slug)).cloned().collect())
}

statement!(
    /// Schemas that are below a version, by version.
    BehindCount {
        target: String => Text,
    } -> (Text, BigInt, BigInt) = concat!("
        SELECT schema_version, count(*) FILTER (WHERE NOT is_spare), count(*) FILTER (WHERE is_spare) FROM (
            SELECT schema_version, false AS is_spare FROM control.tenants
            WHERE ", alive!(), " AND schema_version < {}
            UNION ALL
            SELECT schema_version, true FROM control.spare_schemas WHERE schema_version < $1
        ) fleet GROUP BY 1 ORDER BY 1")
);

/// Schemas that are below a version, by version.
pub async fn behind(control: &ControlDb, target: &str) -> Result<Vec<Behind>, DbError> {
    control.load(BehindCount { target: target.to_owned() }).await
}

/// Tenants that are below a version, with theirs, so many at most.
pub async fn tenants_below(control: &ControlDb, version: &str, limit: i64) -> Result<Vec<(String, String)>, DbError> {
    let query = tenants::table
        .filter(is_alive())
        .filter(tenants::schema_version.lt(version.to_owned()))
        .order(tenants::slug)
        .limit(limit)
        .select((tenants::slug, tenants::schema_version));
    control.load(query).await
}

/// What the database tells of a run's steps.
#[derive(Debug, Clone, Queryable)]
pub struct Counts {
    pub total: i64,
    pub completed: i64,
    pub failed: i64,
    pub skipped: i64,
    pub pending: i64,
    pub retrying: i64,
    pub wave: Option<i32>,
    pub wave_last: Option<i32>,
    pub rate: f64,
}

statement!(
    /// How far a run is.
    Count {
        run: Uuid => SqlUuid,
    } -> (BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, Nullable<Integer>, Nullable<Integer>, Double) = "
        SELECT count(*), count(*) FILTER (WHERE s.status = 'completed'), count(*) FILTER (WHERE s.status = 'failed'),
            count(*) FILTER (WHERE s.status = 'skipped'), count(*) FILTER (WHERE s.status = 'pending'),
            count(*) FILTER (WHERE s.status = 'pending' AND attempts > 0),
            min(wave) FILTER (WHERE s.status = 'pending'), max(wave),
            (count(*) FILTER (WHERE s.finished_at > now() - interval '1 minute')
                / greatest(1, least(60, extract(epoch FROM now() - min(r.created_at)))))::float8
        FROM control.migration_steps s JOIN control.migration_runs r ON r.id = s.run_id WHERE s.run_id = {}"
);

/// How far a run is.
pub async fn counts(control: &ControlDb, run: Uuid) -> Result<Option<Counts>, DbError> {
    Ok(control.load(Count { run }).await?.pop())
}

/// How the wave of a step stands: its steps, and how many of them have failed.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct WaveCounts {
    pub total: i64,
    pub failed: i64,
}

statement!(
    /// How a wave stands.
    WaveCount {
        run: Uuid => SqlUuid,
        wave: i32 => Integer,
    } -> (BigInt, BigInt) = "SELECT count(*), count(*) FILTER (WHERE status = 'failed')
        FROM control.migration_steps WHERE run_id = {} AND wave = {}"
);

/// How a wave stands.
pub async fn wave_counts(control: &ControlDb, run: Uuid, wave: i32) -> Result<WaveCounts, DbError> {
    Ok(control.load(WaveCount { run, wave }).await?.pop().unwrap_or(WaveCounts { total: 0, failed: 0 }))
}

statement!(
    /// Takes a run's lease where nobody has it.
    LeaseTake {
        leader: String => Text,
        seconds: f64 => Double,
        run: Uuid => SqlUuid,
    } -> BigInt = "UPDATE control.migration_runs SET leader = {}, leader_until = now() + {} * interval '1 second',
            leader_fence = leader_fence + 1, updated_at = now()
        WHERE id = {} AND status = 'running' AND (leader_until IS NULL OR leader_until < now())
        RETURNING leader_fence"
);

/// Takes the lease of a run that is running and that nobody leads, and answers its number.
pub async fn lease_take(control: &ControlDb, run: Uuid, leader: &str, seconds: f64) -> Result<Option<i64>, DbError> {
    let take = LeaseTake { leader: leader.to_owned(), seconds, run };
    control.write(async |tx: &mut ControlTx| Ok(tx.load(take).await?.pop())).await
}

statement!(
    /// Prolongs a lease.
    LeaseProlong {
        seconds: f64 => Double,
        run: Uuid => SqlUuid,
        fence: i64 => BigInt,
    } -> () = "UPDATE control.migration_runs SET leader_until = now() + {} * interval '1 second'
        WHERE id = {} AND leader_fence = {} AND leader_until IS NOT NULL"
);

/// Prolongs a lease; answers false where it is another's by now.
pub async fn lease_prolong(control: &ControlDb, run: Uuid, fence: i64, seconds: f64) -> Result<bool, DbError> {
    control.write(async |tx: &mut ControlTx| Ok(tx.execute(LeaseProlong { seconds, run, fence }).await? == 1)).await
}

statement!(
    /// Gives a lease back.
    LeaseEnd {
        run: Uuid => SqlUuid,
        fence: i64 => BigInt,
    } -> () = "UPDATE control.migration_runs SET leader = NULL, leader_until = NULL WHERE id = {} AND leader_fence = {}"
);

/// Gives a lease back, so that nobody waits for its end.
pub async fn lease_end(control: &ControlDb, run: Uuid, fence: i64) -> Result<(), DbError> {
    control.write(async |tx: &mut ControlTx| tx.execute(LeaseEnd { run, fence }).await.map(drop)).await
}

statement!(
    /// Moves a running run on by whoever leads it.
    RunEnd {
        status: &'static str => Text,
        reason: Option<String> => Nullable<Text>,
        run: Uuid => SqlUuid,
        fence: i64 => BigInt,
    } -> () = "UPDATE control.migration_runs SET status = {}, pause_reason = {}, updated_at = now(),
            finished_at = NULL
        WHERE id = {} AND leader_fence = {} AND status = 'running'"
);

statement!(
    /// Completes a run of which nothing is left to be done.
    RunComplete {
        run: Uuid => SqlUuid,
    } -> () = "UPDATE control.migration_runs SET status = 'completed', pause_reason = NULL, updated_at = now(),
            finished_at = now()
        WHERE id = {} AND NOT EXISTS (
            SELECT FROM control.migration_steps s WHERE s.run_id = migration_runs.id AND s.status = 'pending')"
);

/// Completes a run, and answers whether it is: not where a step is to be done again. `None` where it is not running under
/// this lease any more.
pub async fn run_complete(control: &ControlDb, (run, fence): (Uuid, i64)) -> Result<Option<bool>, DbError> {
    let work = async |tx: &mut ControlTx| {
        let led = migration_runs::table
            .find(run)
            .filter(migration_runs::leader_fence.eq(fence))
            .filter(migration_runs::status.eq("running"))
            .select(migration_runs::id)
            .for_no_key_update();
        if tx.load::<_, Uuid, _>(led).await?.is_empty() {
            return Ok(None);
        }
        // A statement of its own: it sees what a retry has written that held the row until now.
        Ok(Some(tx.execute(RunComplete { run }).await? == 1))
    };
    control.write(work).await
}

/// Has a run pause, as its leader finds; answers false where it is not running under this lease any more.
pub async fn run_end(
    control: &ControlDb,
    (run, fence): (Uuid, i64),
    status: &'static str,
    reason: Option<String>,
) -> Result<bool, DbError> {
    control.write(async |tx: &mut ControlTx| Ok(tx.execute(RunEnd { status, reason, run, fence }).await? == 1)).await
}

statement!(
    /// Counts runs by their state.
    RunCounts {} -> (Text, BigInt) = "SELECT status, count(*) FROM control.migration_runs GROUP BY status"
);

/// How many runs are in each state.
pub async fn run_counts(control: &ControlDb) -> Result<Vec<(String, i64)>, DbError> {
    control.load(RunCounts {}).await
}

statement!(
    /// Counts the steps of the run that has not ended by their state, and the seconds since the last of them. A run without steps
    /// has one row.
    StepCounts {} -> (Nullable<Text>, BigInt, Double) = "
SELECT steps.status, count(steps.run_id),
    extract(epoch FROM clock_timestamp() - greatest(runs.created_at, max(steps.finished_at)))::float8
FROM control.migration_runs runs LEFT JOIN control.migration_steps steps ON steps.run_id = runs.id
WHERE runs.status IN ('running', 'paused')
GROUP BY runs.created_at, steps.status"
);

/// How many steps of the run that has not ended are in each state, and how many seconds ago its last was done, or it began. Nothing
/// where every run has ended.
pub async fn step_counts(control: &ControlDb) -> Result<Vec<(Option<String>, i64, f64)>, DbError> {
    control.load(StepCounts {}).await
}
