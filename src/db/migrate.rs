//! Migrations of both planes: embedded SQL, one transaction each, a ledger in the migrated schema.
//!
//! The ledger is diesel's own table, so `diesel migration list` reads it. The files of a schema run as one batch with
//! their ledger rows: a new tenant's tables are made in a single round trip.

pub mod check;
pub mod fleet;
pub mod notes;
mod split;

use std::borrow::Cow;

use diesel::sql_types::Text;
use rust_embed::RustEmbed;

use super::error::DbError;
use super::owner::{OwnerDb, OwnerTx};
use crate::kernel::tenant::SchemaName;

#[derive(RustEmbed)]
#[folder = "migrations/"]
struct ControlFiles;

#[derive(RustEmbed)]
#[folder = "tenant_migrations/"]
struct TenantFiles;

/// The oldest control plane that this release works on: its servers are not ready on one that is older. One that is newer suits
/// them as well, because its migrations are made for the release before them.
///
/// This release asks a view which migrations there are, of which there is none before.
pub const CONTROL_VERSION_MIN: &str = "20261129000001";

/// The oldest tenant schema that this release works on.
///
/// This release keeps with an event which request it is of, which has no column before.
pub const TENANT_VERSION_MIN: &str = "20261129000009";

/// The advisory lock that runs of the control plane's migrations take: replicas that start together do not race.
const ADVISORY_LOCK: i64 = 0x5348_454c_4657; // "SHELFW"

/// Which schema a migration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// The schema `control`.
    Control,
    /// Each tenant's schema.
    Tenant,
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The sortable part of the folder's name, digits alone, as diesel's ledger has it.
    pub version: String,
    /// The folder's name.
    pub name: String,
    /// The statements that make the change.
    pub up: String,
    /// The statements that take it back.
    pub down: String,
    /// A statement that fills in what the change has left open, a batch at a time: run until it touches nothing.
    pub backfill: Option<String>,
}

#[derive(diesel::QueryableByName)]
struct LedgerRow {
    #[diesel(sql_type = Text)]
    version: String,
}

/// A plane's migrations in their order.
#[must_use]
pub fn migrations(plane: Plane) -> Vec<Migration> {
    let read = |path: &str| match plane {
        Plane::Control => ControlFiles::get(path),
        Plane::Tenant => TenantFiles::get(path),
    };
    let text = |path: &str| read(path).map(|file| String::from_utf8_lossy(&file.data).into_owned()).unwrap_or_default();
    let files: Box<dyn Iterator<Item = Cow<'static, str>>> = match plane {
        Plane::Control => Box::new(ControlFiles::iter()),
        Plane::Tenant => Box::new(TenantFiles::iter()),
    };
    let mut migrations: Vec<Migration> = files
        .filter_map(|path| path.strip_suffix("/up.sql").map(str::to_owned))
        .map(|folder| Migration {
            version: folder.split('_').next().unwrap_or_default().replace('-', ""),
            up: text(&format!("{folder}/up.sql")),
            down: text(&format!("{folder}/down.sql")),
            backfill: Some(text(&format!("{folder}/backfill.sql"))).filter(|text| !text.is_empty()),
            name: folder,
        })
        .collect();
    migrations.sort_by(|a, b| a.version.cmp(&b.version));
    migrations
}

/// The version of a plane's newest migration.
#[must_use]
pub fn newest_version(plane: Plane) -> String {
    migrations(plane).pop().map(|migration| migration.version).unwrap_or_default()
}

/// Brings the control plane to its newest version and answers how many migrations ran.
///
/// # Errors
/// The first failing statement; nothing of this run is kept.
pub async fn migrate_control(owner: &OwnerDb) -> Result<usize, DbError> {
    owner
        .write(async |tx: &mut OwnerTx| {
            // Whoever comes second waits for as long as the first one takes.
            tx.batch(&format!(
                "SET LOCAL lock_timeout = 0; SELECT pg_catalog.pg_advisory_xact_lock({ADVISORY_LOCK});
                 SET LOCAL lock_timeout = '2s'; CREATE SCHEMA IF NOT EXISTS control;"
            ))
            .await?;
            let pending = pending(tx, Plane::Control, "control").await?;
            tx.batch(&script(&pending, "control", owner.runtime_login())).await?;
            Ok(pending.len())
        })
        .await
}

/// Takes every migration of the control plane back. Its data is lost: for tests of the `down` files.
///
/// # Errors
/// The first failing statement.
pub async fn revert_control(owner: &OwnerDb) -> Result<(), DbError> {
    owner.write(async |tx: &mut OwnerTx| tx.batch(&revert_script(Plane::Control, "control")).await).await
}

/// Brings one tenant's schema to the newest version, within the caller's transaction, and answers how many ran.
///
/// # Errors
/// The first failing statement.
pub async fn migrate_tenant(tx: &mut OwnerTx, schema: &SchemaName) -> Result<usize, DbError> {
    tx.enter_schema(schema).await?;
    let pending = pending(tx, Plane::Tenant, schema.as_str()).await?;
    for migrations in pending.chunk_by(|migration, _| migration.backfill.is_none()) {
        tx.batch(&script(migrations, schema.as_str(), "")).await?;
        if let Some(backfill) = migrations.last().and_then(|migration| migration.backfill.as_deref()) {
            fleet::fill(tx, backfill).await?;
        }
    }
    Ok(pending.len())
}

/// What migrations up to a version make, squashed: one statement for each table instead of all its changes.
const BASELINE: &str = include_str!("../../tenant_migrations/baseline.sql");

/// The statements that make new tenants' roles, schemas and tables, ledgers included: one batch. What is older than the
/// baseline comes by it, what is younger by its own script.
#[must_use]
pub fn tenants_script(schemas: &[SchemaName], runtime_login: &str) -> String {
    let (squashed, younger): (Vec<_>, Vec<_>) =
        migrations(Plane::Tenant).into_iter().partition(|migration| migration.version.as_str() <= baseline_version());
    let done: Vec<String> = squashed.iter().map(|migration| format!("'{}'", migration.version)).collect();
    let ledger =
        format!("INSERT INTO __diesel_schema_migrations (version) SELECT unnest(ARRAY[{}]::text[]);", done.join(", "));
    let make = |schema: &SchemaName| {
        let baseline = BASELINE.replace("{tenant}", schema.as_str());
        make_ungranted(schema, &format!("{baseline}{ledger}\n{}", replay_script(schema, &younger)))
    };
    let made: String = schemas.iter().map(make).collect();
    format!("{made}{}", grant(schemas, runtime_login))
}

/// As [`tenants_script`] for one tenant, with tables as they were at a version: by its migrations, one after the other.
#[must_use]
pub fn tenant_script_at(schema: &SchemaName, runtime_login: &str, version: &str) -> String {
    if version == newest_version(Plane::Tenant) {
        return tenants_script(std::slice::from_ref(schema), runtime_login);
    }
    replayed_script(schema, runtime_login, version)
}

/// The same by its migrations, whatever the baseline holds.
#[must_use]
pub fn replayed_script(schema: &SchemaName, runtime_login: &str, version: &str) -> String {
    let mut until = migrations(Plane::Tenant);
    until.retain(|migration| migration.version.as_str() <= version);
    make_schema(schema, runtime_login, &replay_script(schema, &until))
}

/// The newest migration that the baseline holds, as its first line tells.
fn baseline_version() -> &'static str {
    BASELINE.lines().next().and_then(|line| line.strip_prefix("-- version ")).unwrap_or_default()
}

/// The statements that make an empty tenant's role and schema with its ledger, and then `tables` in it.
///
/// The role gets rights on the tables by default privileges, so that tables of later migrations need no grants; the
/// ledger is made before, and stays the owner's.
fn make_schema(schema: &SchemaName, runtime_login: &str, tables: &str) -> String {
    format!("{}{}", make_ungranted(schema, tables), grant(std::slice::from_ref(schema), runtime_login))
}

/// The statement by which the runtime login may enter these tenants' roles: one for all of them, because after each one
/// every backend of the login finds out anew of which roles it is a member.
fn grant(schemas: &[SchemaName], runtime_login: &str) -> String {
    let roles: Vec<String> = schemas.iter().map(|schema| quoted(schema.as_str())).collect();
    if roles.is_empty() { String::new() } else { format!("GRANT {} TO {};\n", roles.join(", "), quoted(runtime_login)) }
}

/// The same as [`make_schema`], but for the runtime login's way in.
fn make_ungranted(schema: &SchemaName, tables: &str) -> String {
    let create_ledger = create_ledger(schema.as_str());
    format!(
        r#"CREATE ROLE "{schema}" NOLOGIN;
           CREATE SCHEMA "{schema}";
           GRANT USAGE ON SCHEMA "{schema}" TO "{schema}";
           SET LOCAL search_path TO "{schema}", pg_temp;
           {create_ledger}
           ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{schema}";
           {tables}"#
    )
}

/// The statements of migrations, one after the other, with their ledger rows.
fn replay_script(schema: &SchemaName, migrations: &[Migration]) -> String {
    script(migrations, schema.as_str(), "")
}

/// Takes every migration of one tenant's schema back. Its data is lost: for tests of the `down` files.
///
/// # Errors
/// The first failing statement.
pub async fn revert_tenant(tx: &mut OwnerTx, schema: &SchemaName) -> Result<(), DbError> {
    tx.enter_schema(schema).await?;
    tx.batch(&revert_script(Plane::Tenant, schema.as_str())).await
}

/// The migrations that a schema's ledger does not list; the ledger is made where it is missing.
async fn pending(tx: &mut OwnerTx, plane: Plane, schema: &str) -> Result<Vec<Migration>, DbError> {
    tx.batch(&create_ledger(schema)).await?;
    let query = diesel::sql_query(format!(r#"SELECT version FROM "{schema}".__diesel_schema_migrations"#));
    let done: Vec<LedgerRow> = tx.load(query).await?;
    Ok(migrations(plane).into_iter().filter(|m| !done.iter().any(|row| row.version == m.version)).collect())
}

fn create_ledger(schema: &str) -> String {
    format!(
        r#"CREATE TABLE IF NOT EXISTS "{schema}".__diesel_schema_migrations (
               version varchar(50) PRIMARY KEY, run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);"#
    )
}

fn script(migrations: &[Migration], schema: &str, runtime_login: &str) -> String {
    migrations
        .iter()
        .map(|migration| {
            let version = &migration.version;
            let up = notes::within_transaction(&migration.up).replace("{runtime}", &quoted(runtime_login));
            format!("{up}\nINSERT INTO \"{schema}\".__diesel_schema_migrations (version) VALUES ('{version}');\n")
        })
        .collect()
}

pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn revert_script(plane: Plane, schema: &str) -> String {
    migrations(plane)
        .iter()
        .rev()
        .map(|migration| {
            let (version, down) = (&migration.version, notes::within_transaction(&migration.down));
            format!("{down}\nDELETE FROM \"{schema}\".__diesel_schema_migrations WHERE version = '{version}';\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_has_both_directions_and_a_place() {
        for plane in [Plane::Control, Plane::Tenant] {
            let all = migrations(plane);
            assert!(!all.is_empty(), "{plane:?} has no migrations");
            for migration in &all {
                assert!(!migration.up.trim().is_empty() && !migration.down.trim().is_empty(), "{migration:?}");
                assert_eq!(migration.version.len(), 14, "{}", migration.version);
            }
            assert!(all.is_sorted_by(|a, b| a.version < b.version), "two migrations of {plane:?} share a version");
        }
    }

    #[test]
    fn what_a_release_needs_at_least_is_a_migration_of_its_own() {
        for (plane, min) in [(Plane::Control, CONTROL_VERSION_MIN), (Plane::Tenant, TENANT_VERSION_MIN)] {
            assert!(migrations(plane).iter().any(|migration| migration.version == min), "{plane:?} has no {min}");
        }
    }

    #[test]
    fn tenant_migrations_make_no_types_and_name_no_schema() {
        for migration in migrations(Plane::Tenant) {
            let up = migration.up.to_ascii_lowercase();
            for word in ["create type", "create domain", "control.", "public.", "create extension"] {
                assert!(!up.contains(word), "{} has `{word}`", migration.version);
            }
        }
    }
}
