//! Counts use in memory, and writes it down every few seconds: no request waits for it.
//!
//! What a process counted and has not written down is lost when it is killed; when it stops, it is written down. A batch whose
//! COMMIT was not heard of is counted again, so a count may be a little high then: it says that somebody uses a part, and about
//! how much.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::model::{Tally, UsageKey};
use super::service::usage_record;
use crate::db::{DbError, TenantDb, TenantTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::TenantCtx;

/// The pause between two times that it is written down.
const EVERY: Duration = Duration::from_secs(10);

/// How long a process that stops may write.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);

/// Keys that are counted apart at a time, over all shops; beyond, what clients choose freely is counted together.
const KEYS_MAX: usize = 20_000;

/// The counts of a process.
#[derive(Clone)]
pub struct Counter {
    tenants: TenantDb,
    clock: Arc<dyn Clock>,
    counted: Arc<Mutex<Counted>>,
}

#[derive(Default)]
struct Counted {
    shops: HashMap<TenantId, OfShop>,
    keys: usize,
}

struct OfShop {
    tenant: Arc<TenantCtx>,
    tallies: BTreeMap<UsageKey, Tally>,
}

impl Counted {
    fn add(&mut self, tenant: &Arc<TenantCtx>, key: UsageKey, tally: Tally) {
        let shop = self
            .shops
            .entry(tenant.id)
            .or_insert_with(|| OfShop { tenant: Arc::clone(tenant), tallies: BTreeMap::new() });
        let is_known = shop.tallies.contains_key(&key);
        let key = if is_known || self.keys < KEYS_MAX { key } else { key.folded() };
        let before = shop.tallies.len();
        shop.tallies.entry(key).and_modify(|known| known.add(tally)).or_insert(tally);
        self.keys += shop.tallies.len() - before;
    }
}

impl Counter {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(tenants: TenantDb, clock: Arc<dyn Clock>) -> Self {
        Self { tenants, clock, counted: Arc::default() }
    }

    /// Counts one operation's use of each of these.
    pub fn count(&self, tenant: &Arc<TenantCtx>, keys: impl IntoIterator<Item = UsageKey>) {
        let once = Tally::once(self.clock.now());
        let mut counted = self.lock();
        for key in keys {
            counted.add(tenant, key, once);
        }
    }

    /// Writes down what was counted, shop by shop. What cannot be written is kept for the next time.
    pub async fn flush(&self) {
        let shops = std::mem::take(&mut *self.lock()).shops;
        for OfShop { tenant, tallies } in shops.into_values() {
            let session = self.tenants.session(Arc::clone(&tenant));
            let rows = tallies.clone();
            let work = async |tx: &mut TenantTx| usage_record(tx, &*self.clock, rows).await;
            if let Err(error) = session.write::<_, DbError>(work).await {
                tracing::warn!(tenant.slug = %tenant.slug, %error, "The use of what goes away could not be written down");
                // What fails for another reason fails again: the tenant may be gone.
                if !error.is_unavailable() {
                    continue;
                }
                let mut counted = self.lock();
                for (key, tally) in tallies {
                    counted.add(&tenant, key, tally);
                }
            }
        }
    }

    /// Writes down every few seconds until `running` is dropped, and then a last time.
    pub async fn keep(self, mut running: watch::Receiver<()>) {
        // Ends with the process. Nothing is written while it waits, so nothing is lost where the wait ends.
        while tokio::time::timeout(EVERY, running.changed()).await.is_err() {
            self.flush().await;
        }
        if tokio::time::timeout(LAST_TIMEOUT, self.flush()).await.is_err() {
            tracing::warn!("The use of what goes away could not be written down in time");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
