//! What a user can do wrong about people: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// An error of a request about the shop's people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum IdentityErrorCode {
    /// The shop has as many API keys as it may have.
    ApiKeyLimitReached,
    /// No API key in use has this id.
    ApiKeyNotFound,
    /// The e-mail address, the password or both are wrong, or the account cannot log in.
    CredentialsInvalid,
    /// The text is not an e-mail address.
    EmailInvalid,
    /// A user with this e-mail address exists already.
    EmailTaken,
    /// The time is in the past or too far in the future, or missing where one is needed.
    ExpiryInvalid,
    /// The identity provider cannot be used: its addresses are malformed or not allowed.
    IdentityProviderInvalid,
    /// The shop has no identity provider.
    IdentityProviderNotFound,
    /// The shop's last active owner cannot be disabled or lose the role.
    LastOwner,
    /// The name is blank or too long.
    NameInvalid,
    /// The password is too short, too long or too plain.
    PasswordInvalid,
    /// The call would give, change or take permissions that the caller does not have.
    PermissionsExceeded,
    /// The list of permissions is empty.
    PermissionsMissing,
    /// A default role cannot be changed or deleted.
    RoleIsDefault,
    /// The role is given to users; take it from them first.
    RoleInUse,
    /// The shop has as many roles as it may have.
    RoleLimitReached,
    /// A role with this name exists already.
    RoleNameTaken,
    /// No role has this id.
    RoleNotFound,
    /// The list of roles is empty, and a user has at least one.
    RolesMissing,
    /// The token is malformed, expired, used or revoked.
    TokenInvalid,
    /// The limit of failed attempts is reached; wait before the next one.
    TooManyAttempts,
    /// No user has this id.
    UserNotFound,
    /// The user's status does not allow this.
    UserStatusConflict,
    /// The entity was changed since the version that the call names.
    VersionConflict,
}

/// Why a call about the shop's people failed.
pub type IdentityError = Failure<IdentityErrorCode>;

/// A reason that a user can mend.
pub type IdentityRefusal = Refusal<IdentityErrorCode>;
