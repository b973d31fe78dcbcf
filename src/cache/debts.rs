//! What this process has been told and not yet removed from Redis.
//!
//! As long as something is owed, this process does not ask Redis for it. So nobody reads in Redis what was there before they were
//! told, however long Redis was away, and whoever else has failed to remove it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::keys::{Name, Place};
use crate::kernel::ids::TenantId;
use crate::kernel::news::{Bulletin, Told};

/// Tenants whose answers are removed one by one; of more than these it is everybody's.
const TENANTS_MAX: usize = 10_000;

/// What is to be removed.
#[derive(Debug, Clone, Default)]
pub(super) struct Owed {
    /// All answers of all tenants.
    pub(super) all: bool,
    /// Some answers of some.
    pub(super) tenants: HashMap<TenantId, Told>,
}

impl Owed {
    fn add(&mut self, tenant: TenantId, told: Told) {
        if self.all {
            return;
        }
        self.tenants.entry(tenant).or_default().join(told);
        if self.tenants.len() > TENANTS_MAX {
            self.add_all();
        }
    }

    fn add_all(&mut self) {
        self.all = true;
        self.tenants.clear();
    }

    fn join(&mut self, other: Self) {
        if other.all {
            self.add_all();
        }
        other.tenants.into_iter().for_each(|(tenant, told)| self.add(tenant, told));
    }

    fn is_empty(&self) -> bool {
        !self.all && self.tenants.is_empty()
    }

    fn has(&self, place: &Place) -> bool {
        self.all
            || match self.tenants.get(&place.tenant) {
                None => false,
                Some(Told::Anything) => true,
                Some(Told::Facts(facts)) => {
                    facts.iter().any(|fact| place.name.outdated_by(*fact) == Some(place.number))
                }
            }
    }
}

/// What is owed, and what is being removed right now.
#[derive(Default)]
pub(super) struct Debts {
    ledger: Mutex<(Owed, Owed)>,
    due: Notify,
}

impl Debts {
    /// Notes what a bulletin is about, as far as it may be in Redis.
    pub(super) fn hear(&self, bulletin: Bulletin<'_>) {
        match bulletin {
            Bulletin::Gap => self.ledger().0.add_all(),
            Bulletin::Of(tenant, Told::Anything) => self.ledger().0.add(tenant, Told::Anything),
            Bulletin::Of(tenant, Told::Facts(facts)) => {
                let is_kept = |fact: &_| Name::ALL.iter().any(|name| name.outdated_by(*fact).is_some());
                let facts: Vec<_> = facts.iter().copied().filter(is_kept).collect();
                if facts.is_empty() {
                    return;
                }
                self.ledger().0.add(tenant, Told::Facts(facts));
            }
        }
        self.due.notify_one();
    }

    /// Whether what is at a place in Redis may be outdated.
    pub(super) fn owes(&self, place: &Place) -> bool {
        let (due, paid) = &*self.ledger();
        due.has(place) || paid.has(place)
    }

    /// Whether nothing is owed.
    pub(super) fn is_settled(&self) -> bool {
        let (due, paid) = &*self.ledger();
        due.is_empty() && paid.is_empty()
    }

    /// Waits until something is owed, and takes it to be removed. It is owed until it is said to be [`Debts::settled`].
    pub(super) async fn take(&self) -> Owed {
        loop {
            {
                let (due, paid) = &mut *self.ledger();
                paid.join(std::mem::take(due));
                if !paid.is_empty() {
                    return paid.clone();
                }
            }
            self.due.notified().await;
        }
    }

    /// What was taken last has been removed.
    pub(super) fn settled(&self) {
        self.ledger().1 = Owed::default();
    }

    fn ledger(&self) -> MutexGuard<'_, (Owed, Owed)> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;
    use crate::kernel::news::{Fact, Topic};

    const ONE: TenantId = TenantId(Uuid::from_u128(1));
    const OTHER: TenantId = TenantId(Uuid::from_u128(2));

    fn book(tenant: TenantId, number: u128) -> Place {
        Place { tenant, name: Name::Book, number }
    }

    fn told(number: u128) -> Told {
        Told::Facts(vec![Fact::new(Topic::Book, Uuid::from_u128(number))])
    }

    #[test]
    fn what_is_told_while_it_is_removed_is_owed_still() {
        let debts = Debts::default();
        assert!(debts.take().now_or_never().is_none());
        debts.hear(Bulletin::Of(ONE, &told(7)));
        assert!(debts.owes(&book(ONE, 7)) && !debts.owes(&book(ONE, 8)) && !debts.owes(&book(OTHER, 7)));
        assert_eq!(debts.take().now_or_never().unwrap().tenants.len(), 1);
        assert!(debts.owes(&book(ONE, 7)), "it is being removed");
        debts.hear(Bulletin::Of(ONE, &told(7)));
        debts.settled();
        assert!(debts.owes(&book(ONE, 7)), "it was told again");
        // What could not be removed is taken again, with what has come since.
        let _ = debts.take().now_or_never().unwrap();
        debts.hear(Bulletin::Of(OTHER, &Told::Anything));
        assert_eq!(debts.take().now_or_never().unwrap().tenants.len(), 2);
        debts.settled();
        assert!(!debts.owes(&book(ONE, 7)) && !debts.owes(&book(OTHER, 7)));
        assert!(debts.take().now_or_never().is_none());
    }

    #[test]
    fn who_may_have_missed_something_owes_everything() {
        let debts = Debts::default();
        let unknown = Told::Facts(vec![Fact::new(Topic::User, Uuid::from_u128(7))]);
        debts.hear(Bulletin::Of(ONE, &unknown));
        assert!(debts.take().now_or_never().is_none(), "nothing about users is kept");
        (0..=TENANTS_MAX as u128).for_each(|id| debts.hear(Bulletin::Of(TenantId(Uuid::from_u128(id)), &told(1))));
        assert!(debts.owes(&book(TenantId(Uuid::max()), 5)));
        assert!(debts.take().now_or_never().unwrap().all);
        debts.settled();
        debts.hear(Bulletin::Gap);
        debts.hear(Bulletin::Of(ONE, &told(7)));
        let owed = debts.take().now_or_never().unwrap();
        assert!(owed.all && owed.tenants.is_empty());
    }
}
