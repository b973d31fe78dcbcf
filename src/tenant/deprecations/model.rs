//! Use of a part, by whom, and how often.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::db::schema::tenant::deprecated_usage;
use crate::kernel::actor::{Principal, Via};
use crate::kernel::ids::ApiKeyId;

/// The operation or the client of all that there is no row left for. No operation can be called so.
pub const OTHER: &str = "(other)";

/// Bytes of a client's name at most.
pub const CLIENT_LEN_MAX: usize = 64;

/// Bytes of an operation's name at most; a longer one is cut off.
pub const OPERATION_LEN_MAX: usize = 128;

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Queryable, Selectable)]
#[diesel(table_name = deprecated_usage)]
pub struct UsageKey {
    /// The part's schema coordinate.
    pub part: String,
    /// The operation's name; empty where it has none.
    pub operation: String,
    /// By which credential, as [`credential_name`] writes it.
    pub credential: String,
    /// What the program calls itself; empty where it does not say.
    pub client: String,
}

impl UsageKey {
    /// The same without what clients choose freely.
    #[must_use]
    pub fn folded(mut self) -> Self {
        self.operation = OTHER.to_owned();
        self.client = OTHER.to_owned();
        self
    }
}

/// How often, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How many operations.
    pub count: i64,
    /// When the first one was.
    pub first: DateTime<Utc>,
    /// When the last one was.
    pub last: DateTime<Utc>,
}

impl Tally {
    /// One operation.
    #[must_use]
    pub fn once(at: DateTime<Utc>) -> Self {
        Self { count: 1, first: at, last: at }
    }

    /// Adds another one to it.
    pub fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = deprecated_usage)]
pub struct Usage {
    /// Of what, by whom.
    #[diesel(embed)]
    pub key: UsageKey,
    /// How many operations.
    pub count: i64,
    /// When the first one was.
    pub first_used_at: DateTime<Utc>,
    /// When the last one was.
    pub last_used_at: DateTime<Utc>,
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// Those of this part.
    pub part: Option<String>,
    /// Those by this credential.
    pub credential: Option<String>,
    /// Those used then or later.
    pub used_since: Option<DateTime<Utc>>,
}

/// What a user has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// An API key.
    ApiKey,
    /// A token of the shop's own identity provider.
    IdentityProvider,
    /// A token that an operator of the platform has made out.
    Operator,
    /// A token of a log-in.
    Session,
}

/// A credential as it is written down: an API key by its id, all others by their kind.
#[must_use]
pub fn credential_name(principal: &Principal) -> String {
    match principal.via {
        Via::Session(_) => "session".to_owned(),
        Via::ApiKey(key) => key.to_string(),
        Via::IdentityProvider => "identity_provider".to_owned(),
        Via::Operator => "operator".to_owned(),
    }
}

/// What a credential is that was written down, and which API key.
#[must_use]
pub fn credential_of(name: &str) -> (CredentialKind, Option<ApiKeyId>) {
    match (name, name.parse().ok()) {
        (_, Some(key)) => (CredentialKind::ApiKey, Some(key)),
        ("identity_provider", None) => (CredentialKind::IdentityProvider, None),
        ("operator", None) => (CredentialKind::Operator, None),
        _ => (CredentialKind::Session, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::actor::Permissions;
    use crate::kernel::ids::{SessionId, UserId};

    #[test]
    fn a_credential_is_known_again_by_what_is_written_of_it() {
        let id = uuid::Uuid::from_u128(7);
        let check = |via, kind, key| {
            let principal = Principal { user: UserId(id), permissions: Permissions::ALL, via };
            assert_eq!(credential_of(&credential_name(&principal)), (kind, key));
        };
        check(Via::Session(SessionId(id)), CredentialKind::Session, None);
        check(Via::ApiKey(ApiKeyId(id)), CredentialKind::ApiKey, Some(ApiKeyId(id)));
        check(Via::IdentityProvider, CredentialKind::IdentityProvider, None);
        check(Via::Operator, CredentialKind::Operator, None);
    }
}
