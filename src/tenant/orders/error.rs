//! What a user can do wrong with orders: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// What is wrong with a request about orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum OrderErrorCode {
    /// The postal address is too long.
    AddressInvalid,
    /// The book has no price, or is archived.
    BookNotForSale,
    /// There is no book with this id.
    BookNotFound,
    /// No customer has this e-mail address.
    CustomerNotFound,
    /// The text is not an e-mail address.
    EmailInvalid,
    /// There are fewer copies in stock than are ordered; `bookId` and `available` tell of which and how many.
    InsufficientStock,
    /// The order has as many lines as one may have.
    LineLimitReached,
    /// The order cannot be moved so from where it is; `allowedMoves` tells what it can.
    MoveNotAllowed,
    /// The name is blank or too long.
    NameInvalid,
    /// The order has no lines.
    OrderEmpty,
    /// There is no order with this id.
    OrderNotFound,
    /// A payment is under way already.
    PaymentInProgress,
    /// Nobody takes payments here.
    PaymentUnavailable,
    /// The quantity is below zero or too large, or a book is named twice.
    QuantityInvalid,
    /// The order was handed over longer ago than the shop pays back.
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
