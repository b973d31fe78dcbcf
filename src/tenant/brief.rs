//! Answers of shops' tables that are remembered for less than a second: what "within a second everywhere" rests on where nothing
//! is notified.

use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
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

/// An answer that is fresh enough, or a new one. Who asks while it is being read waits for it, and reads it themselves where that
/// failed: why another could not read is nothing that concerns them.
pub(super) async fn fresh<K, V>(
    cache: &Brief<K, V>,
    key: K,
    read: impl Future<Output = Result<V, DbError>>,
) -> Result<V, DbError>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let (mut read, mut is_own, asked_at) = (pin!(read), false, Instant::now());
    let init = async {
        is_own = true;
        Ok::<_, DbError>((read.as_mut().await?, asked_at))
    };
    match cache.try_get_with(key.clone(), init).await {
        Ok((value, _)) => Ok(value),
        Err(error) if is_own => Err((*error).clone()),
        Err(_) => {
            let asked_at = Instant::now();
            let value = read.await?;
            cache.insert(key, (value.clone(), asked_at)).await;
            Ok(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_another_who_fails_reads_themselves() {
        let cache: Brief<u8, u8> = brief();
        let (fail, failing) = oneshot::channel::<()>();
        let first = fresh(&cache, 1, async {
            let _ = failing.await;
            Err(DbError::Busy)
        });
        let (second, third) = (fresh(&cache, 1, async { Ok(2) }), async {
            drop(fail);
        });
        // Polled in this order: the first reads, the second waits.
        let (first, (second, ())) = join(first, join(second, third)).await;
        assert!(matches!(first, Err(DbError::Busy)));
        assert_eq!(second.unwrap(), 2);
        assert_eq!(fresh(&cache, 1, async { Err(DbError::Busy) }).await.unwrap(), 2, "it is known");
    }
}
