//! Payments at the edge.

use std::sync::Arc;

use async_graphql::{Enum, Object};
use chrono::{DateTime, Utc};

use super::model::{Payment, PaymentStatus};
use crate::graphql::scalars::Money;
use crate::graphql::{ApiError, ApiResult};

/// An attempt to be paid for an order.
pub struct PaymentNode(pub Arc<Payment>);

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "PaymentStatus", remote = "PaymentStatus")]
pub enum PaymentStatusValue {
    /// The money is reserved.
    Authorized,
    /// The money is taken; the order is about to be paid.
    Captured,
    /// The order is paid.
    Confirmed,
    /// It did not come about; `failure` says why, and another may be asked for.
    Failed,
    /// Asked for.
    Pending,
    /// The money is given back.
    Refunded,
    /// The money is about to be given back.
    Refunding,
    /// The order was given up, and what was reserved is free again.
    Voided,
}

/// An attempt to be paid for an order.
#[Object(name = "Payment")]
impl PaymentNode {
    /// How far it is.
    async fn status(&self) -> ApiResult<PaymentStatusValue> {
        self.0.status().map(PaymentStatusValue::from).ok_or_else(ApiError::internal)
    }

    /// The amount.
    async fn amount(&self) -> Option<Money> {
        self.0.amount().map(Money::from)
    }

    /// Why it failed.
    async fn failure(&self) -> Option<&str> {
        self.0.failure.as_deref()
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it last went on.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}
