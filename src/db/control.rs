//! The control plane's door: the runtime login without a search path. Every table is named with its schema.

use std::sync::Arc;

use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use futures_util::future::BoxFuture;

use super::error::DbError;
use super::fair::Borrower;
use super::meter::Meter;
use super::pool::Pool;
use super::scope::{Held, Query, Scope};

/// The pool behind the control plane, apart from the tenants': it answers when theirs is exhausted.
#[derive(Clone)]
pub struct ControlDb {
    pool: Pool,
}

/// A transaction in the control plane.
pub struct ControlTx(pub(super) Scope);

impl ControlDb {
    /// The control plane over a pool of runtime connections.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Runs `work` in a transaction: committed when it answers `Ok`, rolled back when it answers `Err`.
    ///
    /// # Errors
    /// What `work` answers, or the failure of the transaction itself.
    pub async fn write<T, E: From<DbError>>(
        &self,
        work: impl AsyncFnOnce(&mut ControlTx) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write_opened("BEGIN", work).await
    }

    /// Runs `work` in a transaction that is opened by these statements, which travel together.
    ///
    /// # Errors
    /// As [`ControlDb::write`].
    pub async fn write_opened<T, E: From<DbError>>(
        &self,
        opening: &'static str,
        work: impl AsyncFnOnce(&mut ControlTx) -> Result<T, E>,
    ) -> Result<T, E> {
        let held = Held::borrow(&self.pool, Borrower::PLATFORM, Arc::<Meter>::default()).await?;
        let mut tx = ControlTx(held.begin(opening, None).await?);
        let result = work(&mut tx).await;
        held.end(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        result
    }

    /// Runs one query, in a transaction that opens and closes without a round trip of its own.
    ///
    /// # Errors
    /// No connection could be borrowed, or the statement failed.
    pub async fn load<Q, T, ST>(&self, query: Q) -> Result<Vec<T>, DbError>
    where
        Q: Query<T, ST> + Send,
        T: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let held = Held::borrow(&self.pool, Borrower::PLATFORM, Arc::<Meter>::default()).await?;
        let rows = held.begin_pipelined("BEGIN READ ONLY".to_owned(), None).load(query).await;
        held.end_unawaited();
        rows
    }
}

impl ControlTx {
    /// Runs a query and reads all its rows.
    ///
    /// # Errors
    /// The statement's failure.
    pub fn load<Q, T, ST>(&mut self, query: Q) -> BoxFuture<'_, Result<Vec<T>, DbError>>
    where
        Q: Query<T, ST>,
        T: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        self.0.load(query)
    }

    /// Runs a statement and answers how many rows it touched.
    ///
    /// # Errors
    /// The statement's failure; the transaction is then good for nothing but a rollback.
    pub fn execute<Q>(&mut self, query: Q) -> BoxFuture<'_, Result<usize, DbError>>
    where
        Q: QueryFragment<Pg> + QueryId,
    {
        self.0.execute(query)
    }
}
