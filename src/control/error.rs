//! What an operator can do wrong in the control plane: one variant for each code of the API.

use crate::db::DbError;

/// A request that an operator can mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, for programs.
    pub code: ControlErrorCode,
    /// What is wrong, for people.
    pub message: String,
    /// Where in the input.
    pub path: Vec<&'static str>,
}

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
    /// There is no tenant with this slug.
    TenantNotFound,
    /// The tenant's status does not allow this.
    TenantStatusConflict,
}

/// Why a call to the control plane failed.
#[derive(Debug, Clone)]
pub enum ControlError {
    /// The operator can mend it.
    Refused(Vec<Refusal>),
    /// The database failed.
    Db(DbError),
}

impl ControlError {
    /// A refusal for one reason.
    #[must_use]
    pub fn refused(code: ControlErrorCode, message: impl Into<String>, path: &[&'static str]) -> Self {
        Self::Refused(vec![Refusal { code, message: message.into(), path: path.to_vec() }])
    }
}

impl From<DbError> for ControlError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}
