//! Failures that a user can mend, one type for each domain's codes.

use async_graphql::resolver_utils::EnumType;
use async_graphql::{Interface, SimpleObject};

use crate::failure::Refusal;
use crate::tenant::catalog::error::CatalogErrorCode;
use crate::tenant::idempotency::Code;
use crate::tenant::identity::error::IdentityErrorCode;

/// A failure that the user can mend. Outages and defects go to the top-level `errors` instead.
#[derive(Interface)]
#[graphql(
    field(name = "message", ty = "&String", desc = "What is wrong, for people."),
    field(name = "path", ty = "&Option<Vec<String>>", desc = "Which argument or field of the input is wrong.")
)]
pub enum UserError {
    /// In the catalogue.
    Catalog(CatalogUserError),
    /// About people.
    Identity(IdentityUserError),
}

/// Declares a domain's user error.
macro_rules! user_error {
    ($(#[$doc:meta])* $name:ident($code:ty)) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// What is wrong, for programs.
            code: $code,
            /// What is wrong, for people.
            message: String,
            /// Which argument or field of the input is wrong.
            path: Option<Vec<String>>,
            /// With `VERSION_CONFLICT`: the version as it is now.
            current_version: Option<i32>,
        }

        impl From<Refusal<$code>> for $name {
            fn from(refusal: Refusal<$code>) -> Self {
                Self {
                    current_version: refusal.current_version(),
                    code: refusal.code,
                    message: refusal.message,
                    path: Some(refusal.path.into_iter().map(Into::into).collect()),
                }
            }
        }
    };
}

user_error!(
    /// What is wrong with a request to the catalogue.
    CatalogUserError(CatalogErrorCode)
);
user_error!(
    /// What is wrong with a request about the shop's people.
    IdentityUserError(IdentityErrorCode)
);

/// Codes are kept by the names that the API has for them.
impl<C: EnumType + Sync> Code for C {
    fn name(self) -> &'static str {
        C::items().iter().find(|item| item.value == self).map_or("", |item| item.name)
    }

    fn of_name(name: &str) -> Option<Self> {
        C::items().iter().find(|item| item.name == name).map(|item| item.value)
    }
}
