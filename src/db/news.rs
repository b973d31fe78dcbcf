//! Tells what a COMMIT has changed: at once in this process, and soon in all others.
//!
//! What a transaction has changed is told when its COMMIT is over, be its answer there or not: it may have been one. Who listens
//! in this process has been told before the writer is answered. For other processes it waits here until [`crate::news`] has
//! carried it, however often that fails. A process that dies in between has told nobody else: so whoever keeps what may change
//! must not keep it for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use super::listen::Liveness;
use crate::kernel::ids::TenantId;
use crate::kernel::news::{Bulletin, Letters, Told};

/// Where what is told comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This process has made the change.
    Here,
    /// Another process has.
    Elsewhere,
}

/// Hears what is told. It does not wait and does little: the writer waits for it.
pub type Hearer = Arc<dyn Fn(Bulletin<'_>, Source) + Send + Sync>;

/// Tells what has changed. Clones are the same.
#[derive(Clone, Default)]
pub struct News(Arc<Desk>);

#[derive(Default)]
struct Desk {
    hearers: RwLock<Vec<Hearer>>,
    /// What other processes are yet to be told.
    outbox: Mutex<Letters>,
    /// Wakes who carries it.
    away: Notify,
    /// Whether notifications of PostgreSQL are heard.
    notifications: Liveness,
    /// Whether Redis is heard, where there is one.
    redis: Option<Liveness>,
}

/// What is told when this is dropped.
pub(super) struct Telling {
    news: News,
    tenant: TenantId,
    told: Told,
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.news.tell(self.tenant, std::mem::take(&mut self.told));
    }
}

impl News {
    /// News of a process that is one of several which tell each other by PostgreSQL, and by Redis where they have one.
    #[must_use]
    pub fn new(has_redis: bool) -> Self {
        Self(Arc::new(Desk { redis: has_redis.then(Liveness::default), ..Desk::default() }))
    }

    /// Has somebody told, from now on and for as long as the process runs.
    pub fn attach(&self, hearer: Hearer) {
        self.0.hearers.write().unwrap_or_else(PoisonError::into_inner).push(hearer);
    }

    /// Tells what has changed of a tenant. To be called after the COMMIT.
    pub fn tell(&self, tenant: TenantId, told: Told) {
        if told.is_nothing() {
            return;
        }
        self.say(Bulletin::Of(tenant, &told), Source::Here);
        self.outbox().entry(tenant).or_default().join(told);
        self.0.away.notify_one();
    }

    /// Whether this process hears others, so that caches know how long to trust themselves: while it does, what others have
    /// told is here within a moment; while it does not, nothing is.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.0.notifications.is_alive() && self.0.redis.as_ref().is_none_or(Liveness::is_alive)
    }

    /// Tells this process what another one has told.
    pub fn hear(&self, tenant: TenantId, told: &Told) {
        self.say(Bulletin::Of(tenant, told), Source::Elsewhere);
    }

    /// Tells this process that it may not have heard all that was told.
    pub fn miss(&self) {
        self.say(Bulletin::Gap, Source::Elsewhere);
    }

    /// Whether notifications are heard.
    #[must_use]
    pub fn notifications(&self) -> &Liveness {
        &self.0.notifications
    }

    /// Whether Redis is heard, where there is one.
    #[must_use]
    pub fn redis(&self) -> Option<&Liveness> {
        self.0.redis.as_ref()
    }

    /// Waits until there is something to carry.
    pub async fn waiting(&self) {
        self.0.away.notified().await;
    }

    /// Takes what is to be carried.
    #[must_use]
    pub fn take(&self) -> Letters {
        std::mem::take(&mut *self.outbox())
    }

    /// Puts back what could not be carried; what has come since stays.
    pub fn put_back(&self, letters: Letters) {
        let mut outbox = self.outbox();
        for (tenant, told) in letters {
            outbox.entry(tenant).or_default().join(told);
        }
        drop(outbox);
        self.0.away.notify_one();
    }

    /// What is told at the end of a COMMIT, however it ends.
    pub(super) fn telling(&self, tenant: TenantId, told: Told) -> Telling {
        Telling { news: self.clone(), tenant, told }
    }

    fn say(&self, bulletin: Bulletin<'_>, source: Source) {
        for hearer in &*self.0.hearers.read().unwrap_or_else(PoisonError::into_inner) {
            hearer(bulletin, source);
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Letters> {
        self.0.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
