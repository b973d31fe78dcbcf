//! The owner's door: the login that makes schemas, roles and tables. Provisioning and migrations alone go through it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use super::control::ControlTx;
use super::error::DbError;
use super::meter::Meter;
use super::pool::Pool;
use super::scope::Held;
use super::tenant::TenantTx;
use super::tls::Target;
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::{SchemaName, TenantCtx};

/// The most connections of the owner: schema changes are bound by the processor, so few are as fast as many.
const POOL_MAX: u32 = 4;

/// How long a schema change waits for its turn: others take tens of milliseconds each.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(30);

/// An owner's connection is retired after so many transactions' worth of schemas, as a runtime one is.
const TENANTS_PER_CONNECTION_MAX: usize = 300;

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

impl OwnerDb {
    /// The owner's pool. `runtime_login` is whom migrations and provisioning grant to.
    #[must_use]
    pub fn new(target: Target, runtime_login: &str) -> Self {
        let pool = Pool::new(target, POOL_MAX, CHECKOUT_TIMEOUT, TENANTS_PER_CONNECTION_MAX);
        Self { pool, runtime_login: runtime_login.into() }
    }

    /// A connection outside of any transaction, for what PostgreSQL does in none.
    pub(super) async fn held(&self) -> Result<Arc<Held>, DbError> {
        Held::borrow(&self.pool, Arc::<Meter>::default()).await
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
        let held = Held::borrow(&self.pool, Arc::<Meter>::default()).await?;
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
        let held = Held::borrow(&self.pool, Arc::<Meter>::default()).await?;
        let control = ControlTx(held.begin("BEGIN; SET LOCAL lock_timeout = '2s'", None).await?);
        let mut tx = OwnerTx { control, runtime_login: Arc::clone(&self.runtime_login) };
        let result = work(&mut tx).await;
        held.end("ROLLBACK").await?;
        result
    }
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

    /// Moves into a tenant's schema and hands out the tenant plane's view of this same transaction, so that a new
    /// tenant's first rows are written by the code that will write the later ones.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn as_tenant(&mut self, tenant: &TenantCtx) -> Result<TenantTx, DbError> {
        self.as_spare(tenant.id).await
    }

    /// The same for the schema of a tenant that is yet to be: only a seed is written there.
    ///
    /// # Errors
    /// The statement's failure.
    pub async fn as_spare(&mut self, id: TenantId) -> Result<TenantTx, DbError> {
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
