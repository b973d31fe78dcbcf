//! The tenant's door: transactions in one tenant's schema, under that tenant's role.
//!
//! An operation has one [`TenantSession`] and so, at most, one connection. Reads share a READ ONLY transaction that
//! opens with the first statement; a write has the connection to itself, from an awaited opening to an awaited COMMIT,
//! and what is read afterwards sees it, in a fresh transaction on the same connection.

use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::QueryMetadata;
use diesel::pg::Pg;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

use super::bell::Bell;
use super::error::DbError;
use super::fair::Borrower;
use super::meter::Meter;
use super::news::{Moment, News};
use super::pool::{Pool, PoolState};
use super::scope::{Held, Query, Scope};
use super::statement::statement;
use crate::kernel::journal::{Change, Event, Journal};
use crate::kernel::news::{Fact, Told};
use crate::kernel::tenant::TenantCtx;
use crate::telemetry::frames;

/// The pool behind the tenant plane.
#[derive(Clone)]
pub struct TenantDb {
    pool: Pool,
    bell: Bell,
    news: News,
}

/// One operation's connection, taken when it is first needed and given back when the session is dropped.
pub struct TenantSession {
    pool: Pool,
    bell: Bell,
    news: News,
    tenant: Arc<TenantCtx>,
    meter: Arc<Meter>,
    state: Mutex<State>,
    /// Wakes who waits for a reading transaction to be open.
    opened: Notify,
    /// Why no connection could be borrowed, the first time that none could.
    refused: OnceLock<DbError>,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    read: Option<TenantRead>,
}

/// A transaction that reads one tenant's schema. Clones are the same transaction.
#[derive(Clone)]
pub struct TenantRead(Scope, Option<Moment>);

/// A transaction that may write one tenant's schema; it can read as well.
pub struct TenantTx {
    read: TenantRead,
    /// What is to be written down before the end.
    journal: Journal,
    /// What is to be told after the COMMIT.
    told: Told,
    /// Whether workers are to be woken after the COMMIT.
    has_enqueued: bool,
}

impl TenantDb {
    /// The tenant plane over a pool of runtime connections.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool, bell: Bell::default(), news: News::default() }
    }

    /// The same, ringing this bell after each COMMIT of a transaction that enqueued jobs.
    #[must_use]
    pub fn with_bell(self, bell: Bell) -> Self {
        Self { bell, ..self }
    }

    /// The same, telling here what each COMMIT has changed.
    #[must_use]
    pub fn with_news(self, news: News) -> Self {
        Self { news, ..self }
    }

    /// A session for one operation of one tenant. Nothing is borrowed yet.
    #[must_use]
    pub fn session(&self, tenant: Arc<TenantCtx>) -> TenantSession {
        let Self { pool, bell, news } = self.clone();
        let (meter, state, opened, refused) = Default::default();
        TenantSession { pool, bell, news, tenant, meter, state, opened, refused }
    }

    /// The state of the pool, for metrics.
    #[must_use]
    pub fn pool_state(&self) -> PoolState {
        self.pool.state()
    }

    /// How many transactions stood in another schema than they were opened for.
    #[must_use]
    pub fn violations(&self) -> u64 {
        AtomicU64::load(self.pool.violations(), Ordering::Relaxed)
    }

    /// How many connections were ever made.
    #[must_use]
    pub fn connections_created(&self) -> u64 {
        self.pool.connections_created()
    }
}

impl TenantSession {
    /// The session's reading transaction, opened with the first statement that is run in it.
    ///
    /// # Errors
    /// No connection could be borrowed.
    pub async fn read(&self) -> Result<TenantRead, DbError> {
        let mut state = self.state.lock().await;
        if let Some(read) = &state.read {
            return Ok(read.clone());
        }
        let held = self.held(&mut state).await?;
        // Before the snapshot is taken: it has all that was told until now.
        let moment = Some(self.news.moments().now());
        // One snapshot for the whole query: all that is read in it agrees. What is kept beside it may be older or newer.
        let opening = opening("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &self.tenant);
        let read = TenantRead(held.begin_pipelined(opening, Some(self.tenant.id)), moment);
        state.read = Some(read.clone());
        self.opened.notify_waiters();
        Ok(read)
    }

    /// Runs `work` in a writing transaction: committed when it answers `Ok`, rolled back when it answers `Err`.
    ///
    /// # Errors
    /// What `work` answers, or the failure of the transaction itself.
    pub async fn write<T, E: From<DbError>>(
        &self,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, E>,
    ) -> Result<T, E> {
        // Held to the end: whoever wants to read meanwhile waits for the COMMIT, and then reads what was written.
        let mut state = self.state.lock().await;
        let held = self.held(&mut state).await?;
        let begin = if state.read.take().is_some() { "COMMIT; BEGIN" } else { "BEGIN" };
        let tx = TenantTx::within(held.begin(&opening(begin, &self.tenant), Some(self.tenant.id)).await?);
        self.finish_write(&held, tx, work).await
    }

    /// As [`TenantSession::write`], with a question that travels with the opening, and a savepoint behind it: `work` may
    /// take back what it did by [`TenantTx::undo`] and still commit.
    ///
    /// The question only reads and locks. Where the opening fails it is answered by an error, whatever it found.
    ///
    /// # Errors
    /// What the question or `work` answers, or the failure of the transaction itself.
    pub async fn write_after<Q, T, E: From<DbError>>(
        &self,
        question: impl AsyncFnOnce(&TenantRead) -> Result<Q, DbError>,
        work: impl AsyncFnOnce(&mut TenantTx, Q) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.state.lock().await;
        let held = self.held(&mut state).await?;
        let begin = if state.read.take().is_some() { "COMMIT; BEGIN" } else { "BEGIN" };
        let read = TenantRead(held.begin_pipelined(opening(begin, &self.tenant), Some(self.tenant.id)), None);
        let answer = match question(&read).await {
            Ok(answer) => answer,
            Err(error) => {
                held.end("ROLLBACK").await?;
                return Err(error.into());
            }
        };
        // Behind the question, so that what the question locked stays locked when the work is undone.
        held.send_unawaited("SAVEPOINT undo");
        let tx = TenantTx::within(read.0.opened());
        self.finish_write(&held, tx, async |tx: &mut TenantTx| work(tx, answer).await).await
    }

    /// Runs `work` in an open transaction and ends it.
    async fn finish_write<T, E: From<DbError>>(
        &self,
        held: &Held,
        mut tx: TenantTx,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, E>,
    ) -> Result<T, E> {
        let result = work(&mut tx).await;
        // A change that nobody writes down must not be kept: whoever notes one goes through the journal's door.
        let is_kept = result.is_ok() && tx.journal.is_empty();
        // Told when it is dropped: once the COMMIT is over, and also where its answer never comes, for it may have been one.
        let telling = is_kept.then(|| self.news.telling(self.tenant.id, std::mem::take(&mut tx.told))).transpose();
        held.end(if is_kept && telling.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        if let Some(telling) = telling? {
            telling.tell();
        }
        if result.is_ok() && !is_kept {
            return Err(DbError::Other("a change was noted and not written down".to_owned()).into());
        }
        if tx.has_enqueued && is_kept {
            self.bell.ring();
        }
        result
    }

    /// Whether a reading transaction is open.
    pub async fn is_reading(&self) -> bool {
        self.state.lock().await.read.is_some()
    }

    /// Waits until a reading transaction is open.
    pub async fn reading(&self) {
        let mut opened = pin!(self.opened.notified());
        // Before it is looked, so that none is overlooked that opens meanwhile.
        opened.as_mut().enable();
        if !self.is_reading().await {
            opened.await;
        }
    }

    /// Ends the reading transaction, if one is open, without waiting. To be called once all answers are in; a session
    /// that is dropped without it is cleaned up more dearly.
    pub async fn finish(&self) {
        let mut state = self.state.lock().await;
        if state.read.take().is_some()
            && let Some(held) = &state.held
        {
            held.end_unawaited();
        }
        state.held = None;
    }

    /// Whose schema it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantCtx {
        &self.tenant
    }

    /// Why the operation did nothing at all: it got no connection, and had none before.
    #[must_use]
    pub fn refused(&self) -> Option<&DbError> {
        self.refused.get().filter(|_| self.meter.round_trips() == 0)
    }

    /// What the operation has asked of PostgreSQL so far.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    async fn held(&self, state: &mut State) -> Result<Arc<Held>, DbError> {
        if let Some(held) = &state.held {
            return Ok(Arc::clone(held));
        }
        let borrower = Borrower { tenant: Some(self.tenant.id), weight: self.tenant.limits.weight };
        let held = Held::borrow(&self.pool, borrower, Arc::clone(&self.meter)).await.inspect_err(|error| {
            let _ = self.refused.set(error.clone());
        })?;
        held.connection().saw(self.tenant.id);
        state.held = Some(Arc::clone(&held));
        Ok(held)
    }
}

/// The statements that put a transaction where it belongs: the path alone. `script/bench` builds a server of its own with
/// this, to learn what the wall costs; nobody else does.
#[cfg(without_wall)]
fn opening(begin: &str, tenant: &TenantCtx) -> String {
    format!(r#"{begin}; SET LOCAL search_path TO "{}", pg_temp"#, tenant.schema)
}

/// The statements that put a transaction where it belongs: path and role, for this transaction alone.
#[cfg(not(without_wall))]
fn opening(begin: &str, tenant: &TenantCtx) -> String {
    let schema = &tenant.schema;
    format!(r#"{begin}; SET LOCAL search_path TO "{schema}", pg_temp; SET LOCAL ROLE "{schema}""#)
}

impl TenantRead {
    /// A moment before the transaction's snapshot, for what is kept of it; nothing in a transaction that may write, of which
    /// nothing must be kept.
    #[must_use]
    pub fn moment(&self) -> Option<Moment> {
        self.1
    }

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

    /// Runs a query and answers its first row, if there is one.
    ///
    /// # Errors
    /// As [`TenantRead::load`].
    pub fn first<Q, T, ST>(&self, query: Q) -> BoxFuture<'_, Result<Option<T>, DbError>>
    where
        Q: Query<T, ST>,
        T: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let rows = self.0.load(query);
        async move { Ok(rows.await?.into_iter().next()) }.boxed()
    }

    /// Runs a statement that answers one row, such as an INSERT with RETURNING.
    ///
    /// # Errors
    /// As [`TenantRead::load`], and when there was no row.
    pub fn one<Q, T, ST>(&self, query: Q) -> BoxFuture<'_, Result<T, DbError>>
    where
        Q: Query<T, ST>,
        T: FromSqlRow<ST, Pg> + Send + 'static,
        ST: 'static,
        Pg: QueryMetadata<Q::SqlType>,
    {
        let row = self.first(query);
        async move { row.await?.ok_or_else(|| DbError::Other("a statement answered no row".to_owned())) }.boxed()
    }
}

impl TenantTx {
    /// A transaction that is open and stands in the tenant's schema.
    pub(super) fn within(scope: Scope) -> Self {
        Self { read: TenantRead(scope, None), journal: Journal::default(), told: Told::default(), has_enqueued: false }
    }

    /// Notes what became of the entity that the mutation is about, for the trail.
    pub fn note(&mut self, change: Change) {
        self.journal.note(change);
    }

    /// Notes that something has happened.
    pub fn publish(&mut self, event: Event) {
        self.journal.publish(event);
    }

    /// Notes that something has changed which the journal does not name, to be told after the COMMIT.
    pub fn tell(&mut self, fact: Fact) {
        self.told.add(fact);
    }

    /// Notes that more has changed than can be told one by one.
    pub fn tell_anything(&mut self) {
        self.told = Told::Anything;
    }

    /// Takes what was noted, to write it down. The entities that it is about are told after the COMMIT.
    pub fn take_journal(&mut self) -> (Option<Change>, Vec<Event>) {
        let (change, events) = self.journal.take();
        let entities = change.iter().map(|change| &change.entity).chain(events.iter().map(|event| &event.entity));
        entities.filter_map(|entity| entity.parse().ok()).for_each(|fact| self.told.add(fact));
        (change, events)
    }

    /// Runs a statement and answers how many rows it touched.
    ///
    /// # Errors
    /// The statement's failure; the transaction is then good for nothing but a rollback.
    pub fn execute<Q>(&mut self, query: Q) -> BoxFuture<'_, Result<usize, DbError>>
    where
        Q: QueryFragment<Pg> + QueryId,
    {
        self.read.0.execute(query)
    }

    /// Takes back all that was done since [`TenantSession::write_after`] opened the transaction, what was noted included.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn undo(&mut self) -> Result<(), DbError> {
        self.journal = Journal::default();
        self.told = Told::default();
        self.has_enqueued = false;
        self.read.0.held.batch("ROLLBACK TO SAVEPOINT undo").await
    }

    /// Enqueues a job of this tenant, in this transaction: it exists if and when the transaction commits. The database
    /// reads the tenant off the role, so that no job can be another's. Answers false where an unfinished job of the kind
    /// has the same `unique_key`.
    ///
    /// # Errors
    /// As [`TenantTx::execute`].
    pub async fn enqueue(
        &mut self,
        id: Uuid,
        kind: &'static str,
        payload: serde_json::Value,
        unique_key: Option<String>,
    ) -> Result<bool, DbError> {
        self.enqueue_at(id, kind, payload, unique_key, None).await
    }

    /// As [`TenantTx::enqueue`], for a job whose time is yet to come.
    ///
    /// # Errors
    /// As [`TenantTx::execute`].
    pub async fn enqueue_at(
        &mut self,
        id: Uuid,
        kind: &'static str,
        payload: serde_json::Value,
        unique_key: Option<String>,
        at: Option<DateTime<Utc>>,
    ) -> Result<bool, DbError> {
        let enqueue = JobEnqueue { id, kind, payload, at, unique_key, meta: frames::meta() };
        let is_enqueued = self.one::<_, Option<Uuid>, _>(enqueue).await?.is_some();
        // A job of the future is found when its time comes.
        self.has_enqueued |= is_enqueued && at.is_none();
        Ok(is_enqueued)
    }

    /// Has one of this tenant's jobs done sooner: at a time, or now where none is said. Answers false where the job has ended
    /// already and so does nothing any more.
    ///
    /// # Errors
    /// As [`TenantTx::execute`].
    pub async fn advance_job(&mut self, id: Uuid, at: Option<DateTime<Utc>>) -> Result<bool, DbError> {
        let is_unfinished = self.one(JobAdvance { id, at }).await?;
        self.has_enqueued |= is_unfinished && at.is_none();
        Ok(is_unfinished)
    }

    /// Whether a claim of one of this tenant's jobs still holds. If so, it holds until this transaction ends: the job is
    /// neither rescued nor cancelled before. A job that writes begins with this, so that what was taken from it and given
    /// to another writes nothing any more.
    ///
    /// # Errors
    /// As [`TenantTx::execute`].
    pub async fn hold_job(&mut self, id: Uuid, fence: i64) -> Result<bool, DbError> {
        self.one(HoldJob { id, fence }).await
    }
}

statement!(
    /// Enqueues a job of the tenant whose role this is.
    JobEnqueue {
        /// The job.
        id: Uuid => SqlUuid,
        /// What is to be done.
        kind: &'static str => Text,
        /// With what.
        payload: serde_json::Value => Jsonb,
        /// When.
        at: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        /// Under which key it is once.
        unique_key: Option<String> => Nullable<Text>,
        /// For which request.
        meta: Option<serde_json::Value> => Nullable<Jsonb>,
    } -> Nullable<SqlUuid> = "SELECT control.job_enqueue({}, {}, {}, {}, {}, {})"
);

statement!(
    /// Has a job of the tenant whose role this is done sooner.
    JobAdvance {
        /// The job.
        id: Uuid => SqlUuid,
        /// When.
        at: Option<DateTime<Utc>> => Nullable<Timestamptz>,
    } -> Bool = "SELECT control.job_advance({}, {})"
);

statement!(
    /// Asks whether a claim holds, and keeps it.
    HoldJob {
        /// The job.
        id: Uuid => SqlUuid,
        /// The claim.
        fence: i64 => BigInt,
    } -> Bool = "SELECT control.job_hold({}, {})"
);

impl Deref for TenantTx {
    type Target = TenantRead;

    fn deref(&self) -> &TenantRead {
        &self.read
    }
}
