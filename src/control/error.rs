//! What an operator can do wrong in the control plane: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// An error of a request to the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum ControlErrorCode {
    /// No archive has this id.
    ArchiveNotFound,
    /// The archive's state does not allow this.
    ArchiveStatusConflict,
    /// The archive cannot be made a tenant of, or not by this release.
    ArchiveUnsuitable,
    /// The day of an extension is not one that may be given.
    DeprecationExtensionInvalid,
    /// The tenant was given no more time for the part.
    DeprecationExtensionNotFound,
    /// No deprecated part has this coordinate.
    DeprecationNotFound,
    /// The end is not in the future, or too far in it.
    EndInvalid,
    /// No job has this id, or none any more.
    JobNotFound,
    /// The job's state does not allow this.
    JobStateConflict,
    /// The limit is out of bounds.
    LimitInvalid,
    /// No limit of this kind was agreed with the tenant.
    LimitOverrideNotFound,
    /// The run would have nothing to do.
    MigrationNothingToDo,
    /// An option of the run breaks a bound.
    MigrationOptionsInvalid,
    /// No run has this id, or none exists at all.
    MigrationRunNotFound,
    /// The run's state does not allow this.
    MigrationRunStatusConflict,
    /// An earlier run has not ended.
    MigrationRunUnfinished,
    /// A migration does what it must not.
    MigrationsUnsafe,
    /// The account is in use already.
    AdminIsActive,
    /// The slug breaks the rules of slugs.
    SlugInvalid,
    /// The slug is one of the platform's own names.
    SlugReserved,
    /// A tenant with this slug exists already.
    SlugTaken,
    /// The name is blank or too long.
    NameInvalid,
    /// No plan has this code.
    PlanNotFound,
    /// The owner's e-mail address is malformed.
    OwnerEmailInvalid,
    /// The text is not the code of a currency that shops trade in.
    CurrencyInvalid,
    /// The reason is blank or too long.
    ReasonInvalid,
    /// The flag has no owner, or no day by which it goes.
    FlagIncomplete,
    /// No flag of this release has this name.
    FlagNotFound,
    /// The percentage is not between 0 and 100.
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
    /// No tenant has this slug.
    TenantNotFound,
    /// The tenant's status does not allow this.
    TenantStatusConflict,
    /// The administrator's account is disabled; enable it first.
    AdminIsDisabled,
    /// The caller cannot do this to their own account.
    AdminIsSelf,
    /// The platform has as many administrators as it may have.
    AdminLimitReached,
    /// No administrator has this id or address.
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
    /// The limit of failed attempts is reached; wait before the next one.
    TooManyAttempts,
    /// The tenant has no delivery with this id.
    WebhookDeliveryNotFound,
    /// The delivery is on its way already, so it is not sent once more.
    WebhookDeliveryPending,
    /// The tenant has no endpoint with this id.
    WebhookEndpointNotFound,
}

/// Why a call to the control plane failed.
pub type ControlError = Failure<ControlErrorCode>;

/// A reason that an operator can mend.
pub type ControlRefusal = Refusal<ControlErrorCode>;
