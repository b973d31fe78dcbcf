//! What a user can do wrong with webhooks: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// An error of a request about webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum WebhookErrorCode {
    /// No delivery has this id.
    DeliveryNotFound,
    /// The delivery is on its way already, so it is not sent once more.
    DeliveryPending,
    /// The description is too long.
    DescriptionInvalid,
    /// The shop has as many endpoints as it may have.
    EndpointLimitReached,
    /// The endpoint is not active; resume it first.
    EndpointNotActive,
    /// No endpoint has this id.
    EndpointNotFound,
    /// No type of event has this name.
    EventTypeUnknown,
    /// A header's name or value is malformed, or not yours to set.
    HeaderInvalid,
    /// The overlap is out of bounds.
    OverlapInvalid,
    /// The reason is blank or too long.
    ReasonInvalid,
    /// The time range is empty.
    TimeRangeInvalid,
    /// The address is malformed, or leads where no server of ours may go.
    UrlInvalid,
    /// The endpoint was changed since the version that the call names.
    VersionConflict,
}

/// Why a call about webhooks failed.
pub type WebhookError = Failure<WebhookErrorCode>;

/// A reason that a user can mend.
pub type WebhookRefusal = Refusal<WebhookErrorCode>;
