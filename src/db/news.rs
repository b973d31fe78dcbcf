//! Tells what a COMMIT has changed: at once in this process, and soon in all others.
//!
//! What a transaction has changed is told when its COMMIT is over, be its answer there or not: it may have been one. Who listens
//! in this process has been told before the writer is answered. For other processes it waits here until [`crate::news`] has
//! carried it, however often that fails. A process that dies in between has told nobody else: so whoever keeps what may change
//! must not keep it for ever, and others notice when a process is gone. A process that ends leaves first: it commits nothing any
//! more, tells what there is to tell, and says goodbye.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::error::DbError;
use super::listen::Liveness;
use crate::kernel::ids::TenantId;
use crate::kernel::news::{Bulletin, Letters, Told};

/// When it is told once more what a COMMIT has changed whose end was not seen: it may come through after its connection is lost.
const DOUBT_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(9)];

/// How long a process that ends waits until all it has done is told.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// COMMITs whose end is not told yet, or is to be told again; nothing once there may be none any more.
    under_way: Mutex<UnderWay>,
    /// Whether the process ends.
    leaves: watch::Sender<bool>,
    /// Whether it has said goodbye.
    left: watch::Sender<bool>,
    /// Whether notifications of PostgreSQL are heard.
    notifications: Liveness,
    /// Whether Redis is heard, where there is one.
    redis: Option<Liveness>,
}

/// What is committed and not told.
#[derive(Default)]
struct UnderWay {
    commits: usize,
    /// Nothing is committed any more.
    is_over: bool,
}

/// A COMMIT that is under way until this is dropped.
struct Commit(News);

impl Drop for Commit {
    fn drop(&mut self) {
        self.0.under_way().commits -= 1;
        if *self.0.0.leaves.borrow() {
            self.0.0.away.notify_one();
        }
    }
}

/// What is told when this is dropped.
pub(super) struct Telling {
    news: News,
    tenant: TenantId,
    told: Told,
    commit: Option<Commit>,
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
        let commit = self.commit.take();
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(async move {
                let _commit = commit;
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
    ///
    /// # Errors
    /// The process has said goodbye, and must commit nothing.
    pub(super) fn telling(&self, tenant: TenantId, told: Told) -> Result<Telling, DbError> {
        let mut under_way = self.under_way();
        if under_way.is_over {
            return Err(DbError::Unreachable("this process ends".to_owned()));
        }
        under_way.commits += 1;
        Ok(Telling { news: self.clone(), tenant, told, commit: Some(Commit(self.clone())) })
    }

    /// Ends what this process has to tell, and has goodbye said. Answers false where not all could be told in time, or it is not
    /// known what became of a COMMIT: others will miss it then. To be called when nothing is left to be done.
    pub async fn leave(&self) -> bool {
        self.0.leaves.send_replace(true);
        self.0.away.notify_one();
        let mut left = self.0.left.subscribe();
        tokio::time::timeout(LEAVE_TIMEOUT, left.wait_for(|left| *left)).await.is_ok()
    }

    /// Closes where the process ends and all is told: from then on nothing is committed. Answers whether it is closed. To be
    /// called by who carries, with nothing in hand.
    #[must_use]
    pub fn close(&self) -> bool {
        // In this order: what is not under way any more has been told.
        let mut under_way = self.under_way();
        under_way.is_over |= *self.0.leaves.borrow() && under_way.commits == 0 && self.outbox().is_empty();
        under_way.is_over
    }

    /// Who carries has ended.
    pub fn has_left(&self) {
        self.0.left.send_replace(true);
    }

    fn say(&self, bulletin: Bulletin<'_>, source: Source) {
        let hearers = self.0.hearers.lock().unwrap_or_else(PoisonError::into_inner);
        // First: who begins to read from here on reads what was committed.
        self.0.moments.0.fetch_add(1, Ordering::AcqRel);
        for hearer in &*hearers {
            hearer(bulletin, source);
        }
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Letters> {
        self.0.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;
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
        news.telling(tenant, told()).unwrap().tell();
        ear.recv().await.unwrap();
        assert_eq!(news.moments().told(), 1, "once, and nothing is to come");
        drop(news.telling(tenant, Told::default()).unwrap());
        assert_eq!(news.moments().told(), 1, "nothing has changed");

        let before = news.moments().now();
        drop(news.telling(tenant, told()).unwrap());
        ear.recv().await.unwrap();
        assert_eq!(news.moments().told(), before.told + 1);
        ear.recv().await.unwrap();
        assert_eq!(news.moments().told(), before.told + 2);
        assert!(before.at.elapsed() >= DOUBT_PAUSES[0]);
    }

    #[tokio::test]
    async fn who_leaves_has_told_all_and_commits_nothing_more() {
        let (news, tenant) = (News::default(), TenantId(Uuid::from_u128(1)));
        let told = || Told::Facts(vec![Fact::new(Topic::Book, Uuid::from_u128(7))]);
        let telling = news.telling(tenant, told()).unwrap();
        assert!(!news.close(), "it stays");
        let mut leaving = pin!(news.leave());
        assert_eq!(leaving.as_mut().now_or_never(), None);
        assert!(!news.close(), "something is being committed");
        telling.tell();
        assert!(!news.close(), "it is not carried yet");
        assert_eq!(news.take().len(), 1);
        assert!(news.close());
        assert!(news.telling(tenant, told()).is_err());
        assert_eq!(leaving.as_mut().now_or_never(), None, "not said yet");
        news.has_left();
        assert!(leaving.await);
    }

    #[tokio::test]
    async fn who_does_not_know_what_became_of_a_commit_does_not_say_goodbye() {
        let (news, tenant) = (News::default(), TenantId(Uuid::from_u128(1)));
        drop(news.telling(tenant, Told::Anything).unwrap());
        assert_eq!(news.leave().now_or_never(), None);
        assert_eq!(news.take().len(), 1);
        assert!(!news.close());
    }
}
