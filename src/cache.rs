//! Answers that are read often and change rarely: in this process, and in Redis behind it.
//!
//! # What is promised
//!
//! An answer is what a row was at most so long ago:
//!
//! | When | At most |
//! | --- | --- |
//! | this process has changed the row | not at all: it is outdated before the writer is answered |
//! | another process has | until it is heard: milliseconds |
//! | this process hears nobody ([`News::is_heard`]) | [`TRUST_UNHEARD`], and Redis is not asked |
//! | a process died between its COMMIT and the telling | two seconds, while PostgreSQL answers at once: until it is missed |
//! | the end of a COMMIT was not seen | until it is told once more, a second and ten seconds later |
//! | a process died while its COMMIT hung | until what it did is missed once more, ten seconds later |
//! | a COMMIT hung for longer than that | `CACHE_TTL_SECONDS` |
//! | somebody has changed it past all servers | `CACHE_TTL_SECONDS` |
//!
//! A call with `Cache-Control: no-cache` is answered from the database. So is everything in a mutation, its payload included,
//! and whatever is read to be written.
//!
//! # How it is kept
//!
//! Nothing is put back that was read before a change. What is told raises a [mark](marks); an answer carries how much had been
//! told before the snapshot that it was read in, and does not count below the mark. Redis knows no snapshots, so there it takes a
//! [lease](shared) to keep something. And whoever was told of a change does not ask Redis for it before having
//! [removed](debts) it there.
//!
//! One caller [reads for all](turns) who ask meanwhile. They hold nothing while they wait, and do not wait for long: whoever has a
//! connection reads on it at once, so nobody who waits can be what is waited for.
//!
//! It is no authority: permissions are asked before, and nothing is decided by what is found here. Whose credential stands is
//! known by [`crate::tenant::identity::principals`], which trusts itself for less than a second because it is told nothing, and
//! which tenants there are by `control::tenants::Registry`, which goes on without its database: both are older than this
//! and stay what they are.

mod debts;
pub mod keys;
mod marks;
mod reads;
mod shared;
mod turns;

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::FutureExt as _;
use moka::future::Cache as Kept;
use tracing::Instrument as _;

use self::debts::Debts;
use self::keys::{Family, Key, Of, Place};
use self::marks::Marks;
use self::shared::{Lease, Offer, Shared};
use self::turns::Turns;
use crate::config::cache::CacheConfig;
use crate::db::{DbError, News, TenantRead, TenantSession};
use crate::detail;
use crate::kernel::clock::Clock;
use crate::redis::Redis;
use crate::telemetry::cache::CacheMetrics;

pub use reads::Reads;

/// How long an answer is trusted while this process does not hear others.
pub const TRUST_UNHEARD: Duration = Duration::from_secs(1);

/// What an answer takes beside itself, about, in bytes.
const OVERHEAD_BYTES: usize = 200;

/// The cache of a process. Clones are the same.
#[derive(Clone)]
pub struct Cache(Arc<Parts>);

struct Parts {
    kept: Kept<Place, Answer>,
    marks: Arc<Marks>,
    news: News,
    shared: Option<Shared>,
    turns: Turns,
    ttl: Duration,
    metrics: CacheMetrics,
}

/// What is kept of an answer.
#[derive(Clone)]
struct Answer {
    value: Arc<dyn Any + Send + Sync>,
    /// What outdates it.
    of: Of,
    /// How much had been told before it was read.
    told: u64,
    /// When it was read.
    at: Instant,
    bytes: u32,
}

impl Cache {
    /// A cache of which nothing is known yet; none where answers are kept for no time.
    #[must_use]
    pub fn new(
        config: CacheConfig,
        news: &News,
        redis: Option<Redis>,
        clock: Arc<dyn Clock>,
        metrics: CacheMetrics,
    ) -> Option<Self> {
        if config.ttl.is_zero() {
            return None;
        }
        let kept = Kept::builder()
            .weigher(|_, answer: &Answer| answer.bytes)
            .max_capacity(config.bytes_max)
            .time_to_live(config.ttl)
            .build();
        let (marks, debts) = (Arc::new(Marks::new(news.moments().clone())), Arc::new(Debts::default()));
        let shared = redis.map(|redis| Shared::new(redis, clock, Arc::clone(&debts)));
        let (heard, is_shared) = (Arc::clone(&marks), shared.is_some());
        news.attach(Arc::new(move |bulletin, _| {
            // In this order: who sees the mark sees the debt.
            if is_shared {
                debts.hear(bulletin);
            }
            heard.hear(bulletin);
        }));
        let turns = Turns::new(config.patience);
        Some(Self(Arc::new(Parts { kept, marks, news: news.clone(), shared, turns, ttl: config.ttl, metrics })))
    }

    /// Removes from Redis what is outdated, for ever. To be run as a task and aborted at shutdown.
    pub async fn run(self) -> Infallible {
        match &self.0.shared {
            Some(shared) => shared.settle().await,
            None => std::future::pending().await,
        }
    }

    /// Whether nothing is outdated in Redis that this process knows of.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.0.shared.as_ref().is_none_or(Shared::is_settled)
    }

    /// How many answers are kept in this process, and in about how many bytes.
    pub async fn size(&self) -> (u64, u64) {
        // What was kept or removed is added up a while later, unless it is asked for.
        self.0.kept.run_pending_tasks().await;
        (self.0.kept.entry_count(), self.0.kept.weighted_size())
    }

    /// An answer that is known, or is read now, in the session's reading transaction.
    ///
    /// # Errors
    /// What `read` answers, or no connection could be borrowed. Neither is kept.
    pub async fn get<F: Family, R>(
        &self,
        key: Key<F>,
        session: &TenantSession,
        read: impl FnOnce(TenantRead) -> R + Send,
    ) -> Result<Arc<F::Value>, DbError>
    where
        R: Future<Output = Result<F::Value, DbError>> + Send,
    {
        let span = detail!(
            "cache",
            otel.name = format!("cache {}", F::NAME.as_str()),
            otel.kind = "internal",
            cache.family = F::NAME.as_str(),
            cache.found = tracing::field::Empty,
        );
        if let Some(value) = self.known::<F>(&key.place).await {
            span.record("cache.found", "here");
            return Ok(value);
        }
        // Boxed: what is known should not carry along what is not.
        self.find(key, session, read).instrument(span).boxed().await
    }

    /// What is known in this process, and counted as such.
    async fn known<F: Family>(&self, place: &Place) -> Option<Arc<F::Value>> {
        let value = self.trusted::<F>(place, &self.0.kept.get(place).await?)?;
        self.0.metrics.of(F::NAME).hits.inc();
        Some(value)
    }

    /// What an answer says, if it can be trusted.
    fn trusted<F: Family>(&self, place: &Place, answer: &Answer) -> Option<Arc<F::Value>> {
        let trust = if self.0.news.is_heard() { self.0.ttl } else { self.0.ttl.min(TRUST_UNHEARD) };
        let is_trusted = answer.told >= self.0.marks.newest(place.tenant, answer.of) && answer.at.elapsed() < trust;
        // Of another type it cannot be: a family has one.
        if is_trusted { Arc::clone(&answer.value).downcast().ok() } else { None }
    }

    /// Looks for an answer in Redis, then in the database.
    async fn find<F: Family, R>(
        &self,
        key: Key<F>,
        session: &TenantSession,
        read: impl FnOnce(TenantRead) -> R + Send,
    ) -> Result<Arc<F::Value>, DbError>
    where
        R: Future<Output = Result<F::Value, DbError>> + Send,
    {
        let (place, metrics) = (key.place, self.0.metrics.of(F::NAME));
        // Who reads already has a connection, and does not wait for anybody with it.
        let turn = if session.is_reading().await { None } else { self.0.turns.take(&place, session.reading()).await };
        if let Some(value) = self.known::<F>(&place).await {
            return Ok(value);
        }
        let lease = match self.ask_redis::<F>(&place, session).await {
            Ok(value) => {
                metrics.shared.inc();
                tracing::Span::current().record("cache.found", "redis");
                return Ok(value);
            }
            Err(lease) => lease,
        };
        // Who reads something else by now may be slow, and has others read for themselves.
        let is_reading = session.is_reading().await;
        let _turn = turn.filter(|_| !is_reading);
        let transaction = session.read().await?;
        let Some(moment) = transaction.moment() else {
            metrics.misses.inc();
            return read(transaction).await.map(Arc::new);
        };
        // A connection may have been long in coming.
        if let Some(value) = self.known::<F>(&place).await {
            return Ok(value);
        }
        metrics.misses.inc();
        tracing::Span::current().record("cache.found", "nowhere");
        let value = read(transaction).await?;
        if let (Some(shared), Some(lease)) = (&self.0.shared, lease)
            && moment.at >= lease.lent_at
            // That there is nothing would let anybody fill Redis with what there is not.
            && !F::is_nothing(&value)
            && let Ok(text) = serde_json::to_vec(&value)
        {
            shared.put(place, lease, &text, moment.at.elapsed(), self.0.ttl);
        }
        Ok(self.keep::<F>(&place, value, moment.told, moment.at).await)
    }

    /// Keeps an answer in this process. In which order several are put there does not matter: what is outdated does not count.
    async fn keep<F: Family>(&self, place: &Place, value: F::Value, told: u64, at: Instant) -> Arc<F::Value> {
        let bytes = u32::try_from(F::bytes(&value) + OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let (of, value) = (place.of(F::is_nothing(&value)), Arc::new(value));
        let answer = Answer { of, value: Arc::<F::Value>::clone(&value), told, at, bytes };
        self.0.kept.insert(*place, answer).await;
        value
    }

    /// What Redis has, where it can be trusted; else the right to keep something there, if it was lent.
    async fn ask_redis<F: Family>(
        &self,
        place: &Place,
        session: &TenantSession,
    ) -> Result<Arc<F::Value>, Option<Lease>> {
        let Some(shared) = self.0.shared.as_ref().filter(|_| self.0.news.is_heard()) else { return Err(None) };
        // As of an answer, which is all that is shared.
        let (of, asked_at) = (place.of(false), Instant::now());
        // Before what is owed is looked at.
        let told = self.0.marks.newest(place.tenant, of);
        // A transaction that is open has an older snapshot than any lease.
        let offer = shared.get(place, !session.is_reading().await).await;
        let (text, age) = match offer {
            Offer::Kept(text, age) => (text, age),
            Offer::Lent(lease) => return Err(Some(lease)),
            Offer::Nothing => return Err(None),
        };
        let at = asked_at.checked_sub(age).filter(|_| age < self.0.ttl).ok_or(None)?;
        // What cannot be read is another's, or damaged: the next change or the end of its time removes it.
        let value: F::Value = serde_json::from_slice(&text).map_err(|_| None)?;
        if F::is_nothing(&value) {
            return Err(None);
        }
        Ok(self.keep::<F>(place, value, told, at).await)
    }
}
