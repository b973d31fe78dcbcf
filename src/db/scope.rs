//! A transaction on a borrowed connection, and what becomes of the connection whatever happens to the caller.
//!
//! The order of events is the safety: the connection is marked dirty before the first byte is sent, and clean only
//! after the end of the transaction was sent (a read's) or seen (a write's). A connection dropped while dirty is taken
//! over by a task that rolls back; if the server is still busy, it is cancelled and the connection closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::Pg;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::query_dsl::{CompatibleType, QueryDsl as _};
use diesel::result::QueryResult;
use diesel::row::Row;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::{AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::future::{BoxFuture, FutureExt as _, Shared, TryFutureExt as _, try_join};
use futures_util::stream::{BoxStream, StreamExt as _};
use tracing::Instrument as _;
use uuid::Uuid;

use super::cancel::cancel;
use super::error::DbError;
use super::fair::Borrower;
use super::meter::Meter;
use super::pool::{Borrowed, Pool};
use super::schema::tenant::tenant_stamp;
use super::tls::Target;
use super::trace;
use crate::kernel::ids::TenantId;

/// How long an abandoned statement may go on before it is cancelled: most end by themselves sooner.
const GRACE: Duration = Duration::from_millis(50);

/// How long a cancel request may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// A borrowed connection that finds its own way back.
pub(super) struct Held {
    /// Always present until the drop.
    borrowed: Option<Borrowed>,
    target: Target,
    pub(super) meter: Arc<Meter>,
    violations: Arc<AtomicU64>,
}

/// The BEGIN of a transaction: sent, and awaited together with the first answer.
type Opening = Shared<BoxFuture<'static, Result<(), DbError>>>;

/// An open transaction: what all doors have in common.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) held: Arc<Held>,
    opening: Option<Opening>,
}

/// A query whose rows become values of `T`; implemented for every one.
pub trait Query<T, ST>:
    AsQuery<SqlType: CompatibleType<T, Pg, SqlType = ST>, Query: QueryFragment<Pg> + QueryId>
{
}

impl<Q, T, ST> Query<T, ST> for Q where
    Q: AsQuery<SqlType: CompatibleType<T, Pg, SqlType = ST>, Query: QueryFragment<Pg> + QueryId>
{
}

impl Held {
    pub(super) async fn borrow(pool: &Pool, borrower: Borrower, meter: Arc<Meter>) -> Result<Arc<Self>, DbError> {
        let borrowed = pool.borrow(borrower).instrument(trace::checkout()).await?;
        let (target, violations) = (pool.target().clone(), Arc::clone(pool.violations()));
        Ok(Arc::new(Self { borrowed: Some(borrowed), target, meter, violations }))
    }

    /// The same connection for something else, of which nobody counts the statements.
    fn of(borrowed: Borrowed, target: Target, violations: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self { borrowed: Some(borrowed), target, meter: Arc::default(), violations })
    }

    pub(super) fn connection(&self) -> &super::connection::Connection {
        match &self.borrowed {
            Some(borrowed) => &borrowed.connection,
            None => unreachable!("a held connection is given up only when it is dropped"),
        }
    }

    pub(super) fn pg(&self) -> &AsyncPgConnection {
        &self.connection().pg
    }

    /// Sends a batch by the simple protocol and waits for its end: one round trip.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), DbError> {
        self.run(sql).instrument(trace::batch(sql)).await
    }

    async fn run(&self, sql: &str) -> Result<(), DbError> {
        let in_flight = self.meter.wait();
        let result = self.pg().batch_execute(sql).await.map_err(DbError::from);
        in_flight.arrived();
        trace::ended(&result);
        result
    }

    /// Opens a transaction and waits until it stands, as every writer must: a write that travelled with a failing
    /// opening would land outside of it.
    ///
    /// For a tenant, the transaction is asked whose schema it stands in, in the same trip.
    pub(super) async fn begin(self: &Arc<Self>, opening: &str, tenant: Option<TenantId>) -> Result<Scope, DbError> {
        self.connection().set_dirty(true);
        let in_flight = self.meter.wait();
        let result = self.open(opening, tenant).await;
        in_flight.arrived();
        result?;
        Ok(Scope { held: Arc::clone(self), opening: None })
    }

    /// Opens a transaction without waiting: the opening is on the wire when this returns, before any statement can be.
    pub(super) fn begin_pipelined(self: &Arc<Self>, opening: String, tenant: Option<TenantId>) -> Scope {
        self.connection().set_dirty(true);
        let held = Arc::clone(self);
        let opening = async move { held.open(&opening, tenant).await }.boxed().shared();
        // The first poll is what sends. The answer is awaited by every statement of the scope.
        let _ = opening.clone().now_or_never();
        Scope { held: Arc::clone(self), opening: Some(opening) }
    }

    /// Statements outside of any transaction. The connection counts as dirty until it is said to be clean.
    pub(super) fn without_transaction(self: &Arc<Self>) -> Scope {
        self.connection().set_dirty(true);
        Scope { held: Arc::clone(self), opening: None }
    }

    /// Sends the opening and, right behind it, the question whose schema this is. The stamp is named without a schema and
    /// may be read by one role alone, so the right answer proves path, role and schema at once.
    async fn open(&self, opening: &str, tenant: Option<TenantId>) -> Result<(), DbError> {
        let opened = async {
            let result = self.open_and_look(opening, tenant).await;
            trace::ended(&result);
            result
        };
        opened.instrument(trace::transaction(opening)).await
    }

    async fn open_and_look(&self, opening: &str, tenant: Option<TenantId>) -> Result<(), DbError> {
        let mut pg = self.pg();
        // Behind a pooler the backend may have statements of others, named as ours will be.
        let emptied = (!self.target.keeps_statements).then(|| format!("{opening}; DEALLOCATE ALL"));
        let opening = emptied.as_deref().unwrap_or(opening);
        let opened = async { self.pg().batch_execute(opening).await.map_err(|error| self.barred(error.into())) };
        let Some(tenant) = tenant.filter(|_| !cfg!(without_wall)) else { return opened.await };
        let stamp = AsyncConnectionCore::load(&mut pg, tenant_stamp::table.select(tenant_stamp::tenant_id));
        let ((), stamp) = try_join(opened, rows::<Uuid, SqlUuid, _>(stamp)).await?;
        if stamp == [tenant.0] {
            return Ok(());
        }
        self.violations.fetch_add(1, Ordering::Relaxed);
        self.connection().poison();
        tracing::error!(
            security.event = "isolation_violation", tenant.id = %tenant, found = ?stamp,
            "A transaction stood in another schema than it was opened for; its connection is closed"
        );
        Err(DbError::Misplaced)
    }

    /// What a failed opening means. Where the role was denied, the connection is given up: a backend keeps a list of the roles that
    /// its login is a member of, and one that was told of a new role while it made the list keeps it without that role until
    /// the next is made (`roles_is_member_of` in PostgreSQL's `acl.c`). Another backend's list is most likely right.
    fn barred(&self, error: DbError) -> DbError {
        let DbError::Denied(message) = error else { return error };
        self.connection().poison();
        tracing::error!(
            error = message,
            "A tenant's role could not be entered; the connection is closed. If it goes on: is the role granted to the login?"
        );
        DbError::Barred(message)
    }

    /// Ends a transaction and waits for it. Only then is the connection clean.
    pub(super) async fn end(&self, closing: &str) -> Result<(), DbError> {
        let ended = self.run(closing).instrument(trace::transaction(closing)).await;
        ended.map_err(|error| match error {
            DbError::Unreachable(message) if closing == "COMMIT" => DbError::InDoubt(message),
            error => error,
        })?;
        self.connection().set_dirty(self.meter.has_abandoned());
        Ok(())
    }

    /// Sends a statement that cannot fail but with its transaction, whose next statement then fails: nobody waits for it.
    pub(super) fn send_unawaited(&self, sql: &'static str) {
        // The first poll is what sends.
        let _ = self.pg().batch_execute(sql).now_or_never();
    }

    /// Ends a reading transaction without waiting; the next user of the connection queues behind it on the wire.
    pub(super) fn end_unawaited(&self) {
        if self.meter.has_abandoned() {
            return;
        }
        let sent = self.pg().batch_execute("COMMIT").now_or_never();
        self.connection().set_dirty(matches!(sent, Some(Err(_))));
    }
}

impl Drop for Held {
    #[expect(clippy::disallowed_methods, reason = "a drop cannot wait; the task is bounded by its own timeout")]
    fn drop(&mut self) {
        let Some(borrowed) = self.borrowed.take() else { return };
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        if borrowed.connection.is_dirty() {
            tokio::spawn(clean_up(borrowed, self.target.clone()).in_current_span());
        } else if let Some(turn) = borrowed.connection.backends.as_ref().and_then(|backends| backends.turn()) {
            tokio::spawn(turn.measure(Self::of(borrowed, self.target.clone(), Arc::clone(&self.violations))));
        }
    }
}

/// Makes a dirty connection fit again, or leaves it dirty, so that the pool closes it.
///
/// One whose server is still busy is cancelled and closed: the signal may arrive late, and must not hit a statement of
/// the next borrower. It is closed once the statement has ended: a pooler between forgets whom to cancel when its client goes.
async fn clean_up(borrowed: Borrowed, target: Target) {
    let pg = &borrowed.connection.pg;
    let rollback = async { (&mut &*pg).batch_execute("ROLLBACK").await };
    let mut rollback = std::pin::pin!(rollback);
    match tokio::time::timeout(GRACE, &mut rollback).await {
        Ok(Ok(())) => borrowed.connection.set_dirty(false),
        Ok(Err(error)) => tracing::debug!(%error, "Closed a database connection that could not be rolled back"),
        Err(_) => {
            let token = pg.cancel_token();
            let cancelled = async {
                let is_sent = cancel(&token, &target).await.is_ok();
                // Whatever the answer is: it is one.
                let _ = rollback.await;
                is_sent
            };
            if !matches!(tokio::time::timeout(CANCEL_TIMEOUT, cancelled).await, Ok(true)) {
                tracing::warn!("An abandoned statement could not be cancelled");
            }
        }
    }
}

impl Scope {
    /// The same transaction, once its opening has been awaited.
    pub(super) fn opened(self) -> Self {
        Self { opening: None, ..self }
    }

    /// Runs a query and reads all its rows. Siblings that are awaited together share a round trip.
    ///
    /// The statement is built here and now; what is returned borrows the connection alone. That keeps the types of
    /// queries out of every future above, which the compiler could otherwise not prove to be `Send`.
    pub(super) fn load<Q, T, ST>(&self, query: Q) -> BoxFuture<'_, Result<Vec<T>, DbError>>
    where
        Q: Query<T, ST>,
        T: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let mut pg = self.held.pg();
        let query = query.as_query();
        let span = trace::statement(&query);
        let rows = rows(AsyncConnectionCore::load(&mut pg, query));
        async move {
            let in_flight = self.held.meter.send();
            let result = self.with_opening(rows).await;
            in_flight.arrived();
            trace::ended(&result);
            result
        }
        .instrument(span)
        .boxed()
    }

    /// Runs a statement and answers how many rows it touched.
    pub(super) fn execute<Q>(&self, query: Q) -> BoxFuture<'_, Result<usize, DbError>>
    where
        Q: QueryFragment<Pg> + QueryId,
    {
        let mut pg = self.held.pg();
        let span = trace::statement(&query);
        let count = AsyncConnectionCore::execute_returning_count(&mut pg, query);
        async move {
            let in_flight = self.held.meter.send();
            let result = self.with_opening(count.map_err(DbError::from)).await;
            in_flight.arrived();
            trace::ended(&result);
            result
        }
        .instrument(span)
        .boxed()
    }

    /// Waits for a statement and for the opening before it; the opening's error wins, being the cause.
    async fn with_opening<T>(&self, statement: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        match &self.opening {
            None => statement.await,
            Some(opening) => try_join(opening.clone(), statement).await.map(|((), value)| value),
        }
    }
}

/// The rows of an answer as values.
async fn rows<T, ST, R>(
    answer: impl Future<Output = QueryResult<BoxStream<'static, QueryResult<R>>>>,
) -> Result<Vec<T>, DbError>
where
    T: FromSqlRow<ST, Pg>,
    R: for<'row> Row<'row, Pg>,
{
    let mut stream = answer.await?;
    let mut rows = Vec::with_capacity(stream.size_hint().0);
    while let Some(row) = stream.next().await {
        rows.push(T::build_from_row(&row?).map_err(diesel::result::Error::DeserializationError)?);
    }
    Ok(rows)
}
