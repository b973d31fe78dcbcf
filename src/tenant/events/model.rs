//! An event as it is read again.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::tenant::events;
use crate::kernel::ids::EventId;

/// Something that has happened.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = events)]
pub struct StoredEvent {
    /// Its place in the order of commits, from 1 up.
    pub position: i64,
    /// The event.
    #[diesel(deserialize_as = Uuid)]
    pub id: EventId,
    /// What happened.
    pub kind: String,
    /// The version of its data.
    pub version: i16,
    /// To what it happened.
    pub entity: String,
    /// What is told.
    pub data: Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Those of these kinds.
    pub kinds: Option<Vec<String>>,
    /// Those about this entity.
    pub entity: Option<String>,
    /// Those behind this position.
    pub after: Option<i64>,
}
