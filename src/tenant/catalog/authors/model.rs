//! An author as the tenant has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::authors;
use crate::kernel::ids::AuthorId;

/// The most characters of an author's name.
pub const NAME_LEN_MAX: usize = 200;

/// Somebody who wrote books.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = authors)]
pub struct Author {
    /// The author.
    #[diesel(deserialize_as = Uuid)]
    pub id: AuthorId,
    /// The name as printed.
    pub name: String,
    /// The folded name.
    pub name_key: String,
    /// Counts the changes.
    pub version: i32,
    /// Since when the author is archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// When the author was entered.
    pub created_at: DateTime<Utc>,
    /// When the author was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Author {
    /// What the trail keeps of the author.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({ "name": self.name, "archivedAt": self.archived_at, "version": self.version })
    }
}

/// Which authors to list.
#[derive(Debug, Clone, Default)]
pub struct AuthorFilter {
    /// Folded text that the name contains.
    pub name_contains: Option<String>,
    /// Archived ones, or those that are not.
    pub archived: bool,
}
