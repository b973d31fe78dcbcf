//! What a user can do wrong with orders: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// An error of a request about orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum OrderErrorCode {
    /// The postal address is too long.
    AddressInvalid,
    /// The book has no price, or is archived.
    BookNotForSale,
    /// No book has this id.
    BookNotFound,
    /// No customer has this e-mail address.
    CustomerNotFound,
    /// The text is not an e-mail address.
    EmailInvalid,
    /// The stock has fewer copies than are ordered; `bookId` and `available` tell of which book and how many are left.
    InsufficientStock,
    /// The order has as many lines as one may have.
    LineLimitReached,
    /// The order's status does not allow this; `allowedMoves` tells what it allows.
    MoveNotAllowed,
    /// The name is blank or too long.
    NameInvalid,
    /// The order has no lines.
    OrderEmpty,
    /// No order has this id.
    OrderNotFound,
    /// A payment is under way already.
    PaymentInProgress,
    /// No payment provider is configured.
    PaymentUnavailable,
    /// The quantity is too small or too large, or a book is named twice.
    QuantityInvalid,
    /// The order was handed over longer ago than `orders.refund_days` allows.
    RefundPeriodOver,
    /// The total is more than an amount can be.
    TotalTooLarge,
    /// The entity was changed since the version that the call names.
    VersionConflict,
}

/// Why a call about orders failed.
pub type OrderError = Failure<OrderErrorCode>;

/// A reason that a user can mend.
pub type OrderRefusal = Refusal<OrderErrorCode>;
