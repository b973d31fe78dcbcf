//! What is kept, under which key, and what outdates it.
//!
//! A [`Key`] is made from a tenant's context and from nothing less, and says what type its answer has. Nothing that is about a
//! person may be a family: answers are kept in Redis, in the clear.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::kernel::ids::{TenantId, base32_encode};
use crate::kernel::news::{Fact, Topic};
use crate::kernel::tenant::TenantCtx;

/// Every family of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// A book by its id.
    Book,
    /// The id of the book that has an ISBN.
    BookByIsbn,
    /// The tree of categories.
    Categories,
}

/// What outdates the answers of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outdated {
    /// What is told of the entity whose id is the key.
    ByFact(Topic),
    /// What is told of any entity of a topic. There is one answer, with the key 0.
    ByTopic(Topic),
    /// Who reads an answer finds out whether it still holds. That there is nothing is outdated by what is told of the topic.
    WhenRead(Topic),
}

/// What is asked of the marks about one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Of {
    /// One entity.
    Fact(Fact),
    /// All of a topic.
    Topic(Topic),
    /// Nothing but what is told of the whole tenant.
    Nothing,
}

impl Name {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Book, Self::BookByIsbn, Self::Categories];

    /// The family's name, for metrics and keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::BookByIsbn => "book_by_isbn",
            Self::Categories => "categories",
        }
    }

    /// The version of what is written of an answer: counted up when a field is added, so that releases that run side by side do
    /// not read each other's.
    fn format(self) -> u8 {
        match self {
            Self::Book | Self::BookByIsbn | Self::Categories => 1,
        }
    }

    fn outdated(self) -> Outdated {
        match self {
            Self::Book => Outdated::ByFact(Topic::Book),
            Self::BookByIsbn => Outdated::WhenRead(Topic::Book),
            Self::Categories => Outdated::ByTopic(Topic::Category),
        }
    }

    /// The number of the answer that a fact outdates wherever it is kept, if there is one.
    pub(super) fn outdated_by(self, fact: Fact) -> Option<u128> {
        match self.outdated() {
            Outdated::ByFact(topic) => (fact.topic == topic).then(|| fact.id.as_u128()),
            Outdated::ByTopic(topic) => (fact.topic == topic).then_some(0),
            Outdated::WhenRead(_) => None,
        }
    }
}

/// One family of answers: how it is known, and of which types its keys and answers are.
pub trait Family: Send + Sync + 'static {
    /// What is asked for.
    type Key: Send + Sync;
    /// What is answered.
    type Value: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// Which family it is. No two have the same.
    const NAME: Name;

    /// The key as a number, which no other key of the family has.
    fn number(key: &Self::Key) -> u128;

    /// Whether an answer says that there is nothing.
    fn is_nothing(value: &Self::Value) -> bool;

    /// About how many bytes an answer takes in memory.
    fn bytes(value: &Self::Value) -> usize;
}

/// The key of one answer of one tenant.
pub struct Key<F: Family> {
    pub(super) place: Place,
    family: PhantomData<F>,
}

impl<F: Family> Key<F> {
    /// The key of an answer of this tenant.
    #[must_use]
    pub fn new(tenant: &TenantCtx, key: &F::Key) -> Self {
        Self { place: Place { tenant: tenant.id, name: F::NAME, number: F::number(key) }, family: PhantomData }
    }
}

/// Where an answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Whose it is.
    pub(super) tenant: TenantId,
    /// Of which family.
    pub(super) name: Name,
    /// Which of the family.
    pub(super) number: u128,
}

impl Place {
    /// What outdates the answer here.
    pub(super) fn of(&self, is_nothing: bool) -> Of {
        match self.name.outdated() {
            Outdated::ByFact(topic) => Of::Fact(Fact::new(topic, Uuid::from_u128(self.number))),
            Outdated::ByTopic(topic) => Of::Topic(topic),
            Outdated::WhenRead(topic) if is_nothing => Of::Topic(topic),
            Outdated::WhenRead(_) => Of::Nothing,
        }
    }

    /// The place's name in Redis.
    pub(super) fn text(&self) -> String {
        let (tenant, name) = (base32_encode(self.tenant.0), self.name.as_str());
        format!("shelfwise:cache:{tenant}:{name}:{}:{:x}", self.name.format(), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: Name, number: u128) -> Place {
        Place { tenant: TenantId(Uuid::from_u128(9)), name, number }
    }

    #[test]
    fn what_is_told_outdates_where_it_is_kept() {
        let fact = |topic, id| Fact::new(topic, Uuid::from_u128(id));
        let book = place(Name::Book, 7);
        assert_eq!(book.of(false), Of::Fact(fact(Topic::Book, 7)));
        assert_eq!(Name::Book.outdated_by(fact(Topic::Book, 7)), Some(7));
        assert_eq!(Name::Book.outdated_by(fact(Topic::Author, 7)), None);
        assert_eq!(place(Name::Categories, 0).of(false), Of::Topic(Topic::Category));
        assert_eq!(Name::Categories.outdated_by(fact(Topic::Category, 7)), Some(0));
        let isbn = place(Name::BookByIsbn, 9_780_141_439_587);
        assert_eq!((isbn.of(false), isbn.of(true)), (Of::Nothing, Of::Topic(Topic::Book)));
        assert_eq!(Name::BookByIsbn.outdated_by(fact(Topic::Book, 7)), None);
    }

    #[test]
    fn a_place_names_tenant_family_and_format() {
        assert_eq!(place(Name::Book, 255).text(), "shelfwise:cache:00000000000000000000000009:book:1:ff");
        assert_ne!(place(Name::Book, 0).text(), place(Name::Categories, 0).text());
    }
}
