//! A replica's own buckets: what it grants by itself, and an account of what it has granted.
//!
//! Each bucket is kept twice. *Share* is the replica's part of the bucket, which decides while there is no Redis. *Own* is what
//! this replica has taken from the whole: never more than what all have, so Redis may believe it when it has forgotten.
//!
//! What is put back is what was really put in: a bucket that is full of what was taken takes no more of it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bucket::{BUCKETS, Backlog, Take};
use super::{Account, POINTS};
use crate::kernel::ids::TenantId;

/// Locks that tenants are spread over.
const SHARDS: usize = 32;

/// Accounts of a shard before those that are full are forgotten for the first time.
const SWEEP_MIN: usize = 256;

/// Whose buckets they are, and of which shop.
type Key = (TenantId, Account);

/// The buckets of an account: when each is full again, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Buckets {
    share: [i64; BUCKETS.len()],
    own: [i64; BUCKETS.len()],
    /// Operations under way.
    running: u32,
}

/// The points of an account that a call has really taken, as time in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Added {
    share: i64,
    own: i64,
}

impl Added {
    /// Takes in what the same call has taken after it.
    pub(super) fn add(&mut self, later: Self) {
        self.share += later.share;
        self.own += later.own;
    }
}

/// What was granted: what is in all buckets now, and what each account has more by it.
pub(super) type Granted = (Vec<Backlog>, Vec<Added>);

#[derive(Default)]
struct Shard {
    accounts: HashMap<Key, Buckets>,
    /// How many accounts there may be before the next sweep.
    sweep_at: usize,
}

/// A replica's own buckets.
pub(super) struct Local {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// How many replicas share the load.
    replicas: u32,
}

/// An operation under way, until it is dropped.
pub(super) struct Slot {
    local: Arc<Local>,
    key: Key,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(buckets) = self.local.shard(self.key.0).accounts.get_mut(&self.key) {
            buckets.running = buckets.running.saturating_sub(1);
        }
    }
}

impl Local {
    /// All buckets are full.
    pub(super) fn new(replicas: u32) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            replicas: replicas.max(1),
        }
    }

    /// How many replicas share the load.
    pub(super) fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Counts an operation, unless as many are under way.
    pub(super) fn enter(local: &Arc<Self>, key: Key, most: u32) -> Option<Slot> {
        let mut shard = local.shard(key.0);
        let buckets = shard.accounts.entry(key).or_default();
        if buckets.running >= most {
            return None;
        }
        buckets.running += 1;
        Some(Slot { local: Arc::clone(local), key })
    }

    /// How many operations are under way.
    pub(super) fn running(&self, key: Key) -> u32 {
        self.shard(key.0).accounts.get(&key).map_or(0, |buckets| buckets.running)
    }

    /// Takes from all buckets of this replica's share, or from none and answers which makes the caller wait longest.
    pub(super) fn decide(
        &self,
        tenant: TenantId,
        takes: &[(Account, [Take; BUCKETS.len()])],
        now: i64,
    ) -> Result<Granted, (usize, Duration, Vec<Backlog>)> {
        let mut shard = self.shard(tenant);
        let mut longest: Option<(usize, i64)> = None;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (account, takes) in takes {
            let buckets = shard.accounts.get(&(tenant, *account)).copied().unwrap_or_default();
            for (take, full_at) in takes.iter().zip(buckets.share) {
                let backlog = Backlog::of(full_at, now);
                before.push(backlog);
                match backlog.take(self.cost(*take)) {
                    Ok(backlog) => after.push(backlog),
                    Err(wait) => {
                        if longest.is_none_or(|(_, longest)| wait > longest) {
                            longest = Some((before.len() - 1, wait));
                        }
                    }
                }
            }
        }
        if let Some((at, wait)) = longest {
            return Err((at, Duration::from_nanos(wait.unsigned_abs()), before));
        }
        let added = shard.write(self, tenant, takes, now);
        Ok((after, added))
    }

    /// Notes what was granted elsewhere, though this replica's share may be used up by it.
    pub(super) fn note(&self, tenant: TenantId, takes: &[(Account, [Take; BUCKETS.len()])], now: i64) -> Vec<Added> {
        self.shard(tenant).write(self, tenant, takes, now)
    }

    /// Puts back the points that were taken beyond those that were needed.
    pub(super) fn refund(
        &self,
        tenant: TenantId,
        (added, needed): (&[Added], &[(Account, [Take; BUCKETS.len()])]),
        now: i64,
    ) {
        let mut shard = self.shard(tenant);
        for (added, (account, needed)) in added.iter().zip(needed) {
            let Some(buckets) = shard.accounts.get_mut(&(tenant, *account)) else { continue };
            let needed = needed[POINTS];
            put_off(&mut buckets.share[POINTS], (self.cost(needed) - added.share).min(0), now);
            put_off(&mut buckets.own[POINTS], (needed.cost_ns(1) - added.own).min(0), now);
        }
    }

    /// The backlogs of this replica's share.
    pub(super) fn backlogs(&self, tenant: TenantId, accounts: &[Account], now: i64) -> Vec<Backlog> {
        let shard = self.shard(tenant);
        let buckets =
            accounts.iter().map(|account| shard.accounts.get(&(tenant, *account)).copied().unwrap_or_default());
        buckets.flat_map(|buckets| buckets.share).map(|full_at| Backlog::of(full_at, now)).collect()
    }

    /// The backlogs that come of what this replica has granted, whatever others have.
    pub(super) fn own(&self, tenant: TenantId, takes: &[(Account, [Take; BUCKETS.len()])], now: i64) -> Vec<Backlog> {
        let shard = self.shard(tenant);
        let buckets =
            takes.iter().map(|(account, _)| shard.accounts.get(&(tenant, *account)).copied().unwrap_or_default());
        buckets.flat_map(|buckets| buckets.own).map(|full_at| Backlog::of(full_at, now)).collect()
    }

    /// What a take costs this replica's share. What is dearer than the share takes all of it: a replica among many refuses
    /// nothing for ever that the shop may do.
    fn cost(&self, take: Take) -> i64 {
        take.cost_ns(self.replicas).min(super::WINDOW_NS)
    }

    fn shard(&self, tenant: TenantId) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(tenant) % SHARDS as u64).unwrap_or(0);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Takes, whatever is there. Answers what each account has more by it.
    fn write(
        &mut self,
        local: &Local,
        tenant: TenantId,
        takes: &[(Account, [Take; BUCKETS.len()])],
        now: i64,
    ) -> Vec<Added> {
        let mut added = Vec::with_capacity(takes.len());
        for (account, takes) in takes {
            let buckets = self.accounts.entry((tenant, *account)).or_default();
            let mut of_each = [Added::default(); BUCKETS.len()];
            for (index, take) in takes.iter().enumerate() {
                of_each[index].share = put_off(&mut buckets.share[index], local.cost(*take), now);
                of_each[index].own = put_off(&mut buckets.own[index], take.cost_ns(1), now);
            }
            added.push(of_each[POINTS]);
        }
        self.sweep(now);
        added
    }

    /// Forgets accounts that are as if nobody had called, once there are twice as many as the last time.
    fn sweep(&mut self, now: i64) {
        if self.accounts.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        let is_full = |buckets: &Buckets| buckets.share.iter().chain(&buckets.own).all(|full_at| *full_at <= now);
        self.accounts.retain(|_, buckets| buckets.running > 0 || !is_full(buckets));
        self.sweep_at = self.accounts.len() * 2;
    }
}

/// Puts off the moment at which a bucket is full, or brings it nearer. Answers by how much.
fn put_off(full_at: &mut i64, cost_ns: i64, now: i64) -> i64 {
    let before = Backlog::of(*full_at, now);
    let after = before.shift(cost_ns);
    *full_at = now.saturating_add(after.0);
    after.0 - before.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::WINDOW_NS;

    fn take(limit: u32) -> [(Account, [Take; BUCKETS.len()]); 1] {
        [(Account::Shop, [Take { amount: 1, limit }; BUCKETS.len()])]
    }

    #[test]
    fn accounts_that_are_full_again_are_forgotten() {
        let local = Local::new(1);
        let tenants = 40 * SHARDS * SWEEP_MIN;
        for id in 0..tenants {
            // Each of a minute of its own.
            let now = i64::try_from(id).unwrap() * WINDOW_NS;
            local.decide(TenantId(uuid::Uuid::from_u128(id as u128)), &take(1), now).unwrap();
        }
        let kept: usize = local.shards.iter().map(|shard| shard.lock().unwrap().accounts.len()).sum();
        assert!(kept <= SHARDS * (SWEEP_MIN + 1), "{kept} of {tenants}");
    }

    #[test]
    fn a_shop_with_an_operation_under_way_is_not_forgotten() {
        let local = Arc::new(Local::new(1));
        let key = (TenantId(uuid::Uuid::nil()), Account::Shop);
        let slot = Local::enter(&local, key, 1).unwrap();
        let mut shard = local.shard(key.0);
        shard.sweep_at = 0;
        for id in 1..=SWEEP_MIN {
            shard.accounts.insert((TenantId(uuid::Uuid::from_u128(id as u128)), Account::Shop), Buckets::default());
        }
        shard.sweep(0);
        assert_eq!(shard.accounts.len(), 1);
        drop(shard);
        assert!(Local::enter(&local, key, 1).is_none());
        drop(slot);
        assert!(Local::enter(&local, key, 1).is_some());
    }
}
