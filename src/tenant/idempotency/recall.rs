//! What a mutation's outcome must be able to do, so that it can be kept and found again.

use std::future::Future;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::db::{DbError, TenantRead};
use crate::failure::{Fact, Refusal};

/// What a mutation answers on success.
pub trait Recall: Sized + Send {
    /// The id by which it is found again; nil where nothing need be found.
    fn id(&self) -> Uuid;

    /// Finds it again; nothing where it is gone by now.
    ///
    /// # Errors
    /// The database failed.
    fn recall(read: &TenantRead, id: Uuid) -> impl Future<Output = Result<Option<Self>, DbError>> + Send;
}

impl Recall for () {
    fn id(&self) -> Uuid {
        Uuid::nil()
    }

    async fn recall(_: &TenantRead, _: Uuid) -> Result<Option<Self>, DbError> {
        Ok(Some(()))
    }
}

/// A domain's closed list of codes, by name.
pub trait Code: Copy + Send + Sync + 'static {
    /// The code's name in the API.
    fn name(self) -> &'static str;

    /// The code of a name.
    fn of_name(name: &str) -> Option<Self>;
}

/// An outcome as the key's row keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stored {
    /// It was done, and this is the id of what it answers.
    Done(Uuid),
    /// It was refused.
    Refused(Vec<StoredRefusal>),
}

/// A reason of a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredRefusal {
    code: String,
    message: String,
    path: Vec<String>,
    fact: Option<Fact>,
}

impl<C: Code> From<&Refusal<C>> for StoredRefusal {
    fn from(refusal: &Refusal<C>) -> Self {
        Self {
            code: refusal.code.name().to_owned(),
            // A message may quote what was sent, and JSON of PostgreSQL has no room for a NUL.
            message: refusal.message.replace('\0', "\u{fffd}"),
            path: refusal.path.iter().map(|part| part.clone().into_owned()).collect(),
            fact: refusal.fact.clone(),
        }
    }
}

impl StoredRefusal {
    /// The reason again; nothing where this release does not know its code.
    pub(super) fn refusal<C: Code>(self) -> Option<Refusal<C>> {
        Some(Refusal {
            code: C::of_name(&self.code)?,
            message: self.message,
            path: self.path.into_iter().map(Into::into).collect(),
            fact: self.fact,
            is_passing: false,
        })
    }
}
