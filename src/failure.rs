//! How a service fails: refused for reasons that the caller can mend, forbidden, or let down by the database.

use crate::auth::passwords::Busy;
use crate::db::DbError;
use crate::kernel::actor::Forbidden;

/// A reason that the caller can mend. `C` is the domain's closed list of codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<C> {
    /// What is wrong, for programs.
    pub code: C,
    /// What is wrong, for people.
    pub message: String,
    /// Where in the arguments of the call.
    pub path: Vec<&'static str>,
    /// The entity's version as it is now, where the call was made for an older one.
    pub current_version: Option<i32>,
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
}

impl<C> Refusal<C> {
    /// A reason with its place.
    #[must_use]
    pub fn new(code: C, message: impl Into<String>, path: &[&'static str]) -> Self {
        Self { code, message: message.into(), path: path.to_vec(), current_version: None }
    }

    /// A reason that tells the version as it is now.
    #[must_use]
    pub fn stale(code: C, current_version: i32) -> Self {
        let message = format!("The entity was changed meanwhile; its version is now {current_version}.");
        Self { code, message, path: vec!["version"], current_version: Some(current_version) }
    }
}

impl<C> Failure<C> {
    /// A refusal for one reason.
    #[must_use]
    pub fn refused(code: C, message: impl Into<String>, path: &[&'static str]) -> Self {
        Self::Refused(vec![Refusal::new(code, message, path)])
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
