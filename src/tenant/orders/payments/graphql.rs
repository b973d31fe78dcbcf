//! Payments at the edge.

use std::sync::Arc;

use async_graphql::{Enum, Object};
use chrono::{DateTime, Utc};

use super::model::{Payment, PaymentStatus};
use crate::graphql::scalars::Money;
use crate::graphql::{ApiError, ApiResult};

/// A payment for an order: an attempt to take the money.
pub struct PaymentNode(pub Arc<Payment>);

/// The status of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "PaymentStatus", remote = "PaymentStatus")]
pub enum PaymentStatusValue {
    /// The money is reserved.
    Authorized,
    /// The money is taken; the order is about to be paid.
    Captured,
    /// The order is paid.
    Confirmed,
    /// The payment failed; `failure` says why, and another may be asked for.
    Failed,
    /// The payment is asked for.
    Pending,
    /// The money is given back.
    Refunded,
    /// The money is about to be given back.
    Refunding,
    /// The order was cancelled, and the reserved money is free again.
    Voided,
}

/// A payment for an order: an attempt to take the money.
#[Object(name = "Payment")]
impl PaymentNode {
    /// The status of the payment.
    async fn status(&self) -> ApiResult<PaymentStatusValue> {
        self.0.status().map(PaymentStatusValue::from).ok_or_else(ApiError::internal)
    }

    /// The amount.
    async fn amount(&self) -> Option<Money> {
        self.0.amount().map(Money::from)
    }

    /// The reason why the payment failed.
    async fn failure(&self) -> Option<&str> {
        self.0.failure.as_deref()
    }

    /// The time when the payment was asked for.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time of its last progress.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}
