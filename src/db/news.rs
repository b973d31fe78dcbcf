//! Tells what a COMMIT has changed: at once in this process, and soon in all others.
//!
//! What a transaction has changed is told when its COMMIT is over, be its answer there or not: it may have been one. Who listens
//! in this process has been told before the writer is answered. For other processes it waits here until [`crate::news`] has
//! carried it, however often that fails. A process that dies in between has told nobody else: so whoever keeps what may change
//! must not keep it for ever.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::listen::Liveness;
use crate::kernel::ids::TenantId;
use crate::kernel::news::{Bulletin, Letters, Told};

/// When it is told once more what a COMMIT has changed whose end was not seen: it may come through after its connection is lost.
const DOUBT_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(9)];

/// How much a process has been told so far, and when that was.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// How many bulletins.
    pub told: u64,
    /// When.
    pub at: Instant,
}

/// Counts what a process is told. Clones count together.
#[derive(Clone, Default)]
pub struct Moments(Arc<AtomicU64>);

impl Moments {
    /// The moment that is now. Whatever has been told by now was committed before.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment { told: self.told(), at: Instant::now() }
    }

    /// How much has been told, what is being told right now included.
    #[must_use]
    pub fn told(&self) -> u64 {
        AtomicU64::load(&self.0, Ordering::Acquire)
    }
}

/// Where what is told comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This process has made the change.
    Here,
    /// Another process has.
    Elsewhere,
}

/// Hears what is told. It does not wait, tells nothing and does little: the writer waits for it.
pub type Hearer = Arc<dyn Fn(Bulletin<'_>, Source) + Send + Sync>;

/// Tells what has changed. Clones are the same.
#[derive(Clone, Default)]
pub struct News(Arc<Desk>);

#[derive(Default)]
struct Desk {
    /// Told one after the other, so that each can be counted.
    hearers: Mutex<Vec<Hearer>>,
    /// Counts what is told.
    moments: Moments,
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

impl Telling {
    /// The COMMIT is over: it is told now.
    pub(super) fn tell(mut self) {
        let told = std::mem::take(&mut self.told);
        self.news.tell(self.tenant, told);
    }
}

/// The COMMIT may have been one, and may yet become one: it is told now and again.
impl Drop for Telling {
    #[expect(clippy::disallowed_methods, reason = "a drop cannot wait; the task ends by itself")]
    fn drop(&mut self) {
        let (news, tenant, told) = (self.news.clone(), self.tenant, std::mem::take(&mut self.told));
        if told.is_nothing() {
            return;
        }
        news.tell(tenant, told.clone());
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(async move {
                for pause in DOUBT_PAUSES {
                    tokio::time::sleep(pause).await;
                    news.tell(tenant, told.clone());
                }
            });
        }
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
        self.0.hearers.lock().unwrap_or_else(PoisonError::into_inner).push(hearer);
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

    /// Counts what is told, for what is kept until it is.
    #[must_use]
    pub fn moments(&self) -> &Moments {
        &self.0.moments
    }

    /// What is told at the end of a COMMIT, however it ends.
    pub(super) fn telling(&self, tenant: TenantId, told: Told) -> Telling {
        Telling { news: self.clone(), tenant, told }
    }

    fn say(&self, bulletin: Bulletin<'_>, source: Source) {
        let hearers = self.0.hearers.lock().unwrap_or_else(PoisonError::into_inner);
        // First: who begins to read from here on reads what was committed.
        self.0.moments.0.fetch_add(1, Ordering::AcqRel);
        for hearer in &*hearers {
            hearer(bulletin, source);
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Letters> {
        self.0.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use uuid::Uuid;

    use super::*;
    use crate::kernel::news::{Fact, Topic};

    #[tokio::test]
    async fn a_commit_whose_end_was_not_seen_is_told_again() {
        let (news, tenant) = (News::default(), TenantId(Uuid::from_u128(1)));
        let (heard, mut ear) = mpsc::unbounded_channel();
        news.attach(Arc::new(move |_, _| heard.send(()).unwrap()));
        let told = || Told::Facts(vec![Fact::new(Topic::Book, Uuid::from_u128(7))]);
        news.telling(tenant, told()).tell();
        ear.recv().await.unwrap();
        assert_eq!(news.moments().told(), 1, "once, and nothing is to come");
        drop(news.telling(tenant, Told::default()));
        assert_eq!(news.moments().told(), 1, "nothing has changed");

        let before = news.moments().now();
        drop(news.telling(tenant, told()));
        ear.recv().await.unwrap();
        assert_eq!(news.moments().told(), before.told + 1);
        ear.recv().await.unwrap();
        assert_eq!(news.moments().told(), before.told + 2);
        assert!(before.at.elapsed() >= DOUBT_PAUSES[0]);
    }
}
