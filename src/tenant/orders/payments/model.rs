//! A payment as the tenant has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::payments;
use crate::kernel::ids::{OrderId, PaymentId};
use crate::kernel::money::Money;

/// An attempt to be paid for an order.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = payments)]
pub struct Payment {
    /// The payment; the provider knows it by this.
    #[diesel(deserialize_as = Uuid)]
    pub id: PaymentId,
    /// The order.
    #[diesel(deserialize_as = Uuid)]
    pub order_id: OrderId,
    /// How far it is, as text.
    pub status: String,
    /// The amount in minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: String,
    /// What the provider calls it.
    pub reference: Option<String>,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last went on.
    pub updated_at: DateTime<Utc>,
    /// The provider's name of the account that takes it; nothing before that is known, and where an older release began it.
    pub account: Option<String>,
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentStatus {
    /// Asked for.
    Pending,
    /// The money is reserved.
    Authorized,
    /// The money is taken.
    Captured,
    /// The order is paid.
    Confirmed,
    /// It did not come about.
    Failed,
    /// What was reserved is free again.
    Voided,
    /// The money is to be given back.
    Refunding,
    /// The money is given back.
    Refunded,
}

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Authorized,
        Self::Captured,
        Self::Confirmed,
        Self::Failed,
        Self::Voided,
        Self::Refunding,
        Self::Refunded,
    ];

    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
            Self::Voided => "voided",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }

    /// The status of a text, if this release knows it.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl Payment {
    /// How far it is, if this release knows.
    #[must_use]
    pub fn status(&self) -> Option<PaymentStatus> {
        PaymentStatus::of(&self.status)
    }

    /// The amount.
    #[must_use]
    pub fn amount(&self) -> Option<Money> {
        Money::from_minor(self.amount_minor, self.currency.parse().ok()?).ok()
    }

    /// What the trail keeps of it.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({
            "orderId": self.order_id.to_string(),
            "status": self.status,
            "amountMinor": self.amount_minor,
            "currency": self.currency,
            "reference": self.reference,
            "failure": self.failure,
            "account": self.account,
        })
    }
}
