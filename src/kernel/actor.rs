//! Who acts, and what they may do.

use std::fmt;
use std::str::FromStr;

use crate::kernel::ids::{ApiKeyId, SessionId, UserId};

/// Something that a role may allow, named `resource.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See books, authors and categories.
    CatalogRead,
    /// Create, change and archive books, authors and categories.
    CatalogWrite,
    /// Import a catalogue and see the reports of imports.
    CatalogImport,
    /// See orders, their customers and what was sold.
    OrdersRead,
    /// Enter, place and move orders, and take payments.
    OrdersWrite,
    /// Pay orders back, and erase customers.
    OrdersRefund,
    /// See the shop's people and roles.
    UsersRead,
    /// Invite, change and disable the shop's people.
    UsersWrite,
    /// Make, change and delete the shop's own roles.
    RolesWrite,
    /// See, make, rotate and revoke API keys.
    ApiKeysWrite,
    /// Say whose tokens log the shop's people in.
    IdentityProviderWrite,
    /// See who changed what.
    AuditRead,
    /// See what has happened in the shop, event by event.
    EventsRead,
    /// See where events are sent, and what became of each.
    WebhooksRead,
    /// Say where events are sent, and send them once more.
    WebhooksWrite,
    /// See and change the shop's settings.
    SettingsManage,
}

/// The text names no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown permission")]
pub struct PermissionError;

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 16] = [
        Self::CatalogRead,
        Self::CatalogWrite,
        Self::CatalogImport,
        Self::OrdersRead,
        Self::OrdersWrite,
        Self::OrdersRefund,
        Self::UsersRead,
        Self::UsersWrite,
        Self::RolesWrite,
        Self::ApiKeysWrite,
        Self::IdentityProviderWrite,
        Self::AuditRead,
        Self::EventsRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::SettingsManage,
    ];

    /// The name that roles and answers use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CatalogRead => "catalog.read",
            Self::CatalogWrite => "catalog.write",
            Self::CatalogImport => "catalog.import",
            Self::OrdersRead => "orders.read",
            Self::OrdersWrite => "orders.write",
            Self::OrdersRefund => "orders.refund",
            Self::UsersRead => "users.read",
            Self::UsersWrite => "users.write",
            Self::RolesWrite => "roles.write",
            Self::ApiKeysWrite => "api_keys.write",
            Self::IdentityProviderWrite => "identity_provider.write",
            Self::AuditRead => "audit.read",
            Self::EventsRead => "events.read",
            Self::WebhooksRead => "webhooks.read",
            Self::WebhooksWrite => "webhooks.write",
            Self::SettingsManage => "settings.manage",
        }
    }
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == text).ok_or(PermissionError)
    }
}

/// A set of permissions. The empty one allows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// Everything.
    pub const ALL: Self = Self::of(&Permission::ALL);

    /// These.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < permissions.len() {
            bits |= 1 << permissions[index] as u32;
            index += 1;
        }
        Self(bits)
    }

    /// Those that the names stand for. A name that this release does not know allows nothing.
    #[must_use]
    pub fn of_names(names: &[String]) -> Self {
        names.iter().filter_map(|name| name.parse::<Permission>().ok()).collect()
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn allows(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// Whether all of these are among them.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.allows(*permission))
    }

    /// The name of each.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        self.iter().map(|permission| permission.as_str().to_owned()).collect()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::default(), |set, permission| Self(set.0 | Self::of(&[permission]).0))
    }
}

impl FromIterator<Permissions> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permissions>>(sets: I) -> Self {
        sets.into_iter().fold(Self::default(), |all, set| Self(all.0 | set.0))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

/// A default role, which every shop has. Shops make more of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// May do everything in the shop.
    Owner,
    /// Runs the shop: the catalogue with imports, orders with refunds, and people who may less.
    Manager,
    /// Works in the shop: changes single books, takes orders.
    Clerk,
    /// Sees the catalogue.
    ReadOnly,
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown role; use owner, manager, clerk or read-only")]
pub struct RoleError;

impl Role {
    /// Every default role, from the most to the least.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Manager, Self::Clerk, Self::ReadOnly];

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

    /// What the role allows; what is not listed is denied.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        use Permission::{
            CatalogImport, CatalogRead, CatalogWrite, EventsRead, OrdersRead, OrdersRefund, OrdersWrite, UsersRead,
            UsersWrite, WebhooksRead,
        };
        match self {
            Self::Owner => Permissions::ALL,
            Self::Manager => Permissions::of(&[
                CatalogRead,
                CatalogWrite,
                CatalogImport,
                OrdersRead,
                OrdersWrite,
                OrdersRefund,
                UsersRead,
                UsersWrite,
                EventsRead,
                WebhooksRead,
            ]),
            Self::Clerk => Permissions::of(&[CatalogRead, CatalogWrite, OrdersRead, OrdersWrite]),
            Self::ReadOnly => Permissions::of(&[CatalogRead]),
        }
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(RoleError)
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
    /// A user of the tenant, or what acts for one.
    User(Principal),
    /// The platform itself: a job, or an operator's command.
    System,
}

/// A user who has shown a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: UserId,
    /// What the user may do by this credential.
    pub permissions: Permissions,
    /// The credential.
    pub via: Via,
}

/// What a user has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// A token of a log-in.
    Session(SessionId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// A token of the shop's own identity provider.
    IdentityProvider,
    /// A token that an operator of the platform has made out.
    Operator,
}

/// What a field asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it is how one gets in.
    Public,
    /// Any valid credential: it is about the caller.
    SignedIn,
    /// A permission.
    Needs(Permission),
}

impl From<Permission> for Access {
    fn from(permission: Permission) -> Self {
        Self::Needs(permission)
    }
}

/// The actor lacks what a call asks for. No input fixes it, so it is never a user error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// A log-in.
    #[error("requires a log-in")]
    SignedIn,
    /// A permission.
    #[error("requires the permission `{}`", .0.as_str())]
    Needs(Permission),
}

impl Actor {
    /// What the actor may do.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        match self {
            Self::Anonymous => Permissions::default(),
            Self::User(principal) => principal.permissions,
            Self::System => Permissions::ALL,
        }
    }

    /// Whether the actor may do this.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions().allows(permission)
    }

    /// The user that acts, if it is one.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        match self {
            Self::User(principal) => Some(principal),
            Self::Anonymous | Self::System => None,
        }
    }

    /// Refuses an actor that may not do this.
    ///
    /// # Errors
    /// [`Forbidden`] with what is missing.
    pub fn require(&self, access: impl Into<Access>) -> Result<(), Forbidden> {
        match access.into() {
            Access::Public => Ok(()),
            Access::SignedIn if *self == Self::Anonymous => Err(Forbidden::SignedIn),
            Access::SignedIn => Ok(()),
            Access::Needs(permission) if self.may(permission) => Ok(()),
            Access::Needs(permission) => Err(Forbidden::Needs(permission)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_tells_what_each_may_do() {
        let row = |permission: Permission| {
            let may = |role: Role| if role.permissions().allows(permission) { " yes |" } else { " |" };
            Role::ALL.map(may).concat()
        };
        let readme = include_str!("../../README.md");
        for permission in Permission::ALL {
            let start = format!("| `{}` | ", permission.as_str());
            let line = readme.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{start}"));
            assert_eq!(line.split_once(" |").unwrap().1, row(permission), "{start}");
        }
    }

    #[test]
    fn each_role_allows_exactly_its_permissions() {
        let check = |role: &str, allowed: &str| {
            let role: Role = role.parse().unwrap();
            assert_eq!(role.permissions().names().join(" "), allowed, "{role}");
        };
        check(
            "owner",
            "catalog.read catalog.write catalog.import orders.read orders.write orders.refund users.read users.write \
             roles.write api_keys.write identity_provider.write audit.read events.read webhooks.read webhooks.write \
             settings.manage",
        );
        check(
            "manager",
            "catalog.read catalog.write catalog.import orders.read orders.write orders.refund users.read users.write \
             events.read webhooks.read",
        );
        check("clerk", "catalog.read catalog.write orders.read orders.write");
        check("read-only", "catalog.read");
        assert_eq!("root".parse::<Role>(), Err(RoleError));
    }

    #[test]
    fn nobody_may_nothing() {
        for permission in Permission::ALL {
            assert_eq!(Actor::Anonymous.require(permission), Err(Forbidden::Needs(permission)));
        }
        assert_eq!(Actor::Anonymous.require(Access::SignedIn), Err(Forbidden::SignedIn));
        assert_eq!(Actor::Anonymous.require(Access::Public), Ok(()));
    }

    #[test]
    fn sets_are_compared_and_cut() {
        let clerk = Role::Clerk.permissions();
        assert!(Permissions::ALL.covers(clerk) && !clerk.covers(Permissions::ALL) && clerk.covers(clerk));
        assert_eq!(clerk.and(Role::ReadOnly.permissions()), Role::ReadOnly.permissions());
        assert_eq!(Permissions::of_names(&["catalog.read".to_owned(), "of.the.future".to_owned()]).names().len(), 1);
        assert_eq!(
            [clerk, Permissions::of(&[Permission::UsersRead])].into_iter().collect::<Permissions>().iter().count(),
            5
        );
        assert!(Permissions::default().is_empty() && !clerk.is_empty());
    }

    #[test]
    fn names_are_read_again() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(permission));
        }
        assert_eq!("catalog".parse::<Permission>(), Err(PermissionError));
    }
}
