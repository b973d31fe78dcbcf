//! A delivery as the shop sees it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::{webhook_attempts, webhook_deliveries};
use crate::kernel::ids::{EventId, WebhookDeliveryId, WebhookEndpointId};

/// What a test event is called.
pub const TEST_KIND: &str = "webhook.test";

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be sent, or to be sent once more.
    Pending,
    /// The endpoint has accepted it.
    Delivered,
    /// It was given up after its last attempt: a dead letter.
    Dead,
}

/// The text names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown state; use pending, delivered or dead")]
pub struct DeliveryStateError;

impl DeliveryState {
    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

impl FromStr for DeliveryState {
    type Err = DeliveryStateError;

    fn from_str(text: &str) -> Result<Self, DeliveryStateError> {
        let all = [Self::Pending, Self::Delivered, Self::Dead];
        all.into_iter().find(|state| state.as_str() == text).ok_or(DeliveryStateError)
    }
}

/// An event on its way to an endpoint.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = webhook_deliveries)]
pub struct Delivery {
    /// The delivery.
    #[diesel(deserialize_as = Uuid)]
    pub id: WebhookDeliveryId,
    /// To where.
    #[diesel(deserialize_as = Uuid)]
    pub endpoint_id: WebhookEndpointId,
    /// Of what: it is what `webhook-id` says, by each attempt.
    #[diesel(deserialize_as = Uuid)]
    pub event_id: EventId,
    /// The event's position; 0 of a test.
    pub position: i64,
    /// What happened.
    pub kind: String,
    /// The bytes that are signed and sent.
    pub body: Vec<u8>,
    /// How far it has come.
    pub state: String,
    /// Attempts since it was last begun.
    pub attempts: i16,
    /// All attempts.
    pub attempts_total: i32,
    /// When it is tried next.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What the last attempt was answered.
    pub status: Option<i16>,
    /// How long the last attempt took.
    pub latency_ms: Option<i32>,
    /// Why the last attempt was not answered.
    pub error: Option<String>,
    /// When the event became a delivery.
    pub created_at: DateTime<Utc>,
    /// When it was accepted or given up.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Delivery {
    /// How far it has come; dead, where a later release has written it.
    #[must_use]
    pub fn state(&self) -> DeliveryState {
        self.state.parse().unwrap_or(DeliveryState::Dead)
    }

    /// What the trail keeps of it.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({ "endpointId": self.endpoint_id.to_string(), "eventId": self.event_id.to_string(), "state": self.state })
    }
}

/// One attempt to deliver.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = webhook_attempts)]
pub struct Attempt {
    /// The delivery.
    #[diesel(deserialize_as = Uuid)]
    pub delivery_id: WebhookDeliveryId,
    /// From 1 up.
    pub number: i32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// What was answered.
    pub status: Option<i16>,
    /// Why nothing was answered.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: i32,
    /// The beginning of the answer.
    pub response: Option<String>,
}

/// Which deliveries.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Those to this endpoint.
    pub endpoint: Option<WebhookEndpointId>,
    /// Those that have come so far.
    pub state: Option<DeliveryState>,
    /// Those of events of this kind.
    pub kind: Option<String>,
    /// Those that were made then or later.
    pub from: Option<DateTime<Utc>>,
    /// Those that were made before.
    pub to: Option<DateTime<Utc>>,
}

impl DeliveryFilter {
    /// What a trail keeps of it.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({
            "state": self.state.map(DeliveryState::as_str), "eventType": self.kind, "from": self.from, "to": self.to,
        })
    }
}
