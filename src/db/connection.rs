//! A pooled connection and its manager: when one is fit for the next borrower.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use diesel::connection::CacheSize;
use diesel_async::pooled_connection::PoolableConnection as _;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::backends::Backends;
use super::error::DbError;
use super::tls::Target;
use crate::kernel::ids::TenantId;

/// How long a new connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection to PostgreSQL and what the pool must know of it.
pub struct Connection {
    pub(super) pg: AsyncPgConnection,
    /// Set before the first byte of a transaction is sent, cleared when its end was sent or seen. A connection that
    /// comes back dirty is not fit for anybody.
    pub(super) dirty: AtomicBool,
    /// Set when the connection was found where it must not be: nothing cleans it.
    poisoned: AtomicBool,
    /// The tenants this backend has served. It keeps a descriptor of each of their tables until it ends.
    tenants_seen: Mutex<HashSet<TenantId>>,
    /// Where it is told what the backend takes, if anywhere.
    pub(super) backends: Option<Arc<Backends>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(backends) = &self.backends {
            backends.closed(self.tenants_seen.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).len());
        }
    }
}

impl Connection {
    /// Remembers that the backend serves a tenant.
    pub(super) fn saw(&self, tenant: TenantId) {
        self.tenants_seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(tenant);
    }

    pub(super) fn set_dirty(&self, dirty: bool) {
        self.dirty.store(dirty, Ordering::Release);
    }

    /// Gives the connection up for good.
    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    pub(super) fn is_poisoned(&self) -> bool {
        AtomicBool::load(&self.poisoned, Ordering::Acquire)
    }

    pub(super) fn is_dirty(&self) -> bool {
        AtomicBool::load(&self.dirty, Ordering::Acquire)
    }
}

/// Makes connections for bb8 and judges them, without any I/O at checkout or return.
pub struct Manager {
    target: Target,
    tenants_per_connection_max: usize,
    backends: Arc<OnceLock<Arc<Backends>>>,
}

/// What a runtime connection must find when it connects: an empty search path.
#[derive(diesel::QueryableByName)]
struct Path {
    #[diesel(sql_type = diesel::sql_types::Text)]
    search_path: String,
}

impl Manager {
    /// A manager of connections to one database. What backends take is told where it is said by then.
    pub(super) fn new(
        target: Target,
        tenants_per_connection_max: usize,
        backends: Arc<OnceLock<Arc<Backends>>>,
    ) -> Self {
        Self { target, tenants_per_connection_max, backends }
    }
}

impl bb8::ManageConnection for Manager {
    type Connection = Connection;
    type Error = DbError;

    /// Connects, and refuses a login whose search path is not empty: a statement that forgot its tenant must fail.
    async fn connect(&self) -> Result<Connection, DbError> {
        let too_slow = |_| DbError::Unreachable("connecting took too long".to_owned());
        let pg = tokio::time::timeout(CONNECT_TIMEOUT, begin(&self.target)).await.map_err(too_slow)??;
        let path: Path =
            diesel::sql_query("SELECT current_setting('search_path') AS search_path").get_result(&mut &pg).await?;
        (&mut &pg).batch_execute("COMMIT").await?;
        if path.search_path.trim_matches('"').is_empty() {
            Ok(Connection {
                pg,
                dirty: AtomicBool::new(false),
                poisoned: AtomicBool::new(false),
                tenants_seen: Mutex::default(),
                backends: self.backends.get().map(Arc::clone),
            })
        } else {
            Err(DbError::Other("the login's search path is not empty: run deploy/postgres/logins.sql".to_owned()))
        }
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), DbError> {
        if connection.pg.is_broken() { Err(DbError::Unreachable("connection closed".to_owned())) } else { Ok(()) }
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        let seen = connection.tenants_seen.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).len();
        connection.is_dirty()
            || connection.is_poisoned()
            || connection.pg.is_broken()
            || seen > self.tenants_per_connection_max
    }
}

/// Opens one connection, outside of any pool. Its driver task ends with it.
///
/// # Errors
/// The server is unreachable or refuses the login.
pub async fn connect(target: &Target) -> Result<AsyncPgConnection, DbError> {
    let pg = begin(target).await?;
    (&mut &pg).batch_execute("COMMIT").await?;
    Ok(pg)
}

/// Opens a connection and a transaction on it. What a new connection is told and asked is several statements: in one
/// transaction, because a pooler may give each transaction another backend.
async fn begin(target: &Target) -> Result<AsyncPgConnection, DbError> {
    let unreachable = |error: &dyn std::error::Error| DbError::Unreachable(chain(error));
    let connecting = target.config.connect(target.tls.clone()).await;
    let (client, mut connection) = connecting.map_err(|error| unreachable(&error))?;
    let begin = if target.keeps_statements { "BEGIN" } else { "BEGIN; DEALLOCATE ALL" };
    tokio::select! {
        begun = client.batch_execute(begin) => begun.map_err(|error| unreachable(&error))?,
        ended = &mut connection => return Err(match ended {
            Ok(()) => DbError::Unreachable("connection closed".to_owned()),
            Err(error) => unreachable(&error),
        }),
    }
    let driven = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
    let mut pg = driven.map_err(|error| unreachable(&error))?;
    if !target.keeps_statements {
        pg.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    Ok(pg)
}

/// An error with its causes: the driver's own text alone says only "db error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
