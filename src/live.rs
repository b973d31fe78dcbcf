//! Who looks on in this process, and at what: hands news on to those whom they concern.
//!
//! What has changed is handed on, never what it is. Who hears something reads it through a door of their own. An inbox holds each
//! fact once, so that who is slow has few of them, and none is lost; more than it holds is anything. News are handed on within a
//! COMMIT's call, so whom they concern is found and not searched for. Who looks on for long has a seat, of which a tenant has so
//! many and all have so many; who has not said who they are waits in a room of its own, where an address has few places. All get
//! up when the process stops.

mod seats;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::db::listen::Signal;
use crate::kernel::ids::TenantId;
use crate::kernel::news::{Bulletin, Fact, Told, Topic};
use crate::kernel::tenant::TenantSlug;

use seats::Taken;
pub use seats::{Full, Seat};

/// Over how long a time those who may all have missed something look again.
const GAP_SPREAD: Duration = Duration::from_secs(2);

/// How many of a shop's who look on look at a time. A change that concerns hundreds is no reason to refuse its other operations.
const LANES: usize = 4;

/// Things that a shop's who look on listen for, for each seat that it may have: its sockets have a few subscriptions each.
const EARS_PER_SEAT: usize = 8;

/// However few seats there are, a shop may listen for as many.
const EARS_MIN: usize = 128;

/// Who looks on. Clones are the same.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    shops: Mutex<HashMap<TenantId, Shop>>,
    /// The turns of every shop that anybody has looked on at.
    lanes: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    /// Numbers those who listen.
    next: AtomicU64,
    taken: watch::Sender<Taken>,
    is_stopping: watch::Sender<bool>,
    seats_max: usize,
    seats_per_tenant_max: usize,
}

struct Shop {
    slug: TenantSlug,
    inboxes: HashMap<u64, Arc<Inbox>>,
    of_facts: HashMap<Fact, HashSet<u64>>,
    of_topics: HashMap<Topic, HashSet<u64>>,
}

impl Shop {
    fn add(&mut self, number: u64, interest: &Interest, inbox: Arc<Inbox>) {
        self.inboxes.insert(number, inbox);
        for fact in &interest.facts {
            self.of_facts.entry(*fact).or_default().insert(number);
        }
        for topic in &interest.topics {
            self.of_topics.entry(*topic).or_default().insert(number);
        }
    }

    fn remove(&mut self, number: u64, interest: &Interest) {
        self.inboxes.remove(&number);
        interest.facts.iter().for_each(|fact| forget(&mut self.of_facts, fact, number));
        interest.topics.iter().for_each(|topic| forget(&mut self.of_topics, topic, number));
    }

    /// Hands a fact to those whom it concerns.
    fn tell(&self, fact: Fact) {
        let concerned = [self.of_facts.get(&fact), self.of_topics.get(&fact.topic)];
        for inbox in concerned.into_iter().flatten().flatten().filter_map(|number| self.inboxes.get(number)) {
            inbox.put(Told::Facts(vec![fact]));
        }
    }
}

fn forget<K: Eq + Hash>(concerned: &mut HashMap<K, HashSet<u64>>, key: &K, number: u64) {
    if let Some(numbers) = concerned.get_mut(key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            concerned.remove(key);
        }
    }
}

/// What somebody wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// These.
    pub facts: Vec<Fact>,
    /// All that is of these.
    pub topics: Vec<Topic>,
}

impl Interest {
    /// One thing.
    #[must_use]
    pub fn in_one(fact: Fact) -> Self {
        Self { facts: vec![fact], topics: Vec::new() }
    }

    /// All of a topic.
    #[must_use]
    pub fn in_all(topic: Topic) -> Self {
        Self { facts: Vec::new(), topics: vec![topic] }
    }
}

/// What has been heard and not looked at.
#[derive(Default)]
struct Inbox {
    told: Mutex<(Told, bool)>,
    wake: Notify,
}

impl Inbox {
    fn put(&self, told: Told) {
        self.locked().0.join(told);
        self.wake.notify_one();
    }

    fn put_gap(&self) {
        *self.locked() = (Told::Anything, true);
        self.wake.notify_one();
    }

    fn locked(&self) -> MutexGuard<'_, (Told, bool)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears what somebody is interested in, for as long as it is kept.
pub struct Ear {
    hub: Hub,
    tenant: TenantId,
    number: u64,
    interest: Interest,
    inbox: Arc<Inbox>,
}

impl Hub {
    /// Nobody looks on yet.
    #[must_use]
    pub fn new(seats_max: usize, seats_per_tenant_max: usize) -> Self {
        Self(Arc::new(Inner {
            shops: Mutex::default(),
            lanes: Mutex::default(),
            next: AtomicU64::new(0),
            taken: watch::channel(Taken::default()).0,
            is_stopping: watch::channel(false).0,
            seats_max,
            seats_per_tenant_max,
        }))
    }

    /// Listens for what is of interest in a shop, from now on.
    #[must_use]
    pub fn listen(&self, tenant: TenantId, slug: &TenantSlug, interest: Interest) -> Ear {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let inbox = Arc::<Inbox>::default();
        let mut shops = self.shops();
        let shop = shops.entry(tenant).or_insert_with(|| Shop {
            slug: slug.clone(),
            inboxes: HashMap::new(),
            of_facts: HashMap::new(),
            of_topics: HashMap::new(),
        });
        shop.add(number, &interest, Arc::clone(&inbox));
        Ear { hub: self.clone(), tenant, number, interest, inbox }
    }

    /// Whether a shop may listen for more: several things from each of its seats.
    #[must_use]
    pub fn has_room(&self, tenant: TenantId) -> bool {
        let max = self.0.seats_per_tenant_max.saturating_mul(EARS_PER_SEAT).max(EARS_MIN);
        self.shops().get(&tenant).is_none_or(|shop| shop.inboxes.len() < max)
    }

    /// Waits for a turn to look on at a shop, which lasts as long as what is answered.
    pub async fn turn(&self, tenant: TenantId) -> Option<OwnedSemaphorePermit> {
        let lanes = {
            let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lanes.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(LANES))))
        };
        // It is never closed.
        lanes.acquire_owned().await.ok()
    }

    /// Hands news on.
    pub fn on_news(&self, bulletin: Bulletin<'_>) {
        let shops = self.shops();
        match bulletin {
            Bulletin::Gap => shops.values().flat_map(|shop| shop.inboxes.values()).for_each(|inbox| inbox.put_gap()),
            Bulletin::Of(tenant, told) => {
                let Some(shop) = shops.get(&tenant) else { return };
                match told {
                    Told::Anything => shop.inboxes.values().for_each(|inbox| inbox.put(Told::Anything)),
                    Told::Facts(facts) => facts.iter().for_each(|fact| shop.tell(*fact)),
                }
            }
        }
    }

    /// Hands on that a tenant's entry in the registry has changed, or that any may have.
    pub fn on_registry(&self, signal: &Signal) {
        let slug = match signal {
            Signal::Payload(slug) if slug != "*" => Some(slug.as_str()),
            Signal::Payload(_) | Signal::Connected => None,
        };
        for shop in self.shops().values() {
            match slug {
                Some(slug) if slug == shop.slug.as_str() => {
                    shop.inboxes.values().for_each(|inbox| inbox.put(Told::Anything));
                }
                Some(_) => {}
                None => shop.inboxes.values().for_each(|inbox| inbox.put_gap()),
            }
        }
    }

    fn shops(&self) -> MutexGuard<'_, HashMap<TenantId, Shop>> {
        self.0.shops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ear {
    /// Waits for a turn to look, which lasts as long as what is answered.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.hub.turn(self.tenant).await
    }

    /// The part of a time after which this one of many who were told the same acts, so that they do not all act at once.
    #[must_use]
    pub fn share_of(&self, spread: Duration) -> Duration {
        share(self.number, spread)
    }

    /// Waits until something is heard, and answers all that was. Whoever may have missed something hears so after a while that is
    /// not the same for all.
    pub async fn hear(&self) -> Told {
        loop {
            let (told, is_gap) = std::mem::take(&mut *self.inbox.locked());
            if is_gap {
                tokio::time::sleep(gap_pause(self.number)).await;
                return told;
            }
            if !told.is_nothing() {
                return told;
            }
            self.inbox.wake.notified().await;
        }
    }
}

/// How long one of many waits who may all have missed something.
fn gap_pause(number: u64) -> Duration {
    share(number, GAP_SPREAD)
}

fn share(number: u64, spread: Duration) -> Duration {
    spread * u32::try_from(number % 64).unwrap_or(0) / 64
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut shops = self.hub.shops();
        if let Some(shop) = shops.get_mut(&self.tenant) {
            shop.remove(self.number, &self.interest);
            if shop.inboxes.is_empty() {
                shops.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> (TenantId, TenantSlug) {
        (TenantId(Uuid::from_u128(number)), format!("shop-{number}").parse().unwrap())
    }

    fn listen(hub: &Hub, number: u128, interest: Interest) -> Ear {
        let (id, slug) = tenant(number);
        hub.listen(id, &slug, interest)
    }

    fn book(number: u128) -> Fact {
        Fact::new(Topic::Book, Uuid::from_u128(number))
    }

    fn heard(ear: &Ear) -> Option<Told> {
        ear.hear().now_or_never()
    }

    #[test]
    fn everybody_hears_what_concerns_them_and_each_thing_once() {
        let hub = Hub::new(10, 10);
        let (one, _) = tenant(1);
        let of_book = listen(&hub, 1, Interest::in_one(book(7)));
        let of_books = listen(&hub, 1, Interest::in_all(Topic::Book));
        let of_orders = listen(&hub, 1, Interest::in_all(Topic::Order));
        let others = listen(&hub, 2, Interest::in_all(Topic::Book));
        for number in [7, 8, 7] {
            hub.on_news(Bulletin::Of(one, &Told::Facts(vec![book(number)])));
        }
        assert_eq!(heard(&of_book), Some(Told::Facts(vec![book(7)])));
        assert_eq!(heard(&of_book), None);
        assert_eq!(heard(&of_books), Some(Told::Facts(vec![book(7), book(8)])));
        assert_eq!((heard(&of_orders), heard(&others)), (None, None));
        hub.on_news(Bulletin::Of(one, &Told::Anything));
        assert_eq!((heard(&of_orders), heard(&others)), (Some(Told::Anything), None));
        hub.on_registry(&Signal::Payload("shop-2".to_owned()));
        assert_eq!((heard(&others), heard(&of_orders)), (Some(Told::Anything), None));
    }

    #[tokio::test]
    async fn who_missed_something_looks_again_and_not_all_at_once() {
        let hub = Hub::new(10, 10);
        let ear = listen(&hub, 1, Interest::default());
        hub.on_news(Bulletin::Gap);
        assert_eq!(ear.hear().await, Told::Anything);
        let pauses: std::collections::BTreeSet<Duration> = (0..1_000).map(gap_pause).collect();
        assert!(pauses.len() == 64 && pauses.iter().all(|pause| *pause < GAP_SPREAD));
    }

    #[test]
    fn those_of_a_shop_look_in_turn() {
        let hub = Hub::new(10, 10);
        let ears: Vec<Ear> = (0..=LANES).map(|_| listen(&hub, 1, Interest::default())).collect();
        let mut turns: Vec<_> = ears.iter().map(|ear| ear.turn().now_or_never()).collect();
        assert_eq!(turns.iter().filter(|turn| turn.is_some()).count(), LANES);
        assert!(listen(&hub, 2, Interest::default()).turn().now_or_never().is_some(), "another shop has its own");
        turns.remove(0);
        assert!(ears[LANES].turn().now_or_never().is_some());
    }

    #[test]
    fn who_leaves_is_forgotten() {
        let hub = Hub::new(10, 10);
        let stays = listen(&hub, 1, Interest::in_one(book(7)));
        drop(listen(&hub, 1, Interest { facts: vec![book(7), book(8)], topics: vec![Topic::Order] }));
        {
            let shops = hub.shops();
            let shop = shops.get(&tenant(1).0).unwrap();
            let counts = (shop.inboxes.len(), shop.of_facts.len(), shop.of_topics.len());
            assert_eq!((counts, shop.of_facts[&book(7)].len()), ((1, 1, 0), 1));
        }
        drop(stays);
        assert!(hub.shops().is_empty());
    }

    #[test]
    fn a_shop_listens_for_no_more_than_it_may() {
        let hub = Hub::new(100, 20);
        let (one, two) = (tenant(1).0, tenant(2).0);
        let mut ears: Vec<Ear> = (1..20 * EARS_PER_SEAT).map(|_| listen(&hub, 1, Interest::default())).collect();
        assert!(hub.has_room(one));
        ears.push(listen(&hub, 1, Interest::default()));
        assert!(!hub.has_room(one) && hub.has_room(two));
        ears.pop();
        assert!(hub.has_room(one));
    }

    #[test]
    fn those_who_are_told_the_same_act_one_after_the_other() {
        let hub = Hub::new(10, 10);
        let ears: Vec<Ear> = (0..64).map(|_| listen(&hub, 1, Interest::default())).collect();
        let spread = Duration::from_millis(640);
        let shares: Vec<Duration> = ears.iter().map(|ear| ear.share_of(spread)).collect();
        assert_eq!(shares, (0..64).map(|number| Duration::from_millis(number * 10)).collect::<Vec<_>>());
    }
}
