//! Limits at the edge, for shops and for operators alike.

use async_graphql::Enum;

use crate::kernel::limits::LimitKind;

/// A limit of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "LimitKind")]
pub enum LimitKindValue {
    /// The number of books, archived ones included.
    Books,
    /// The number of operations that run at the same time, on each server.
    ConcurrentOperations,
    /// The number of background jobs that run at the same time.
    Jobs,
    /// The number of mutations a minute: each field of a mutation counts.
    MutationsPerMinute,
    /// The number of items on one page.
    PageSize,
    /// The number of points of query cost a minute.
    PointsPerMinute,
    /// The number of requests a minute, whatever they cost.
    RequestsPerMinute,
    /// The number of webhook endpoints.
    WebhookEndpoints,
    /// The share of the database while others want it too, relative to theirs.
    Weight,
}

impl From<LimitKind> for LimitKindValue {
    fn from(kind: LimitKind) -> Self {
        match kind {
            LimitKind::PointsPerMinute => Self::PointsPerMinute,
            LimitKind::RequestsPerMinute => Self::RequestsPerMinute,
            LimitKind::MutationsPerMinute => Self::MutationsPerMinute,
            LimitKind::ConcurrentOperations => Self::ConcurrentOperations,
            LimitKind::Books => Self::Books,
            LimitKind::WebhookEndpoints => Self::WebhookEndpoints,
            LimitKind::Jobs => Self::Jobs,
            LimitKind::PageSize => Self::PageSize,
            LimitKind::Weight => Self::Weight,
        }
    }
}

impl From<LimitKindValue> for LimitKind {
    fn from(kind: LimitKindValue) -> Self {
        match kind {
            LimitKindValue::PointsPerMinute => Self::PointsPerMinute,
            LimitKindValue::RequestsPerMinute => Self::RequestsPerMinute,
            LimitKindValue::MutationsPerMinute => Self::MutationsPerMinute,
            LimitKindValue::ConcurrentOperations => Self::ConcurrentOperations,
            LimitKindValue::Books => Self::Books,
            LimitKindValue::WebhookEndpoints => Self::WebhookEndpoints,
            LimitKindValue::Jobs => Self::Jobs,
            LimitKindValue::PageSize => Self::PageSize,
            LimitKindValue::Weight => Self::Weight,
        }
    }
}

/// A limit as a number of the API.
#[must_use]
pub fn number(limit: u32) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}
