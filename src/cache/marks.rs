//! Until when what was read counts: numbers that rise when something is told.
//!
//! Nothing is searched or removed when something is told: a mark is raised, and whatever was read before it does not count any
//! more, what is being read at that moment included. Marks are shared by what falls on the same one, which costs a look now and
//! then and does no harm.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::keys::Of;
use crate::db::Moments;
use crate::kernel::ids::TenantId;
use crate::kernel::news::{Bulletin, Told};

/// Marks of entities and topics; 8 bytes each.
const FACTS_LEN: usize = 1 << 15;

/// Marks of tenants.
const TENANTS_LEN: usize = 1 << 12;

/// When what was last told: each mark is the number of a bulletin.
pub(super) struct Marks {
    moments: Moments,
    all: AtomicU64,
    tenants: Box<[AtomicU64]>,
    facts: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Marks {
    /// Marks at which nothing was told.
    pub(super) fn new(moments: Moments) -> Self {
        let marks = |len| (0..len).map(|_| AtomicU64::new(0)).collect();
        let (tenants, facts) = (marks(TENANTS_LEN), marks(FACTS_LEN));
        Self { moments, all: AtomicU64::new(0), tenants, facts, hasher: RandomState::new() }
    }

    /// Raises the marks of what a bulletin is about. Bulletins are told one after the other, so the newest is this one.
    pub(super) fn hear(&self, bulletin: Bulletin<'_>) {
        let told = self.moments.told();
        let raise = |mark: &AtomicU64| {
            mark.fetch_max(told, Ordering::AcqRel);
        };
        match bulletin {
            Bulletin::Gap => raise(&self.all),
            Bulletin::Of(tenant, Told::Anything) => raise(self.of_tenant(tenant)),
            Bulletin::Of(tenant, Told::Facts(facts)) => {
                for fact in facts {
                    raise(self.of_fact(tenant, Of::Fact(*fact)));
                    raise(self.of_fact(tenant, Of::Topic(fact.topic)));
                }
            }
        }
    }

    /// The newest mark of what outdates an answer: it counts if it was read at that moment or later.
    pub(super) fn newest(&self, tenant: TenantId, of: Of) -> u64 {
        let read = |mark: &AtomicU64| AtomicU64::load(mark, Ordering::Acquire);
        let newest = read(&self.all).max(read(self.of_tenant(tenant)));
        if of == Of::Nothing { newest } else { newest.max(read(self.of_fact(tenant, of))) }
    }

    fn of_tenant(&self, tenant: TenantId) -> &AtomicU64 {
        &self.tenants[self.hasher.hash_one(tenant) as usize % TENANTS_LEN]
    }

    fn of_fact(&self, tenant: TenantId, of: Of) -> &AtomicU64 {
        &self.facts[self.hasher.hash_one((tenant, of)) as usize % FACTS_LEN]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::db::News;
    use crate::kernel::news::{Fact, Topic};

    #[test]
    fn what_was_read_before_it_was_told_does_not_count() {
        let news = News::default();
        let marks = Arc::new(Marks::new(news.moments().clone()));
        let heard = Arc::clone(&marks);
        news.attach(Arc::new(move |bulletin, _| heard.hear(bulletin)));
        let (one, other) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
        let book = Fact::new(Topic::Book, Uuid::from_u128(7));
        let counts = |tenant, of, told| told >= marks.newest(tenant, of);
        let all = [Of::Fact(book), Of::Topic(Topic::Book), Of::Topic(Topic::Category), Of::Nothing];
        let check = |expected: [bool; 4], told: u64| {
            assert_eq!(all.map(|of| counts(one, of, told)), expected, "{told}");
        };

        check([true; 4], news.moments().now().told);
        news.tell(one, Told::Facts(vec![book]));
        check([false, false, true, true], 0);
        check([true; 4], 1);
        news.tell(one, Told::Anything);
        check([false; 4], 1);
        check([true; 4], 2);
        // By chance it may share a mark with the first, which this one in thousands of runs does not look into.
        assert!(all.into_iter().filter(|of| counts(other, *of, 0)).count() >= 1 || !counts(other, Of::Nothing, 1));
        news.miss();
        check([false; 4], 2);
        assert!(!counts(other, Of::Nothing, 2) && counts(other, Of::Nothing, 3));
    }
}
