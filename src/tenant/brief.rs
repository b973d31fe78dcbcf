//! Answers of shops' tables that are remembered for less than a second: what "within a second everywhere" rests on where nothing
//! is notified.

use std::future::Future;
use std::hash::Hash;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

use crate::db::DbError;

/// How long an answer is trusted.
const TRUST: Duration = Duration::from_millis(900);

/// Answers that are remembered, those that there is nothing among them.
const KNOWN_MAX: u64 = 50_000;

/// Answers with the moment at which they were asked for, which is when they begin to age.
pub(super) type Brief<K, V> = Cache<K, (V, Instant)>;

/// Lets answers go once they are older than [`TRUST`].
struct SinceAsked;

impl<K, V> Expiry<K, (V, Instant)> for SinceAsked {
    fn expire_after_create(&self, _: &K, (_, asked_at): &(V, Instant), created_at: Instant) -> Option<Duration> {
        Some(TRUST.saturating_sub(created_at.saturating_duration_since(*asked_at)))
    }
}

/// Nothing is known yet.
pub(super) fn brief<K: Eq + Hash + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Brief<K, V> {
    Cache::builder().max_capacity(KNOWN_MAX).expire_after(SinceAsked).build()
}

/// An answer that is fresh enough, or a new one. Who asks while it is being read waits for it.
pub(super) async fn fresh<K, V>(
    cache: &Brief<K, V>,
    key: K,
    read: impl Future<Output = Result<V, DbError>>,
) -> Result<V, DbError>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let asked_at = Instant::now();
    let answer = cache.try_get_with(key, async { Ok::<_, DbError>((read.await?, asked_at)) }).await;
    answer.map(|(value, _)| value).map_err(|error| (*error).clone())
}
