//! Failures that a user can mend, one type for each domain's codes.

use async_graphql::resolver_utils::EnumType;
use async_graphql::{ID, Interface, SimpleObject};

use crate::failure::{Fact, Refusal};
use crate::tenant::catalog::error::CatalogErrorCode;
use crate::tenant::idempotency::Code;
use crate::tenant::identity::error::IdentityErrorCode;
use crate::tenant::orders::error::OrderErrorCode;
use crate::tenant::orders::order::graphql::OrderMoveValue;
use crate::tenant::orders::status::OrderMove;
use crate::tenant::settings::SettingErrorCode;
use crate::tenant::webhooks::WebhookErrorCode;

/// A failure that the user can mend. Outages and defects go to the top-level `errors` instead.
#[derive(Interface)]
#[graphql(
    field(name = "message", ty = "&String", desc = "The error in words, for people."),
    field(name = "path", ty = "&Option<Vec<String>>", desc = "The path to the argument or field that is wrong.")
)]
pub enum UserError {
    /// In the catalogue.
    Catalog(CatalogUserError),
    /// About people.
    Identity(IdentityUserError),
    /// About orders.
    Order(OrderUserError),
    /// About settings.
    Setting(SettingUserError),
    /// About webhooks.
    Webhook(WebhookUserError),
}

/// Declares a domain's user error. The text is what the version is with it.
macro_rules! user_error {
    ($(#[$doc:meta])* $name:ident($code:ty), $version:literal) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The code of the error, for programs.
            code: $code,
            /// The error in words, for people.
            message: String,
            /// The path to the argument or field that is wrong.
            path: Option<Vec<String>>,
            #[doc = $version]
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
    /// An error of a request to the catalogue.
    CatalogUserError(CatalogErrorCode),
    "The version as it is now, with `VERSION_CONFLICT`."
);
user_error!(
    /// An error of a request about the shop's people.
    IdentityUserError(IdentityErrorCode),
    "The version as it is now, with `VERSION_CONFLICT`."
);
user_error!(
    /// An error of a request about settings.
    SettingUserError(SettingErrorCode),
    "The version as it is now; null here, for settings have no versions."
);
user_error!(
    /// An error of a request about webhooks.
    WebhookUserError(WebhookErrorCode),
    "The version as it is now, with `VERSION_CONFLICT`."
);

/// An error of a request about orders.
#[derive(SimpleObject)]
pub struct OrderUserError {
    /// The code of the error, for programs.
    code: OrderErrorCode,
    /// The error in words, for people.
    message: String,
    /// The path to the argument or field that is wrong.
    path: Option<Vec<String>>,
    /// The version as it is now, with `VERSION_CONFLICT`.
    current_version: Option<i32>,
    /// The book, with `INSUFFICIENT_STOCK` and `BOOK_NOT_FOR_SALE`, if it is not the input that names it.
    book_id: Option<ID>,
    /// The number of copies that are left, with `INSUFFICIENT_STOCK`.
    available: Option<i32>,
    /// The moves that the order's status allows, with `MOVE_NOT_ALLOWED`.
    allowed_moves: Option<Vec<OrderMoveValue>>,
}

impl From<Refusal<OrderErrorCode>> for OrderUserError {
    fn from(refusal: Refusal<OrderErrorCode>) -> Self {
        let (mut book_id, mut available, mut allowed_moves) = (None, None, None);
        let current_version = refusal.current_version();
        match refusal.fact {
            Some(Fact::Stock(book, left)) => (book_id, available) = (Some(ID(book)), Some(left)),
            Some(Fact::Moves(names)) => {
                let moves = names.iter().filter_map(|name| OrderMove::of(name));
                allowed_moves = Some(moves.map(OrderMoveValue::from).collect());
            }
            Some(Fact::Version(_)) | None => {}
        }
        let path = Some(refusal.path.into_iter().map(Into::into).collect());
        Self { code: refusal.code, message: refusal.message, path, current_version, book_id, available, allowed_moves }
    }
}

/// Codes are kept by the names that the API has for them.
impl<C: EnumType + Sync> Code for C {
    fn name(self) -> &'static str {
        C::items().iter().find(|item| item.value == self).map_or("", |item| item.name)
    }

    fn of_name(name: &str) -> Option<Self> {
        C::items().iter().find(|item| item.name == name).map(|item| item.value)
    }
}
