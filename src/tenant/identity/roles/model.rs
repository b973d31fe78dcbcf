//! A role as the tenant has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::roles;
use crate::kernel::actor::{Permissions, Role};
use crate::kernel::ids::RoleId;

/// Roles that a shop has at most, default ones among them: a list of them is read whole.
pub const ROLES_MAX: i64 = 100;

/// What some of the shop's people may do.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = roles)]
pub struct RoleRow {
    /// The role.
    #[diesel(deserialize_as = Uuid)]
    pub id: RoleId,
    /// Which default role it is.
    pub key: Option<String>,
    /// The name for people.
    pub name: String,
    /// The names of the permissions of a role that the shop made.
    pub permissions: Option<Vec<String>>,
    /// Counts the changes.
    pub version: i32,
    /// When the role was made.
    pub created_at: DateTime<Utc>,
    /// When the role was last changed.
    pub updated_at: DateTime<Utc>,
}

impl RoleRow {
    /// What the trail keeps of it.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({ "name": self.name, "permissions": self.permissions, "version": self.version })
    }

    /// Which default role it is.
    #[must_use]
    pub fn default(&self) -> Option<Role> {
        self.key.as_deref()?.parse().ok()
    }

    /// What the role allows.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        permissions(self.key.as_deref(), self.permissions.as_deref())
    }
}

/// What a role's row allows: a default one what the code says, another what it lists.
#[must_use]
pub fn permissions(key: Option<&str>, names: Option<&[String]>) -> Permissions {
    match key.map(str::parse::<Role>) {
        Some(Ok(role)) => role.permissions(),
        // A default role that this release does not know allows nothing.
        Some(Err(_)) => Permissions::default(),
        None => names.map(Permissions::of_names).unwrap_or_default(),
    }
}

/// What roles allow together.
#[must_use]
pub fn permissions_of(roles: &[RoleRow]) -> Permissions {
    roles.iter().map(RoleRow::permissions).collect()
}
