//! What strangers may cost: bounded before any of it needs a connection.
//!
//! Attempts at one account or shop are counted in the shop's tables, which takes a connection. So each address has so
//! many calls a minute, over all shops, counted in memory; and all strangers together have so many connections, so that
//! those who belong here always find some.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::kernel::attempts::network;

/// Calls of one address in a minute: an office of hundreds refreshes its tokens within it.
const CALLS_MAX: u32 = 300;

/// What [`CALLS_MAX`] is counted over.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered.
const ADDRESSES_MAX: u64 = 100_000;

/// How long a stranger waits for a connection's turn.
const LANE_TIMEOUT: Duration = Duration::from_secs(2);

/// Counts strangers.
pub struct Strangers {
    calls: Cache<String, Arc<AtomicU32>>,
    lanes: Semaphore,
}

impl Strangers {
    /// Nobody has come yet. Strangers use half of so many connections at most.
    #[must_use]
    pub fn new(connections: u32) -> Self {
        Self {
            calls: Cache::builder().max_capacity(ADDRESSES_MAX).time_to_live(WINDOW).build(),
            lanes: Semaphore::new((connections as usize / 2).max(1)),
        }
    }

    /// Counts a call, and tells whether it may go on.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> bool {
        self.calls.get_with(network(address), Arc::default).fetch_add(1, Ordering::Relaxed) < CALLS_MAX
    }

    /// Whether further calls would be turned away; nothing is counted.
    #[must_use]
    pub fn is_spent(&self, address: IpAddr) -> bool {
        self.calls.get(&network(address)).is_some_and(|calls| calls.load(Ordering::Relaxed) >= CALLS_MAX)
    }

    /// A turn with a connection; nothing where too many others have one.
    pub async fn lane(&self) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(LANE_TIMEOUT, self.lanes.acquire()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_calls_and_another_has_its_own() {
        let strangers = Strangers::new(8);
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((0..CALLS_MAX + 5).filter(|_| strangers.admit(one)).count(), CALLS_MAX as usize);
        assert!(strangers.is_spent(one) && !strangers.is_spent(two) && strangers.admit(two));
    }
}
