//! What a user can do wrong about people: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// What is wrong with a request about the shop's people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum IdentityErrorCode {
    /// The shop has as many API keys as it may have.
    ApiKeyLimitReached,
    /// There is no API key with this id, or it is revoked.
    ApiKeyNotFound,
    /// The e-mail address, the password or both are wrong, or the account cannot log in.
    CredentialsInvalid,
    /// The text is not an e-mail address.
    EmailInvalid,
    /// Another user has this e-mail address.
    EmailTaken,
    /// The time lies in the past, or too far in the future.
    ExpiryInvalid,
    /// The identity provider cannot be used: its addresses are malformed or not allowed.
    IdentityProviderInvalid,
    /// There is no identity provider with this id.
    IdentityProviderNotFound,
    /// The shop's last active owner cannot be disabled or lose the role.
    LastOwner,
    /// The name is blank or too long.
    NameInvalid,
    /// The password is too short, too long or too plain.
    PasswordInvalid,
    /// The call would give, change or take permissions that the caller does not have.
    PermissionsExceeded,
    /// No permission is named.
    PermissionsMissing,
    /// A default role cannot be changed or deleted.
    RoleIsDefault,
    /// Users have this role; take it from them first.
    RoleInUse,
    /// The shop has as many roles as it may have.
    RoleLimitReached,
    /// Another role has this name.
    RoleNameTaken,
    /// There is no role with this id.
    RoleNotFound,
    /// A user has at least one role.
    RolesMissing,
    /// The token is malformed, expired, used or revoked.
    TokenInvalid,
    /// Too many failed attempts; wait before the next one.
    TooManyAttempts,
    /// There is no user with this id.
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
