//! What a login finds where it stands: of the server, of itself, and of what it may do. For `shelfwise doctor`, which judges it.
//!
//! By a connection of its own, outside of any pool: a pool refuses a login whose search path is not empty, and that is what is to
//! be found out.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::result::QueryResult;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use super::connection::connect;
use super::error::DbError;
use super::migrate::{Plane, TENANT_VERSION_MIN, newest_version};
use super::tls::Target;

/// How long one question may take, and the connection.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most names of a kind that are told.
const NAMES_MAX: i64 = 5;

/// Settings of the server that something of ours depends on.
const SETTINGS: &[&str] = &[
    "archive_mode",
    "fsync",
    "full_page_writes",
    "max_connections",
    "max_locks_per_transaction",
    "reserved_connections",
    "superuser_reserved_connections",
    "synchronous_commit",
    "wal_level",
];

/// The server, as a login sees it.
#[derive(Debug, Clone, diesel::QueryableByName)]
pub struct Server {
    /// The version as a number, as 160004.
    #[diesel(sql_type = Integer)]
    pub version_number: i32,
    /// The version for people.
    #[diesel(sql_type = Text)]
    pub version: String,
    /// The time there.
    #[diesel(sql_type = Timestamptz)]
    pub now: DateTime<Utc>,
    /// The version of TLS that this connection has; none where it is not encrypted.
    #[diesel(sql_type = Nullable<Text>)]
    pub tls: Option<String>,
    /// The search path of the login.
    #[diesel(sql_type = Text)]
    pub path: String,
    /// The language of the server's messages to it.
    #[diesel(sql_type = Text)]
    pub lc_messages: String,
    /// How long a statement of it may take, in milliseconds; 0 for ever.
    #[diesel(sql_type = BigInt)]
    pub statement_timeout_ms: i64,
    /// How long a transaction of it may be idle, in milliseconds; 0 for ever.
    #[diesel(sql_type = BigInt)]
    pub idle_timeout_ms: i64,
    /// The most connections to the database and of the login; less than 0 for as many as the server takes.
    #[diesel(sql_type = Array<Integer>)]
    pub connection_limits: Vec<i32>,
}

/// A login's attributes, and what it owns.
#[derive(Debug, Clone, diesel::QueryableByName)]
pub struct Login {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Attributes that it has, in the words of `CREATE ROLE`.
    #[diesel(sql_type = Array<Text>)]
    pub attributes: Vec<String>,
    /// How many objects it owns, in all databases of the cluster.
    #[diesel(sql_type = BigInt)]
    pub owned: i64,
    /// Whether it owns the schema of the control plane.
    #[diesel(sql_type = Bool)]
    pub owns_control: bool,
    /// Whether it owns the database.
    #[diesel(sql_type = Bool)]
    pub owns_database: bool,
}

/// How far the tenants are.
#[derive(Debug, Clone, Default, diesel::QueryableByName)]
pub struct Fleet {
    /// Tenants that have a schema.
    #[diesel(sql_type = BigInt)]
    pub tenants: i64,
    /// Those of them whose schema is older than this release works on.
    #[diesel(sql_type = BigInt)]
    pub too_old: i64,
    /// Those of them whose schema is older than this release makes.
    #[diesel(sql_type = BigInt)]
    pub behind: i64,
    /// The state of a run that has not ended.
    #[diesel(sql_type = Nullable<Text>)]
    pub run: Option<String>,
}

/// What has become of the write-ahead log.
#[derive(Debug, Clone, Default, diesel::QueryableByName)]
pub struct Archiver {
    /// When a file of it was archived last.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub archived_at: Option<DateTime<Utc>>,
    /// When archiving one failed last.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub failed_at: Option<DateTime<Utc>>,
}

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(diesel::QueryableByName)]
struct Pair {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    value: String,
}

const SERVER: &str = "
SELECT pg_catalog.current_setting('server_version_num')::integer AS version_number,
    pg_catalog.current_setting('server_version') AS version,
    pg_catalog.clock_timestamp() AS now,
    (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl) AS tls,
    pg_catalog.current_setting('search_path') AS path,
    pg_catalog.current_setting('lc_messages') AS lc_messages,
    (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'statement_timeout') AS statement_timeout_ms,
    (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'idle_in_transaction_session_timeout')
        AS idle_timeout_ms,
    ARRAY[(SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
          (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user)] AS connection_limits";

const LOGIN: &str = "
SELECT r.rolname::text AS name,
    ARRAY(SELECT attribute FROM (VALUES
        (r.rolsuper, 'SUPERUSER'), (r.rolcreaterole, 'CREATEROLE'), (r.rolcreatedb, 'CREATEDB'), (r.rolinherit, 'INHERIT'),
        (r.rolreplication, 'REPLICATION'), (r.rolbypassrls, 'BYPASSRLS')) AS has (it, attribute) WHERE it) AS attributes,
    (SELECT count(*) FROM pg_catalog.pg_shdepend d
     WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o') AS owned,
    EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'control' AND nspowner = r.oid) AS owns_control,
    EXISTS (SELECT FROM pg_catalog.pg_database
            WHERE datname = pg_catalog.current_database() AND datdba = r.oid) AS owns_database
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";

/// What would let a statement of the login out of its tenant's schema.
const HOLES: &str = "
SELECT name FROM (VALUES
    (has_function_privilege('pg_catalog.set_config(text,text,boolean)', 'EXECUTE'), 'EXECUTE on set_config'),
    (has_function_privilege('pg_catalog.query_to_xml(text,boolean,boolean,text)', 'EXECUTE'), 'EXECUTE on query_to_xml'),
    (has_function_privilege('pg_catalog.database_to_xml(boolean,boolean,text)', 'EXECUTE'),
     'EXECUTE on database_to_xml'),
    (has_language_privilege('plpgsql', 'USAGE'), 'USAGE on plpgsql'),
    (has_database_privilege(current_database(), 'CREATE'), 'CREATE on the database'),
    (has_database_privilege(current_database(), 'TEMPORARY'), 'TEMPORARY on the database'),
    (coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'CREATE'), false), 'CREATE on public'),
    (coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'USAGE'), false), 'USAGE on public')
) AS hole (is_open, name) WHERE is_open";

/// What the login may not do that a metric depends on.
const LACKS: &str = "
SELECT 'EXECUTE on pg_get_backend_memory_contexts' AS name
WHERE NOT coalesce(has_function_privilege(
    pg_catalog.to_regprocedure('pg_catalog.pg_get_backend_memory_contexts()'), 'EXECUTE'), false)";

/// Extensions that are not where all databases have them, nor in the schema for them.
const EXTENSIONS: &str = "
SELECT e.extname || ' in ' || n.nspname AS name
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'ext') ORDER BY 1";

const FLEET: &str = "
SELECT count(*) AS tenants, count(*) FILTER (WHERE schema_version < $1) AS too_old,
    count(*) FILTER (WHERE schema_version < $2) AS behind,
    (SELECT status FROM control.migration_runs WHERE status IN ('running', 'paused') LIMIT 1) AS run
FROM control.tenants WHERE status <> 'deleted' AND (status <> 'offboarding' OR keys <> '[]')";

const INVALID_INDEXES: &str = "
SELECT n.nspname || '.' || c.relname AS name
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready) AND (n.nspname = 'control' OR n.nspname ~ '^t_[0-9a-z]{26}$')
ORDER BY 1 LIMIT $1";

/// A login's view of its database.
pub struct Inspection {
    pg: AsyncPgConnection,
}

impl Inspection {
    /// Connects.
    ///
    /// # Errors
    /// The server is unreachable or refuses the login.
    pub async fn connect(target: &Target) -> Result<Self, DbError> {
        let connected = tokio::time::timeout(TIMEOUT, connect(target)).await;
        let pg = connected.map_err(|_| DbError::Unreachable("connecting took too long".to_owned()))??;
        Ok(Self { pg })
    }

    /// The server.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn server(&self) -> Result<Server, DbError> {
        bounded(sql_query(SERVER).get_result(&mut &self.pg)).await
    }

    /// The login itself.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn login(&self) -> Result<Login, DbError> {
        bounded(sql_query(LOGIN).get_result(&mut &self.pg)).await
    }

    /// Settings of the server that something of ours depends on, as far as it has and shows them.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn settings(&self) -> Result<BTreeMap<String, String>, DbError> {
        let query = sql_query("SELECT name, setting AS value FROM pg_catalog.pg_settings WHERE name = ANY ($1)");
        let rows: Vec<Pair> = bounded(query.bind::<Array<Text>, _>(SETTINGS).load(&mut &self.pg)).await?;
        Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
    }

    /// What the login may do that would let a statement out of its tenant's schema.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn holes(&self) -> Result<Vec<String>, DbError> {
        names(sql_query(HOLES).load(&mut &self.pg)).await
    }

    /// What the login may not do that a metric depends on.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn lacks(&self) -> Result<Vec<String>, DbError> {
        names(sql_query(LACKS).load(&mut &self.pg)).await
    }

    /// Extensions that are where none may be, with their schemas.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn misplaced_extensions(&self) -> Result<Vec<String>, DbError> {
        names(sql_query(EXTENSIONS).load(&mut &self.pg)).await
    }

    /// The versions of the migrations that the control plane has had.
    ///
    /// # Errors
    /// The statement's failure: it has not had the one that tells them.
    pub async fn control_versions(&self) -> Result<Vec<String>, DbError> {
        let query = sql_query("SELECT version AS name FROM control.schema_versions ORDER BY 1");
        names(query.load(&mut &self.pg)).await
    }

    /// How far the tenants are.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn fleet(&self) -> Result<Fleet, DbError> {
        let query = sql_query(FLEET).bind::<Text, _>(TENANT_VERSION_MIN).bind::<Text, _>(newest_version(Plane::Tenant));
        bounded(query.get_result(&mut &self.pg)).await
    }

    /// The first indexes of ours that do not count.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn invalid_indexes(&self) -> Result<Vec<String>, DbError> {
        names(sql_query(INVALID_INDEXES).bind::<BigInt, _>(NAMES_MAX).load(&mut &self.pg)).await
    }

    /// What has become of the write-ahead log.
    ///
    /// # Errors
    /// The statement's failure: the server does not show it.
    pub async fn archiver(&self) -> Result<Archiver, DbError> {
        let query =
            "SELECT last_archived_time AS archived_at, last_failed_time AS failed_at FROM pg_catalog.pg_stat_archiver";
        bounded(sql_query(query).get_result(&mut &self.pg)).await
    }
}

/// Waits for a question's answer, no longer than one may take.
async fn bounded<T>(question: impl Future<Output = QueryResult<T>>) -> Result<T, DbError> {
    let answered = tokio::time::timeout(TIMEOUT, question).await;
    Ok(answered.map_err(|_| DbError::Cancelled("the server took too long".to_owned()))??)
}

/// The names of rows that are nothing else.
async fn names(question: impl Future<Output = QueryResult<Vec<Name>>>) -> Result<Vec<String>, DbError> {
    Ok(bounded(question).await?.into_iter().map(|row| row.name).collect())
}
