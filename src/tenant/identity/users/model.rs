//! A user as the tenant has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::users;
use crate::kernel::ids::{RoleId, UserId};

/// One of the shop's people.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct User {
    /// The user.
    #[diesel(deserialize_as = Uuid)]
    pub id: UserId,
    /// Where mail for the user goes.
    pub email: String,
    /// The address in lower case: what the user is found by.
    pub email_key: String,
    /// The name for people; empty until somebody gives one.
    pub name: String,
    /// The state, as text.
    pub status: String,
    /// Counts the changes.
    pub version: i32,
    /// When the user was invited.
    pub created_at: DateTime<Utc>,
    /// When the user was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A user's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStatus {
    /// Has not yet accepted the invitation.
    Invited,
    /// Can log in.
    Active,
    /// Cannot, until enabled again.
    Disabled,
}

impl UserStatus {
    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// The state of a text. One that no version knows counts as disabled: nobody gets in by it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        [Self::Invited, Self::Active].into_iter().find(|status| status.as_str() == text).unwrap_or(Self::Disabled)
    }
}

impl User {
    /// What the trail keeps of the user in the open.
    #[must_use]
    pub fn trail(&self, roles: Option<&[RoleId]>) -> Value {
        let roles: Option<Vec<String>> = roles.map(|roles| roles.iter().map(ToString::to_string).collect());
        json!({ "status": self.status, "roleIds": roles, "version": self.version })
    }

    /// What the trail keeps of the user sealed.
    #[must_use]
    pub fn personal(&self) -> Value {
        json!({ "name": self.name, "email": self.email })
    }

    /// The state.
    #[must_use]
    pub fn status(&self) -> UserStatus {
        UserStatus::of(&self.status)
    }
}
