//! The owner's door: the login that makes schemas, roles and tables, and sees all of them. No request of a shop's goes through it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::Pg;
use futures_util::future::BoxFuture;

use super::control::ControlTx;
use super::error::DbError;
use super::fair::Borrower;
use super::meter::Meter;
use super::pool::Pool;
use super::scope::{Held, Query, Scope};
use super::tenant::TenantTx;
use super::tls::Target;
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;

/// The most connections of the owner: schema changes are bound by the processor, so few are as fast as many.
const POOL_MAX: u32 = 4;

/// How long a schema change waits for its turn: others take tens of milliseconds each.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(30);

/// An owner's connection is retired after so many transactions' worth of schemas, as a runtime one is.
const TENANTS_PER_CONNECTION_MAX: usize = 300;

/// How long a statement outside of a transaction waits for others to end. Such statements keep nobody from reading or
/// writing while they wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pool of the owner's connections.
#[derive(Clone)]
pub struct OwnerDb {
    pool: Pool,
    runtime_login: Arc<str>,
}

/// A transaction of the owner: whatever the control plane's can do, and schema changes.
pub struct OwnerTx {
    control: ControlTx,
    runtime_login: Arc<str>,
}

/// The beginning of a transaction, in which statements share a round trip with each other and with the opening. So they
/// read and lock, and write nothing.
pub struct OwnerAsk(Scope);

/// A connection in a tenant's schema without a transaction, for what PostgreSQL does not do in one. It is closed
/// afterwards, unless all went well.
pub struct OwnerBare {
    scope: Scope,
    is_clean: bool,
}

impl OwnerDb {
    /// The owner's pool. `runtime_login` is whom migrations and provisioning grant to.
    #[must_use]
    pub fn new(target: Target, runtime_login: &str) -> Self {
        let pool = Pool::new(target, POOL_MAX, CHECKOUT_TIMEOUT, TENANTS_PER_CONNECTION_MAX);
        Self { pool, runtime_login: runtime_login.into() }
    }

    /// A connection outside of any transaction, for what PostgreSQL does in none.
    pub(super) async fn held(&self) -> Result<Arc<Held>, DbError> {
        Held::borrow(&self.pool, Borrower::PLATFORM, Arc::<Meter>::default()).await
    }

    /// The same database by connections of its own, so many at most: whoever uses them keeps nobody else waiting.
    #[must_use]
    pub fn apart(&self, connections_max: u32) -> Self {
        let target = self.pool.target().clone();
        let pool = Pool::new(target, connections_max, CHECKOUT_TIMEOUT, TENANTS_PER_CONNECTION_MAX);
        Self { pool, runtime_login: Arc::clone(&self.runtime_login) }
    }

    /// The name of the runtime login.
    #[must_use]
    pub fn runtime_login(&self) -> &str {
        &self.runtime_login
    }

    /// Runs `work` in a transaction: committed when it answers `Ok`, rolled back when it answers `Err`.
    ///
    /// # Errors
    /// What `work` answers, or the failure of the transaction itself.
    pub async fn write<T, E: From<DbError>>(
        &self,
        work: impl AsyncFnOnce(&mut OwnerTx) -> Result<T, E>,
    ) -> Result<T, E> {
        // A schema change never makes the tenants queue behind it for long.
        self.write_opened("BEGIN; SET LOCAL lock_timeout = '2s'", work).await
    }

    /// The same over one snapshot of everything, for what is read of a shop that goes on working meanwhile.
    ///
    /// # Errors
    /// As [`OwnerDb::write`]; [`DbError::Conflict`] where a row that is locked or changed was changed by others since.
    pub async fn write_of_one_moment<T, E: From<DbError>>(
        &self,
        work: impl AsyncFnOnce(&mut OwnerTx) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write_opened("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = '2s'", work).await
    }

    async fn write_opened<T, E: From<DbError>>(
        &self,
        opening: &'static str,
        work: impl AsyncFnOnce(&mut OwnerTx) -> Result<T, E>,
    ) -> Result<T, E> {
        let held = Held::borrow(&self.pool, Borrower::PLATFORM, Arc::<Meter>::default()).await?;
        let control = ControlTx(held.begin(opening, None).await?);
        let mut tx = OwnerTx { control, runtime_login: Arc::clone(&self.runtime_login) };
        let result = work(&mut tx).await;
        held.end(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        result
    }

    /// Runs `work` in a transaction and takes it back, whatever it answers: to learn what something would make.
    ///
    /// # Errors
    /// As [`OwnerDb::write`].
    pub async fn rehearse<T>(&self, work: impl AsyncFnOnce(&mut OwnerTx) -> Result<T, DbError>) -> Result<T, DbError> {
        let held = Held::borrow(&self.pool, Borrower::PLATFORM, Arc::<Meter>::default()).await?;
        let control = ControlTx(held.begin("BEGIN; SET LOCAL lock_timeout = '2s'", None).await?);
        let mut tx = OwnerTx { control, runtime_login: Arc::clone(&self.runtime_login) };
        let result = work(&mut tx).await;
        held.end("ROLLBACK").await?;
        result
    }

    /// Runs `work` in a transaction that stands in a tenant's schema and waits no longer than this for any lock. The
    /// question travels with the opening.
    ///
    /// The COMMIT is not waited for on the disk: should PostgreSQL itself crash, all of the transaction may be lost, or
    /// nothing. So this is for what is done again where it is found undone.
    ///
    /// # Errors
    /// What the question or `work` answers, or the failure of the transaction itself.
    pub async fn write_in<Q, T>(
        &self,
        (tenant, schema): (TenantId, &SchemaName),
        lock_timeout: Duration,
        question: impl AsyncFnOnce(&OwnerAsk) -> Result<Q, DbError>,
        work: impl AsyncFnOnce(&mut OwnerTx, Q) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let held = Held::borrow(&self.pool, Borrower::PLATFORM, Arc::<Meter>::default()).await?;
        held.connection().saw(tenant);
        let opening = format!(
            r#"BEGIN; SET LOCAL lock_timeout = {}; SET LOCAL synchronous_commit = off;
               SET LOCAL search_path TO "{schema}", pg_temp"#,
            lock_timeout.as_millis()
        );
        let ask = OwnerAsk(held.begin_pipelined(opening, None));
        let result = match question(&ask).await {
            Ok(answer) => {
                let control = ControlTx(ask.0.opened());
                let mut tx = OwnerTx { control, runtime_login: Arc::clone(&self.runtime_login) };
                work(&mut tx, answer).await
            }
            Err(error) => Err(error),
        };
        held.end(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        result
    }

    /// Runs `work` in a tenant's schema without a transaction, one at a time for each schema: whoever finds that another
    /// session is at it, be it one whose process has died, gets [`DbError::Conflict`].
    ///
    /// # Errors
    /// What `work` answers, or the failure of the connection.
    pub async fn bare<T>(
        &self,
        (tenant, schema): (TenantId, &SchemaName),
        work: impl AsyncFnOnce(&OwnerBare) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let held = Held::borrow(&self.pool, Borrower::PLATFORM, Arc::<Meter>::default()).await?;
        held.connection().saw(tenant);
        let mut bare = OwnerBare { scope: held.without_transaction(), is_clean: false };
        bare.enter(schema).await?;
        let result = work(&bare).await?;
        bare.leave().await?;
        Ok(result)
    }
}

impl OwnerAsk {
    /// Runs a query and reads all its rows. Queries that are awaited together share a round trip.
    ///
    /// # Errors
    /// The statement's failure, or that of the transaction's opening.
    pub fn load<Q, T, ST>(&self, query: Q) -> BoxFuture<'_, Result<Vec<T>, DbError>>
    where
        Q: Query<T, ST>,
        T: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        self.0.load(query)
    }
}

impl OwnerBare {
    /// Takes the schema's lock and points the session at it. A session, because there is no transaction: that is why the
    /// connection is closed if it does not come back from here.
    async fn enter(&self, schema: &SchemaName) -> Result<(), DbError> {
        let lock =
            diesel::sql_query("SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0)) AS had")
                .bind::<diesel::sql_types::Text, _>(schema.as_str().to_owned());
        let had: Vec<Had> = self.scope.load(lock).await?;
        if !had.iter().all(|row| row.had) {
            return Err(DbError::Conflict("another session is changing the schema".to_owned()));
        }
        let patience = PATIENCE.as_millis();
        self.batch(&format!(r#"SET search_path TO "{schema}", pg_temp"#)).await?;
        self.batch(&format!("SET lock_timeout = {patience}")).await
    }

    async fn leave(&mut self) -> Result<(), DbError> {
        self.batch("RESET search_path").await?;
        self.batch("RESET lock_timeout").await?;
        self.batch("SELECT pg_catalog.pg_advisory_unlock_all()").await?;
        self.is_clean = true;
        self.scope.held.connection().set_dirty(false);
        Ok(())
    }

    /// Runs one statement that has no parameters.
    ///
    /// # Errors
    /// The statement's failure. What it had begun may be there.
    pub async fn batch(&self, sql: &str) -> Result<(), DbError> {
        self.scope.held.batch(sql).await
    }

    /// Runs a query and reads all its rows.
    ///
    /// # Errors
    /// The statement's failure.
    pub fn load<Q, T, ST>(&self, query: Q) -> BoxFuture<'_, Result<Vec<T>, DbError>>
    where
        Q: Query<T, ST>,
        T: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        self.scope.load(query)
    }
}

impl Drop for OwnerBare {
    fn drop(&mut self) {
        if !self.is_clean {
            // Nobody else may get a session that stands in a schema.
            self.scope.held.connection().poison();
        }
    }
}

#[derive(diesel::QueryableByName)]
struct Had {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    had: bool,
}

impl OwnerTx {
    /// Runs statements that have no parameters, in one round trip.
    ///
    /// # Errors
    /// The first statement's failure; the transaction is then good for nothing but a rollback.
    pub async fn batch(&mut self, sql: &str) -> Result<(), DbError> {
        self.control.0.held.batch(sql).await
    }

    /// The name of the runtime login.
    #[must_use]
    pub fn runtime_login(&self) -> &str {
        &self.runtime_login
    }

    /// Points the search path of this transaction at a tenant's schema.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn enter_schema(&mut self, schema: &SchemaName) -> Result<(), DbError> {
        self.batch(&format!(r#"SET LOCAL search_path TO "{schema}", pg_temp"#)).await
    }

    /// Moves into a tenant's schema, or one of the stock, and hands out the tenant plane's view of this same transaction, so that
    /// first and last rows are read and written by the code of all others. What is noted, told or enqueued there is lost.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn as_tenant(&mut self, id: TenantId) -> Result<TenantTx, DbError> {
        self.enter_schema(&SchemaName::from(id)).await?;
        self.control.0.held.connection().saw(id);
        Ok(TenantTx::within(self.control.0.clone()))
    }
}

impl Deref for OwnerTx {
    type Target = ControlTx;

    fn deref(&self) -> &ControlTx {
        &self.control
    }
}

impl DerefMut for OwnerTx {
    fn deref_mut(&mut self) -> &mut ControlTx {
        &mut self.control
    }
}
