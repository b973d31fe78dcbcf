//! What is told of changes, to caches and to whoever looks on: that something is another than it was, and never what it is.
//!
//! Who is told reads the row, through the tenant's own door. So nothing that is told is worth stealing, and to be told twice, or
//! for no reason, costs a look and does no harm.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::ids::{TenantId, base32_decode, base32_encode};

/// Facts of one tenant that are told one by one. Of more than these it is told that anything may have changed.
pub const FACTS_MAX: usize = 128;

/// Declares the topics: each with the prefix of its ids.
macro_rules! topics {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal,)+) => {
        /// What a fact is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Topic { $($(#[$doc])* $name,)+ }

        impl Topic {
            /// Every topic.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What ids of the topic start with, before the underscore.
            #[must_use]
            pub fn prefix(self) -> &'static str {
                match self { $(Self::$name => $prefix,)+ }
            }

            fn of_prefix(prefix: &str) -> Option<Self> {
                match prefix { $($prefix => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

topics!(
    /// A user's API key.
    ApiKey = "apikey",
    /// An author.
    Author = "author",
    /// A book, its copies included.
    Book = "book",
    /// A category.
    Category = "category",
    /// A customer.
    Customer = "customer",
    /// An event on its way to an endpoint.
    Delivery = "delivery",
    /// Where events are sent.
    Endpoint = "endpoint",
    /// The shop's own identity provider.
    IdentityProvider = "idp",
    /// A run of an import.
    Import = "import",
    /// An order, its lines included.
    Order = "order",
    /// An attempt to be paid.
    Payment = "payment",
    /// A role, and what it allows.
    Role = "role",
    /// A log-in.
    Session = "session",
    /// A setting of the shop. Its id says nothing: [`Fact::SETTINGS`].
    Setting = "setting",
    /// How many copies of a book are in stock. The book itself is told as well.
    Stock = "stock",
    /// A user, with their roles.
    User = "user",
);

/// That something is new, another than it was, or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fact {
    /// What it is.
    pub topic: Topic,
    /// Which it is.
    pub id: Uuid,
}

impl Fact {
    /// That the shop's settings have changed, whichever.
    pub const SETTINGS: Self = Self { topic: Topic::Setting, id: Uuid::nil() };

    /// A fact about an entity of a topic.
    #[must_use]
    pub fn new(topic: Topic, id: impl Into<Uuid>) -> Self {
        Self { topic, id: id.into() }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.topic.prefix(), base32_encode(self.id))
    }
}

/// A text is no fact: it is of no topic, or malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFact;

/// Reads an entity's id, as the journal and the API write it.
impl FromStr for Fact {
    type Err = NoFact;

    fn from_str(text: &str) -> Result<Self, NoFact> {
        let (prefix, digits) = text.rsplit_once('_').ok_or(NoFact)?;
        let topic = Topic::of_prefix(prefix).ok_or(NoFact)?;
        Ok(Self { topic, id: base32_decode(digits).ok_or(NoFact)? })
    }
}

/// What has changed of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// These, each once.
    Facts(Vec<Fact>),
    /// Anything.
    Anything,
}

impl Default for Told {
    fn default() -> Self {
        Self::Facts(Vec::new())
    }
}

impl Told {
    /// Adds a fact; with too many of them it is anything.
    pub fn add(&mut self, fact: Fact) {
        let Self::Facts(facts) = self else { return };
        if facts.contains(&fact) {
            return;
        }
        if facts.len() == FACTS_MAX {
            *self = Self::Anything;
        } else {
            facts.push(fact);
        }
    }

    /// Adds all of another's.
    pub fn join(&mut self, other: Self) {
        match other {
            Self::Anything => *self = Self::Anything,
            Self::Facts(facts) => facts.into_iter().for_each(|fact| self.add(fact)),
        }
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Facts(facts) if facts.is_empty())
    }

    /// Whether a fact is among it.
    #[must_use]
    pub fn has(&self, fact: Fact) -> bool {
        match self {
            Self::Anything => true,
            Self::Facts(facts) => facts.contains(&fact),
        }
    }

    /// Whether something of a topic is among it.
    #[must_use]
    pub fn is_about(&self, topic: Topic) -> bool {
        match self {
            Self::Anything => true,
            Self::Facts(facts) => facts.iter().any(|fact| fact.topic == topic),
        }
    }
}

/// What is told to whoever listens.
#[derive(Debug, Clone, Copy)]
pub enum Bulletin<'a> {
    /// What has changed of one tenant.
    Of(TenantId, &'a Told),
    /// Some of what was told may not have been heard: anything of any tenant may have changed.
    Gap,
}

/// What a replica has to tell others, by tenant.
pub type Letters = HashMap<TenantId, Told>;

/// What stands for anything.
const ANYTHING: &str = "*";

/// One tenant's part of a message, as `TENANT fact,fact` or `TENANT *`.
#[must_use]
pub fn line(tenant: TenantId, told: &Told) -> String {
    let mut line = base32_encode(tenant.0);
    match told {
        Told::Anything => line.extend([" ", ANYTHING]),
        Told::Facts(facts) => {
            for (index, fact) in facts.iter().enumerate() {
                line.push(if index == 0 { ' ' } else { ',' });
                line.push_str(&fact.to_string());
            }
        }
    }
    line
}

/// Reads what [`line()`] wrote. What this release does not know may be anything; only a tenant that cannot be read is nothing.
#[must_use]
pub fn read_line(line: &str) -> Option<(TenantId, Told)> {
    let (tenant, facts) = line.split_once(' ')?;
    let tenant = TenantId(base32_decode(tenant)?);
    let mut told = Told::default();
    for fact in facts.split(',') {
        match fact.parse() {
            Ok(fact) => told.add(fact),
            Err(NoFact) => told = Told::Anything,
        }
    }
    Some((tenant, told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ids::{BookId, IdentityProviderId, OrderId, UserId};

    fn fact(number: u128) -> Fact {
        Fact::new(Topic::Book, Uuid::from_u128(number))
    }

    #[test]
    fn an_entitys_id_is_a_fact() {
        let check = |text: String, topic: Topic| {
            assert_eq!(text.parse(), Ok(Fact::new(topic, Uuid::from_u128(7))), "{text}");
            assert_eq!(text.parse::<Fact>().unwrap().to_string(), text);
        };
        check(BookId(Uuid::from_u128(7)).to_string(), Topic::Book);
        check(OrderId(Uuid::from_u128(7)).to_string(), Topic::Order);
        check(UserId(Uuid::from_u128(7)).to_string(), Topic::User);
        check(IdentityProviderId(Uuid::from_u128(7)).to_string(), Topic::IdentityProvider);
        for nonsense in ["", "_", "book", "book_", "shelf_01h455vb4pex5vsknk084sn02q", "book_01h455"] {
            assert_eq!(nonsense.parse::<Fact>(), Err(NoFact), "{nonsense}");
        }
        for topic in Topic::ALL {
            assert_eq!(Topic::of_prefix(topic.prefix()), Some(*topic));
        }
    }

    #[test]
    fn a_fact_is_told_once_and_too_many_are_anything() {
        let mut told = Told::default();
        assert!(told.is_nothing());
        (0..FACTS_MAX as u128).chain([3]).for_each(|number| told.add(fact(number)));
        assert!(matches!(&told, Told::Facts(facts) if facts.len() == FACTS_MAX));
        assert!(told.has(fact(5)) && !told.has(fact(1_000)) && !told.is_about(Topic::Order));
        told.add(fact(1_000));
        assert_eq!(told, Told::Anything);
        assert!(told.has(fact(2_000)) && told.is_about(Topic::Order) && !told.is_nothing());
        let mut other = Told::Facts(vec![fact(1)]);
        other.join(Told::Facts(vec![fact(1), fact(2)]));
        assert_eq!(other, Told::Facts(vec![fact(1), fact(2)]));
        other.join(told);
        assert_eq!(other, Told::Anything);
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let tenant = TenantId(Uuid::from_u128(9));
        for told in [Told::Anything, Told::Facts(vec![fact(1)]), Told::Facts(vec![fact(1), Fact::SETTINGS])] {
            assert_eq!(read_line(&line(tenant, &told)), Some((tenant, told)));
        }
        let newer = format!("{} shelf_01h455vb4pex5vsknk084sn02q", base32_encode(tenant.0));
        assert_eq!(
            read_line(&newer),
            Some((tenant, Told::Anything)),
            "a newer release tells what this one does not know"
        );
        for nonsense in ["", "x", "x *", " *"] {
            assert_eq!(read_line(nonsense), None, "{nonsense}");
        }
    }
}
