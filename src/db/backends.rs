//! What PostgreSQL's processes behind our connections take.
//!
//! A backend keeps a descriptor of every table that it has ever touched, so it grows with the tenants that it serves, and nobody
//! but itself can tell by how much. Now and then one is asked, when its borrower is done and before the next gets it: one at a
//! time, and so seldom that the question takes a hundredth of a backend's time at most. What is told is what its memory contexts
//! have allocated, the question's own among them; neither the shared memory that it has touched, nor what its allocator holds
//! back. Behind PgBouncer it is whichever backend the question got. Whose login may not ask tells that once, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Bool};

use super::error::DbError;
use super::scope::Held;
use super::statement::statement;
use crate::telemetry::backends::BackendMetrics;

/// After a question that took so long a pause follows that is so many times longer.
const SHARE: u32 = 100;

/// How long an answer is waited for, of a server that may be stopped: then the connection is cleaned up as any other.
const TIMEOUT: Duration = Duration::from_secs(2);

/// It may be read by other statements at the same time, and takes no longer than this. With very many descriptors it would.
const OPENING: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = '1s'";

statement!(
    /// Whether the login may ask: `deploy/postgres/logins.sql` grants it, PostgreSQL by itself does not.
    MayAsk {} -> Bool = "
SELECT coalesce(pg_catalog.has_function_privilege(
    pg_catalog.to_regprocedure('pg_catalog.pg_get_backend_memory_contexts()'), 'EXECUTE'), false)"
);

statement!(
    /// The bytes that this backend has allocated.
    Allocated {} -> BigInt =
    "SELECT sum(contexts.total_bytes)::bigint FROM pg_catalog.pg_get_backend_memory_contexts() AS contexts"
);

/// Where it is told what backends take, and whose turn it is to be asked.
pub(super) struct Backends {
    metrics: BackendMetrics,
    pause: Duration,
    since: Instant,
    /// When the next may be asked, in milliseconds from `since`.
    next_ms: AtomicU64,
    is_asking: AtomicBool,
    /// Whether it was told that the login may not ask.
    is_told: AtomicBool,
}

/// The right to ask one backend. It ends with this, and the pause begins.
pub(super) struct Turn {
    backends: Arc<Backends>,
    began: Instant,
}

impl Backends {
    pub(super) fn new(metrics: BackendMetrics, pause: Duration) -> Self {
        let next_ms = AtomicU64::new(millis(pause));
        let (is_asking, is_told) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { metrics, pause, since: Instant::now(), next_ms, is_asking, is_told }
    }

    /// A connection was closed that has served so many tenants.
    pub(super) fn closed(&self, tenants: usize) {
        self.metrics.tenants.observe(tenants as f64);
    }

    /// The right to ask a backend, where that is due and nobody else does.
    pub(super) fn turn(self: &Arc<Self>) -> Option<Turn> {
        let is_due = millis(self.since.elapsed()) >= self.next_ms.load(Ordering::Relaxed);
        let is_ours = is_due && !self.is_asking.swap(true, Ordering::Acquire);
        is_ours.then(|| Turn { backends: Arc::clone(self), began: Instant::now() })
    }
}

impl Turn {
    /// Asks a backend, and lets its connection go. What fails is told by nobody: it is tried again after the pause.
    pub(super) async fn measure(self, held: Arc<Held>) {
        let asked = tokio::time::timeout(TIMEOUT, allocated(&held)).await;
        match asked.unwrap_or(Err(DbError::Busy)) {
            Ok(Some(bytes)) => self.backends.metrics.memory.observe(bytes as f64),
            // Once: it would be told every few seconds, until somebody grants it.
            Ok(None) if !self.backends.is_told.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    grant = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_get_backend_memory_contexts()",
                    "The runtime login may not ask for its backend's memory, so no metric has it: run deploy/postgres/logins.sql"
                );
            }
            Ok(None) => tracing::debug!("The runtime login still may not ask for its backend's memory"),
            Err(error) => tracing::debug!(%error, "A backend could not be asked for its memory"),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let pause = self.backends.pause.max(self.began.elapsed() * SHARE);
        self.backends.next_ms.store(millis(self.backends.since.elapsed() + pause), Ordering::Relaxed);
        self.backends.is_asking.store(false, Ordering::Release);
    }
}

/// What a backend has allocated, in bytes; nothing where the login may not ask.
async fn allocated(held: &Arc<Held>) -> Result<Option<i64>, DbError> {
    let scope = held.begin(OPENING, None).await?;
    let may_ask = scope.load(MayAsk {}).await?.pop().unwrap_or(false);
    let bytes = if may_ask { scope.load(Allocated {}).await?.pop() } else { None };
    held.end("COMMIT").await?;
    Ok(bytes)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
