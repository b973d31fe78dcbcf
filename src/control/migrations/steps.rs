//! SQL of steps: what is due, what a step finds when it begins, and what became of those that did not end well. How a step
//! ends well is written in its own transaction, by `db::migrate::fleet`.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::DueStep;
use super::repo::alive;
use crate::db::owner::OwnerAsk;
use crate::db::schema::control::{backfills, migration_steps};
use crate::db::statement::statement;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::TenantId;

/// The most characters of an error that a step keeps.
const ERROR_LEN_MAX: usize = 1_000;

/// Steps of a wave that are due, but for some; so many at most.
pub async fn steps_due(
    control: &ControlDb,
    (run, wave): (Uuid, i32),
    except: &[TenantId],
    limit: i64,
) -> Result<Vec<DueStep>, DbError> {
    let except: Vec<Uuid> = except.iter().map(|tenant| tenant.0).collect();
    let query = migration_steps::table
        .filter(migration_steps::run_id.eq(run))
        .filter(migration_steps::wave.eq(wave))
        .filter(migration_steps::status.eq("pending"))
        .filter(migration_steps::due_at.le(diesel::dsl::now))
        .filter(migration_steps::tenant_id.ne_all(except))
        .order((migration_steps::due_at, migration_steps::tenant_id))
        .limit(limit)
        .select(DueStep::as_select());
    control.load(query).await
}

statement!(
    /// The first wave that has steps to be done.
    WaveFirst {
        run: Uuid => SqlUuid,
    } -> Nullable<Integer> = "SELECT min(wave) FROM control.migration_steps WHERE run_id = {} AND status = 'pending'"
);

/// The first wave that has steps to be done.
pub async fn wave_first(control: &ControlDb, run: Uuid) -> Result<Option<i32>, DbError> {
    Ok(control.load::<_, Option<i32>, _>(WaveFirst { run }).await?.pop().flatten())
}

statement!(
    /// The last wave of a run.
    WaveLast {
        run: Uuid => SqlUuid,
    } -> Nullable<Integer> = "SELECT max(wave) FROM control.migration_steps WHERE run_id = {}"
);

/// The last wave of a run.
pub async fn wave_last(tx: &mut ControlTx, run: Uuid) -> Result<Option<i32>, DbError> {
    Ok(tx.load::<_, Option<i32>, _>(WaveLast { run }).await?.pop().flatten())
}

statement!(
    /// For how many seconds nothing of a wave is due; NULL where nothing is to be done.
    WaveRest {
        run: Uuid => SqlUuid,
        wave: i32 => Integer,
    } -> Nullable<Double> = "SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8
        FROM control.migration_steps WHERE run_id = {} AND wave = {} AND status = 'pending'"
);

/// For how many seconds nothing of a wave is due; `None` where nothing is to be done.
pub async fn wave_rest(control: &ControlDb, run: Uuid, wave: i32) -> Result<Option<f64>, DbError> {
    Ok(control.load::<_, Option<f64>, _>(WaveRest { run, wave }).await?.pop().flatten())
}

/// What a step finds of its run and of itself.
#[derive(Debug, Clone, Queryable)]
pub struct Standing {
    /// Whether the run is running under this lease.
    pub is_led: bool,
    /// The state of the step.
    pub status: String,
    /// Upwards what was run, downwards what is to be taken back.
    pub versions: Vec<String>,
}

statement!(
    /// Keeps a run from being rolled back and a step from being done by another, and tells how both stand.
    StepLock {
        fence: i64 => BigInt,
        run: Uuid => SqlUuid,
        tenant: Uuid => SqlUuid,
    } -> (Bool, Text, Array<Text>) = "SELECT r.status = 'running' AND r.leader_fence = {}, s.status, s.versions
        FROM control.migration_runs r JOIN control.migration_steps s ON s.run_id = r.id
        WHERE r.id = {} AND s.tenant_id = {} FOR KEY SHARE OF r FOR NO KEY UPDATE OF s"
);

/// Locks a step, and tells how it and its run stand.
pub async fn step_lock(ask: &OwnerAsk, run: Uuid, fence: i64, tenant: TenantId) -> Result<Option<Standing>, DbError> {
    Ok(ask.load(StepLock { fence, run, tenant: tenant.0 }).await?.pop())
}

/// The version of a spare schema, locked; `None` where it has become a tenant's.
pub async fn spare_lock(ask: &OwnerAsk, tenant: TenantId) -> Result<Option<String>, DbError> {
    Ok(ask.load::<_, String, _>(SpareLock { id: tenant.0 }).await?.pop())
}

statement!(
    /// Locks a spare schema.
    SpareLock {
        id: Uuid => SqlUuid,
    } -> Text = "SELECT schema_version FROM control.spare_schemas WHERE id = {} FOR UPDATE"
);

statement!(
    /// Locks a tenant that has a schema. What only refers to the row, as new jobs do, does not wait.
    TenantLock {
        id: Uuid => SqlUuid,
    } -> Text = concat!("SELECT schema_version FROM control.tenants WHERE id = {} AND ", alive!(), " FOR NO KEY UPDATE")
);

/// The version of a tenant, locked; `None` where there is no such tenant, or it is losing its schema.
pub async fn tenant_lock(ask: &OwnerAsk, tenant: TenantId) -> Result<Option<String>, DbError> {
    Ok(ask.load::<_, String, _>(TenantLock { id: tenant.0 }).await?.pop())
}

/// The versions whose backfills are not done in a tenant's schema.
pub async fn backfills_open(ask: &OwnerAsk, tenant: TenantId) -> Result<Vec<String>, DbError> {
    let query = backfills::table
        .filter(backfills::tenant_id.eq(tenant.0))
        .filter(backfills::finished_at.is_null())
        .select(backfills::version);
    ask.load(query).await
}

statement!(
    /// Writes down what became of an attempt that did not end well.
    StepAttempt {
        status: &'static str => Text,
        error: Option<String> => Nullable<Text>,
        wait: f64 => Double,
        run: Uuid => SqlUuid,
        tenant: Uuid => SqlUuid,
        fence: i64 => BigInt,
    } -> () = "UPDATE control.migration_steps s SET status = {}, error = {},
            attempts = s.attempts + CASE WHEN $1 = 'skipped' THEN 0 ELSE 1 END,
            due_at = now() + {} * interval '1 second',
            finished_at = CASE WHEN $1 <> 'pending' THEN now() END
        FROM control.migration_runs r
        WHERE s.run_id = {} AND s.tenant_id = {} AND s.status = 'pending' AND r.id = s.run_id AND r.leader_fence = {}"
);

/// Writes down what became of an attempt that did not end well: tried again after a wait in seconds, given up, or passed
/// over, which counts as none.
pub async fn step_attempt(
    control: &ControlDb,
    (run, fence, tenant): (Uuid, i64, TenantId),
    status: &'static str,
    error: Option<&str>,
    wait: f64,
) -> Result<(), DbError> {
    let error = error.map(|error| error.chars().filter(|c| *c != '\0').take(ERROR_LEN_MAX).collect());
    let attempt = StepAttempt { status, error, wait, run, tenant: tenant.0, fence };
    control.write(async |tx: &mut ControlTx| tx.execute(attempt).await.map(drop)).await
}
