//! What an operator can do wrong in the control plane: one variant for each code of the API.

use crate::failure::Failure;

/// What is wrong with a request to the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum ControlErrorCode {
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
    /// There is no tenant with this slug.
    TenantNotFound,
    /// The tenant's status does not allow this.
    TenantStatusConflict,
}

/// Why a call to the control plane failed.
pub type ControlError = Failure<ControlErrorCode>;
