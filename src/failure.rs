//! How a service fails: refused for reasons that the caller can mend, forbidden, or let down by the database.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::auth::passwords::Busy;
use crate::db::DbError;
use crate::kernel::actor::Forbidden;
use crate::vault::KeyError;

/// A reason that the caller can mend. `C` is the domain's closed list of codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<C> {
    /// What is wrong, for programs.
    pub code: C,
    /// What is wrong, for people.
    pub message: String,
    /// Where in the arguments of the call.
    pub path: Vec<Cow<'static, str>>,
    /// What the caller must know to mend it.
    pub fact: Option<Fact>,
    /// Whether it is about the moment and not about the call: what others may do, are doing or have set up. The same call
    /// may be repeated then, and is tried anew.
    pub is_passing: bool,
}

/// What a caller must know to mend a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The entity's version as it is now, where the call was made for an older one.
    Version(i32),
    /// A book of which there are too few, by its id, and how many there are.
    Stock(String, i32),
    /// The moves that are allowed from where the entity is.
    Moves(Vec<String>),
}

/// Why a call of a service failed. Nothing of it was kept.
#[derive(Debug, Clone)]
pub enum Failure<C> {
    /// The caller can mend it; at least one reason.
    Refused(Vec<Refusal<C>>),
    /// The actor may not do this, whatever the input.
    Forbidden(Forbidden),
    /// The database failed.
    Db(DbError),
    /// Too much of the same is under way; trying again shortly helps.
    Busy,
    /// A key of the tenant's cannot be used.
    Key(KeyError),
    /// The idempotency key does not fit.
    Repeated(KeyProblem),
    /// It was done by an earlier request with the same key, and what it made is gone by now.
    Gone,
}

/// Why a key of idempotency is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyProblem {
    /// It was sent with another request before.
    OtherRequest,
    /// The request that it was first sent with is still running.
    InProgress,
}

impl<C> Refusal<C> {
    /// A reason with its place.
    #[must_use]
    pub fn new(code: C, message: impl Into<String>, path: &[&'static str]) -> Self {
        let path = path.iter().map(|part| Cow::Borrowed(*part)).collect();
        Self { code, message: message.into(), path, fact: None, is_passing: false }
    }

    /// A reason that tells the version as it is now.
    #[must_use]
    pub fn stale(code: C, current_version: i32) -> Self {
        let message = format!("The entity was changed meanwhile; its version is now {current_version}.");
        Self::new(code, message, &["version"]).with_fact(Fact::Version(current_version))
    }

    /// The same reason, with what the caller must know.
    #[must_use]
    pub fn with_fact(mut self, fact: Fact) -> Self {
        self.fact = Some(fact);
        self
    }

    /// The same reason, as one of the moment.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.is_passing = true;
        self
    }

    /// The version as it is now, where the call was made for an older one.
    #[must_use]
    pub fn current_version(&self) -> Option<i32> {
        if let Some(Fact::Version(version)) = self.fact { Some(version) } else { None }
    }
}

impl<C> Failure<C> {
    /// A refusal for one reason.
    #[must_use]
    pub fn refused(code: C, message: impl Into<String>, path: &[&'static str]) -> Self {
        Self::Refused(vec![Refusal::new(code, message, path)])
    }

    /// A refusal for one reason that is of the moment.
    #[must_use]
    pub fn refused_for_now(code: C, message: impl Into<String>, path: &[&'static str]) -> Self {
        Self::Refused(vec![Refusal::new(code, message, path).passing()])
    }
}

impl<C> From<Refusal<C>> for Failure<C> {
    fn from(refusal: Refusal<C>) -> Self {
        Self::Refused(vec![refusal])
    }
}

impl<C> From<DbError> for Failure<C> {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl<C> From<KeyError> for Failure<C> {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl<C> From<Busy> for Failure<C> {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl<C> From<Forbidden> for Failure<C> {
    fn from(forbidden: Forbidden) -> Self {
        Self::Forbidden(forbidden)
    }
}
