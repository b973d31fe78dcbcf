//! Who acts, and what they may do.

use std::fmt;
use std::str::FromStr;

use crate::kernel::ids::UserId;

/// Something that a role may allow, named `resource.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See books, authors and categories.
    CatalogRead,
    /// Create, change and archive books, authors and categories.
    CatalogWrite,
    /// Import a catalogue and see the reports of imports.
    CatalogImport,
}

impl Permission {
    /// The name that roles and answers use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CatalogRead => "catalog.read",
            Self::CatalogWrite => "catalog.write",
            Self::CatalogImport => "catalog.import",
        }
    }
}

/// A default role of a tenant's users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// May do everything in the shop.
    Owner,
    /// Runs the shop: the catalogue with imports.
    Manager,
    /// Works in the shop: changes single books.
    Clerk,
    /// Sees the catalogue.
    ReadOnly,
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown role; use owner, manager, clerk or read-only")]
pub struct RoleError;

impl Role {
    /// The name that tokens and tables use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Clerk => "clerk",
            Self::ReadOnly => "read-only",
        }
    }

    /// Whether the role allows the permission; what is not listed is denied.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        use Permission::{CatalogImport, CatalogRead, CatalogWrite};
        match self {
            Self::Owner | Self::Manager => matches!(permission, CatalogRead | CatalogWrite | CatalogImport),
            Self::Clerk => matches!(permission, CatalogRead | CatalogWrite),
            Self::ReadOnly => matches!(permission, CatalogRead),
        }
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        [Self::Owner, Self::Manager, Self::Clerk, Self::ReadOnly]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(RoleError)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who a tenant-plane call acts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Nobody who has shown a credential. May do nothing.
    Anonymous,
    /// A user of the tenant.
    User {
        /// The user.
        id: UserId,
        /// What the user may do.
        role: Role,
    },
    /// The platform itself: a job, or an operator's command.
    System,
}

/// The actor lacks a permission. No input fixes it, so it is never a user error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("requires the permission `{}`", .0.as_str())]
pub struct Forbidden(pub Permission);

impl Actor {
    /// Whether the actor may do this.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match self {
            Self::Anonymous => false,
            Self::User { role, .. } => role.allows(permission),
            Self::System => true,
        }
    }

    /// Refuses an actor that may not do this.
    ///
    /// # Errors
    /// [`Forbidden`] with the permission that is missing.
    pub fn require(&self, permission: Permission) -> Result<(), Forbidden> {
        if self.may(permission) { Ok(()) } else { Err(Forbidden(permission)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_allows_exactly_its_permissions() {
        use Permission::{CatalogImport, CatalogRead, CatalogWrite};
        let check = |role: &str, allowed: [bool; 3]| {
            let role: Role = role.parse().unwrap();
            assert_eq!([CatalogRead, CatalogWrite, CatalogImport].map(|p| role.allows(p)), allowed, "{role}");
        };
        check("owner", [true, true, true]);
        check("manager", [true, true, true]);
        check("clerk", [true, true, false]);
        check("read-only", [true, false, false]);
        assert_eq!("root".parse::<Role>(), Err(RoleError));
    }

    #[test]
    fn nobody_may_nothing() {
        assert_eq!(Actor::Anonymous.require(Permission::CatalogRead), Err(Forbidden(Permission::CatalogRead)));
    }
}
