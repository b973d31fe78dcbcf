//! What an operator can do wrong in the control plane: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// What is wrong with a request to the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum ControlErrorCode {
    /// There is no archive with this id.
    ArchiveNotFound,
    /// The archive's state does not allow this.
    ArchiveStatusConflict,
    /// No tenant can be made of the archive, or not by this release.
    ArchiveUnsuitable,
    /// The day of an extension is not one that may be given.
    DeprecationExtensionInvalid,
    /// The tenant was given no more time for the part.
    DeprecationExtensionNotFound,
    /// Nothing that goes away has this coordinate.
    DeprecationNotFound,
    /// The end is not in the future, or too far in it.
    EndInvalid,
    /// There is no job with this id, or none any more.
    JobNotFound,
    /// The job's state does not allow this.
    JobStateConflict,
    /// The limit is out of bounds.
    LimitInvalid,
    /// Nothing is agreed with the tenant about this limit.
    LimitOverrideNotFound,
    /// There is nothing to do.
    MigrationNothingToDo,
    /// An option of the run breaks a bound.
    MigrationOptionsInvalid,
    /// There is no run with this id, or none at all.
    MigrationRunNotFound,
    /// The run's state does not allow this.
    MigrationRunStatusConflict,
    /// Another run has not ended.
    MigrationRunUnfinished,
    /// A migration does what it must not.
    MigrationsUnsafe,
    /// The account is in use already.
    AdminIsActive,
    /// The slug breaks the rules of slugs.
    SlugInvalid,
    /// The slug is one of the platform's own names.
    SlugReserved,
    /// Another tenant has the slug.
    SlugTaken,
    /// The name is blank or too long.
    NameInvalid,
    /// There is no plan with this code.
    PlanNotFound,
    /// The owner's e-mail address is not one.
    OwnerEmailInvalid,
    /// No currency that shops trade in has this code.
    CurrencyInvalid,
    /// The reason is blank or too long.
    ReasonInvalid,
    /// The flag has no owner, or no day by which it goes.
    FlagIncomplete,
    /// This release has no flag of this name.
    FlagNotFound,
    /// The percent are none: 0 to 100.
    PercentInvalid,
    /// The setting is a secret, which operators do not set.
    SettingIsSecret,
    /// The value is none of the setting's: of another type, or out of bounds.
    SettingValueInvalid,
    /// The tenant has as many keys as it may have.
    TenantKeyLimit,
    /// The tenant's schema is not at the newest version yet.
    TenantBehind,
    /// The tenant's keys are destroyed, and its deletion cannot be called off.
    TenantDeletionBegun,
    /// There is no tenant with this slug.
    TenantNotFound,
    /// The tenant's status does not allow this.
    TenantStatusConflict,
    /// The administrator's account is disabled; enable it first.
    AdminIsDisabled,
    /// The caller cannot do this to their own account.
    AdminIsSelf,
    /// There are as many administrators as there may be.
    AdminLimitReached,
    /// There is no administrator with this id or address.
    AdminNotFound,
    /// The e-mail address, the password or both are wrong, or the account cannot log in.
    CredentialsInvalid,
    /// The text is not an e-mail address.
    EmailInvalid,
    /// The last administrator who can log in cannot be disabled.
    LastAdmin,
    /// The password is too short, too long or too plain.
    PasswordInvalid,
    /// The token is malformed, expired, used or revoked.
    TokenInvalid,
    /// The time range is empty.
    TimeRangeInvalid,
    /// Too many failed attempts; wait before the next one.
    TooManyAttempts,
    /// The tenant has no delivery with this id.
    WebhookDeliveryNotFound,
    /// The delivery is on its way already.
    WebhookDeliveryPending,
    /// The tenant has no endpoint with this id.
    WebhookEndpointNotFound,
}

/// Why a call to the control plane failed.
pub type ControlError = Failure<ControlErrorCode>;

/// A reason that an operator can mend.
pub type ControlRefusal = Refusal<ControlErrorCode>;
