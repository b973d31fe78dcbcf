//! What is done to one schema of the fleet, as SQL: made of ids, digits and the migrations' own files, and of nothing that a
//! person has typed.

use diesel::sql_types::{Bool, Text};
use uuid::Uuid;

use super::notes::{Direction, IndexChange, index_changes};
use super::{Migration, quoted};
use crate::db::error::DbError;
use crate::db::owner::{OwnerAsk, OwnerBare, OwnerTx};
use crate::db::statement::statement;
use crate::db::tenant::TenantTx;
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;

/// How often a batch that fills in is run in a schema that nobody works in, at most.
const FILLS_MAX: usize = 10_000;

/// Which step a script belongs to, and what is to be said of the schema when it is done.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The run.
    pub run: Uuid,
    /// The tenant, or the one that the spare schema is to become.
    pub tenant: TenantId,
    /// Whether it is a spare schema.
    pub is_spare: bool,
    /// The version that the schema has afterwards.
    pub version: &'a str,
    /// Whether the step is done then.
    pub is_last: bool,
}

statement!(
    /// The ledger of the schema that the transaction stands in.
    Ledger {} -> Text = "SELECT version::text FROM __diesel_schema_migrations ORDER BY 1"
);

#[derive(diesel::QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = Bool)]
    is_valid: bool,
}

/// The migrations that the schema's ledger lists, in their order. It is the schema's own word for what is there.
///
/// # Errors
/// There is no schema or no ledger in it.
pub async fn ledger(ask: &OwnerAsk) -> Result<Vec<String>, DbError> {
    ask.load(Ledger {}).await
}

/// The statements that take a schema through migrations, with the ledger, the registry and the step: one batch. A migration
/// that was `built` outside of a transaction is entered alone.
///
/// `job` is a new id for each migration that leaves something to be filled in.
#[must_use]
pub fn step_script(
    direction: Direction,
    migrations: &[&Migration],
    built: bool,
    place: Place<'_>,
    mut job: impl FnMut() -> Uuid,
) -> String {
    let mut script = String::new();
    for migration in migrations {
        if !built {
            script.push_str(migration.sql(direction));
            script.push_str("\n;");
        }
        let version = &migration.version;
        script.push_str(&match direction {
            Direction::Up => format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}');\n"),
            Direction::Down => format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}';\n"),
        });
        if migration.backfill.is_some() && !place.is_spare {
            script.push_str(&backfill_script(direction, version, place.tenant, &mut job));
        }
    }
    script.push_str(&registry_script(direction, place));
    script.push_str(&entry_script(direction, migrations, place));
    script
}

/// What a migration leaves to be filled in, and the job that does it.
fn backfill_script(direction: Direction, version: &str, tenant: TenantId, job: &mut impl FnMut() -> Uuid) -> String {
    let tenant = tenant.0;
    match direction {
        Direction::Down => {
            format!("DELETE FROM control.backfills WHERE tenant_id = '{tenant}' AND version = '{version}';\n")
        }
        Direction::Up => format!(
            "INSERT INTO control.backfills (tenant_id, version) VALUES ('{tenant}', '{version}')
                 ON CONFLICT (tenant_id, version) DO UPDATE SET row_count = 0, finished_at = NULL;
             INSERT INTO control.jobs (id, tenant_id, kind, payload, unique_key)
                 VALUES ('{}', '{tenant}', '{BACKFILL}', '{{\"version\": \"{version}\"}}', '{version}')
                 ON CONFLICT DO NOTHING;\n",
            job()
        ),
    }
}

/// The kind of the job that fills in what a migration has left open. Its payload is the migration's version.
pub const BACKFILL: &str = "shop.backfill";

fn registry_script(direction: Direction, place: Place<'_>) -> String {
    let (tenant, version) = (place.tenant.0, place.version);
    // An older release that runs beside a newer one does not take the note back.
    let only = match direction {
        Direction::Up => format!(" AND schema_version < '{version}'"),
        Direction::Down => String::new(),
    };
    if place.is_spare {
        format!("UPDATE control.spare_schemas SET schema_version = '{version}' WHERE id = '{tenant}'{only};\n")
    } else {
        format!(
            "UPDATE control.tenants SET schema_version = '{version}', updated_at = now() WHERE id = '{tenant}'{only};\n"
        )
    }
}

fn entry_script(direction: Direction, migrations: &[&Migration], place: Place<'_>) -> String {
    let versions: Vec<&str> = migrations.iter().map(|migration| migration.version.as_str()).collect();
    let versions = match direction {
        Direction::Up => format!("versions || '{{{}}}'::text[]", versions.join(",")),
        Direction::Down => "versions".to_owned(),
    };
    let end = if place.is_last {
        ", status = 'completed', attempts = attempts + 1, error = NULL, finished_at = clock_timestamp()"
    } else {
        ""
    };
    let (run, tenant) = (place.run, place.tenant.0);
    format!(
        "UPDATE control.migration_steps SET versions = {versions}{end} WHERE run_id = '{run}' AND tenant_id = '{tenant}';\n"
    )
}

/// Runs a migration that PostgreSQL does not run in a transaction, statement by statement. What is there already is left,
/// and what an earlier attempt has left half built is dropped first.
///
/// # Errors
/// The first failing statement; running it again goes on.
pub async fn run_bare(bare: &OwnerBare, sql: &str) -> Result<(), DbError> {
    for (statement, change) in index_changes(sql) {
        match change {
            None => return Err(DbError::Other(format!("not to be run outside of a transaction: {statement}"))),
            Some(IndexChange::Create(index)) => build(bare, &index, &statement).await?,
            Some(IndexChange::Drop(index)) => {
                if is_valid(bare, &index).await?.is_some() {
                    bare.batch(&statement).await?;
                }
            }
        }
    }
    Ok(())
}

/// Builds an index where there is none that is fit for use.
async fn build(bare: &OwnerBare, index: &str, statement: &str) -> Result<(), DbError> {
    let drop = format!("DROP INDEX CONCURRENTLY {}", quoted(index));
    match is_valid(bare, index).await? {
        Some(true) => return Ok(()),
        Some(false) => bare.batch(&drop).await?,
        None => {}
    }
    let built = bare.batch(statement).await;
    // A unique index that could not be built refuses rows all the same: the shop is not left with it. Where that fails too,
    // the next attempt drops it.
    if built.is_err() && is_valid(bare, index).await.is_ok_and(|is_valid| is_valid == Some(false)) {
        let _ = bare.batch(&drop).await;
    }
    built
}

/// Whether an index of the schema is fit for use; `None` where there is none.
async fn is_valid(bare: &OwnerBare, index: &str) -> Result<Option<bool>, DbError> {
    let query = diesel::sql_query(
        "SELECT i.indisvalid AS is_valid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
         WHERE c.relname = $1 AND c.relnamespace = pg_catalog.current_schema()::regnamespace",
    )
    .bind::<Text, _>(index.to_owned());
    Ok(bare.load::<_, IndexRow, _>(query).await?.pop().map(|row| row.is_valid))
}

/// Runs a migration's backfill to its end, in the caller's transaction: for schemas that nobody works in.
///
/// # Errors
/// The statement failed, or has no end.
pub async fn fill(tx: &mut OwnerTx, backfill: &str) -> Result<(), DbError> {
    for _ in 0..FILLS_MAX {
        if tx.execute(diesel::sql_query(backfill)).await? == 0 {
            return Ok(());
        }
    }
    Err(DbError::Other("a backfill touches rows without end".to_owned()))
}

/// Does what backfills may have been left to do in a schema at a version that came from elsewhere.
///
/// Nobody knows how far they were, and doing them again touches nothing. One that a later migration has waited for was done.
/// All of it is in the caller's transaction.
///
/// # Errors
/// A statement failed, or has no end.
pub async fn fill_again(
    tx: &mut OwnerTx,
    schema: &SchemaName,
    migrations: &[Migration],
    version: &str,
) -> Result<(), DbError> {
    tx.enter_schema(schema).await?;
    let there = || migrations.iter().filter(|migration| migration.version.as_str() <= version);
    for migration in there() {
        let is_done = there().any(|later| later.after_backfill() == Some(migration.version.as_str()));
        if let Some(backfill) = migration.backfill.as_deref().filter(|_| !is_done) {
            fill(tx, backfill).await?;
        }
    }
    Ok(())
}

/// Runs one batch of a migration's backfill as the shop's own role, and answers how many rows it touched.
///
/// # Errors
/// The statement failed.
pub async fn fill_batch(tx: &mut TenantTx, backfill: &str) -> Result<usize, DbError> {
    tx.execute(diesel::sql_query(backfill)).await
}
