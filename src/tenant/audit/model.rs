//! Entries of the trail, for who reads it and for who verifies it.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::sql_types::Json;
use serde_json::Value;

use crate::db::schema::tenant::audit_log;
use crate::kernel::ids::UserId;

/// An entry, as it is shown.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_log)]
pub struct Entry {
    /// The number, from 1 up without gaps.
    pub sequence: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: a user's id, `system` or `anonymous`.
    pub actor: String,
    /// By which credential.
    pub via: Option<String>,
    /// What was done, as `book.create`.
    pub action: String,
    /// To what.
    pub entity: String,
    /// What it was.
    pub before: Option<Value>,
    /// What it is.
    pub after: Option<Value>,
    /// What it tells of people, sealed.
    pub sealed: Option<Vec<u8>>,
    /// By which request.
    pub request_id: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// The hash over the entry and all before it.
    pub hash: Vec<u8>,
}

impl Entry {
    /// The user who acted, if it was one.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.actor.parse().ok()
    }
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// What was done to this entity.
    pub entity: Option<String>,
    /// This was done.
    pub action: Option<String>,
    /// This user did it.
    pub actor: Option<UserId>,
    /// It was done then or later.
    pub from: Option<DateTime<Utc>>,
    /// It was done before.
    pub to: Option<DateTime<Utc>>,
}

/// An entry with every byte that its hash covers.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_log)]
pub struct StoredEntry {
    /// The number.
    pub sequence: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// By which credential.
    pub via: Option<String>,
    /// What was done.
    pub action: String,
    /// To what.
    pub entity: String,
    /// What it was.
    pub before: Option<StoredJson>,
    /// What it is.
    pub after: Option<StoredJson>,
    /// What is sealed.
    pub sealed: Option<Vec<u8>>,
    /// By which request.
    pub request_id: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// The hash over the entry and all before it.
    pub hash: Vec<u8>,
}

/// A value of a `json` column in the very text that was stored: a hash is of bytes, not of what they mean.
#[derive(Debug, Clone, PartialEq, Eq, FromSqlRow)]
pub struct StoredJson(pub String);

impl FromSql<Json, Pg> for StoredJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // PostgreSQL sends `json` as the text that it keeps, in its binary format too.
        Ok(Self(String::from_utf8(value.as_bytes().to_vec())?))
    }
}
