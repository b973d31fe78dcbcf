//! A category as the tenant has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::categories;
use crate::kernel::ids::CategoryId;

/// The most characters of a category's name.
pub const NAME_LEN_MAX: usize = 100;

/// The most levels of the tree.
pub const DEPTH_MAX: usize = 8;

/// The most categories directly within one: a list of them is read whole, and priced as this many.
pub const CHILDREN_MAX: i64 = 100;

/// A shelf of the shop, perhaps within another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Queryable, Selectable)]
#[diesel(table_name = categories)]
pub struct Category {
    /// The category.
    #[diesel(deserialize_as = Uuid)]
    pub id: CategoryId,
    /// The name for people.
    pub name: String,
    /// The folded name.
    pub name_key: String,
    /// The category that this one is within.
    pub parent_id: Option<Uuid>,
    /// The ids from the root down to this one.
    pub path: Vec<Uuid>,
    /// Counts the changes.
    pub version: i32,
    /// Since when the category is archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// When the category was entered.
    pub created_at: DateTime<Utc>,
    /// When the category was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Category {
    /// What the trail keeps of it.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({
            "name": self.name,
            "parentId": self.parent_id.map(|id| CategoryId(id).to_string()),
            "archivedAt": self.archived_at,
            "version": self.version,
        })
    }
}

/// Which categories to list.
#[derive(Debug, Clone, Default)]
pub struct CategoryFilter {
    /// Those within this one, at any depth; it is among them.
    pub within: Option<CategoryId>,
    /// Those that are within no other.
    pub is_root: bool,
    /// Archived ones, or those that are not.
    pub archived: bool,
}
