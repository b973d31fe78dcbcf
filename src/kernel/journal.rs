//! What a transaction leaves beside the rows that it changes: an entry for the trail, and events for whoever reacts.
//!
//! Services note both as they work; they are written down together, last of all, in the same transaction.

use std::fmt::Display;

use serde_json::Value;
use uuid::Uuid;

/// What has been noted and is yet to be written down.
#[derive(Debug, Default)]
pub struct Journal {
    change: Option<Change>,
    events: Vec<Event>,
}

/// What became of an entity: one for each mutation.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The entity's id.
    pub entity: String,
    /// What it was; nothing for a new one.
    pub before: Option<Value>,
    /// What it is; nothing for one that is gone.
    pub after: Option<Value>,
    /// What is known of people by it, which is kept sealed.
    pub personal: Option<Value>,
}

/// Something that has happened in the shop, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event.
    pub id: Uuid,
    /// What happened, as `order.placed`.
    pub kind: &'static str,
    /// The version of the data's shape, from 1 up.
    pub version: i16,
    /// The id of the entity that it happened to.
    pub entity: String,
    /// What is told of it; nothing personal.
    pub data: Value,
}

impl Change {
    /// A new entity.
    #[must_use]
    pub fn created(entity: impl Display, after: Value) -> Self {
        Self { entity: entity.to_string(), before: None, after: Some(after), personal: None }
    }

    /// An entity that is another than it was.
    #[must_use]
    pub fn changed(entity: impl Display, before: Value, after: Value) -> Self {
        Self { entity: entity.to_string(), before: Some(before), after: Some(after), personal: None }
    }

    /// An entity that is gone.
    #[must_use]
    pub fn removed(entity: impl Display, before: Value) -> Self {
        Self { entity: entity.to_string(), before: Some(before), after: None, personal: None }
    }

    /// Something done to an entity that leaves its own data as they are.
    #[must_use]
    pub fn done(entity: impl Display) -> Self {
        Self { entity: entity.to_string(), before: None, after: None, personal: None }
    }

    /// The same, with what is known of people by it.
    #[must_use]
    pub fn with_personal(mut self, personal: Value) -> Self {
        self.personal = Some(personal);
        self
    }
}

impl Journal {
    /// Notes what became of the entity that the mutation is about. A later note takes the place of an earlier one.
    pub fn note(&mut self, change: Change) {
        self.change = Some(change);
    }

    /// Notes that something has happened.
    pub fn publish(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Takes what was noted, to write it down.
    pub fn take(&mut self) -> (Option<Change>, Vec<Event>) {
        (self.change.take(), std::mem::take(&mut self.events))
    }

    /// Whether nothing waits to be written down.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.change.is_none() && self.events.is_empty()
    }
}
