//! An endpoint as the shop has it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::webhook_endpoints;
use crate::kernel::ids::WebhookEndpointId;
use crate::tenant::webhooks::breaker::{Breaker, BreakerState};

/// The most characters of a description.
pub const DESCRIPTION_LEN_MAX: usize = 500;

/// The most characters of a reason.
pub const REASON_LEN_MAX: usize = 500;

/// What must arrive in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// What happened to one entity.
    Entity,
    /// Everything.
    Endpoint,
    /// Nothing.
    None,
}

/// Whether an endpoint gets events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStatus {
    /// It gets them.
    Active,
    /// They wait for it.
    Suspended,
    /// They pass it by.
    Disabled,
}

/// The text is none that the table stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown word of an endpoint")]
pub struct EndpointWordError;

impl Ordering {
    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entity => "entity",
            Self::Endpoint => "endpoint",
            Self::None => "none",
        }
    }

    /// What has the same key arrives in order; nothing where it need not.
    #[must_use]
    pub fn key(self, entity: &str) -> Option<String> {
        match self {
            Self::Entity => Some(entity.to_owned()),
            Self::Endpoint => Some(String::new()),
            Self::None => None,
        }
    }
}

impl FromStr for Ordering {
    type Err = EndpointWordError;

    fn from_str(text: &str) -> Result<Self, EndpointWordError> {
        let all = [Self::Entity, Self::Endpoint, Self::None];
        all.into_iter().find(|ordering| ordering.as_str() == text).ok_or(EndpointWordError)
    }
}

impl EndpointStatus {
    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Disabled => "disabled",
        }
    }
}

impl FromStr for EndpointStatus {
    type Err = EndpointWordError;

    fn from_str(text: &str) -> Result<Self, EndpointWordError> {
        let all = [Self::Active, Self::Suspended, Self::Disabled];
        all.into_iter().find(|status| status.as_str() == text).ok_or(EndpointWordError)
    }
}

/// Where a shop has events sent.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = webhook_endpoints)]
pub struct Endpoint {
    /// The endpoint.
    #[diesel(deserialize_as = Uuid)]
    pub id: WebhookEndpointId,
    /// The address.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// The kinds of events that it gets; none: all.
    pub kinds: Vec<String>,
    /// What must arrive in order.
    pub ordering: String,
    /// Whether it gets events.
    pub status: String,
    /// Why not.
    pub status_reason: Option<String>,
    /// Since when.
    pub status_at: DateTime<Utc>,
    /// What signs, sealed.
    pub secret: Vec<u8>,
    /// What signed before the last rotation, sealed.
    pub previous_secret: Option<Vec<u8>>,
    /// Until when that one signs too.
    pub previous_expires_at: Option<DateTime<Utc>>,
    /// Headers that are sent along, sealed.
    pub headers: Option<Vec<u8>>,
    /// Events up to this position have become deliveries or were not wanted.
    pub cursor: i64,
    /// The breaker's state.
    pub breaker: String,
    /// Failures in a row.
    pub failures: i16,
    /// Until when nothing is sent.
    pub rests_until: Option<DateTime<Utc>>,
    /// Up to this position a backlog is sent no faster than is bearable.
    pub drain_to: i64,
    /// The one job that looks after it next.
    pub job_id: Option<Uuid>,
    /// It goes up with each change by a person.
    pub version: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed by a person.
    pub updated_at: DateTime<Utc>,
}

impl Endpoint {
    /// What must arrive in order; the strictest where a later release has written it.
    #[must_use]
    pub fn ordering(&self) -> Ordering {
        self.ordering.parse().unwrap_or(Ordering::Endpoint)
    }

    /// Whether it gets events; not, where a later release has written it.
    #[must_use]
    pub fn status(&self) -> EndpointStatus {
        self.status.parse().unwrap_or(EndpointStatus::Suspended)
    }

    /// Its breaker.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        let state = self.breaker.parse().unwrap_or(BreakerState::Open);
        Breaker { state, failures: self.failures, rests_until: self.rests_until }
    }

    /// The host of its address, for whom the rest is none of their business: it may hold a password.
    #[must_use]
    pub fn host(&self) -> String {
        let url = url::Url::parse(&self.url).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// What the trail keeps of it: neither its secrets nor its headers.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({
            // The rest of the address may hold a password, and a trail is for ever.
            "host": self.host(),
            "description": self.description,
            "eventTypes": self.kinds,
            "ordering": self.ordering,
            "hasHeaders": self.headers.is_some(),
            "status": self.status,
            "statusReason": self.status_reason,
            "previousSecretExpiresAt": self.previous_expires_at,
            "version": self.version,
        })
    }
}
