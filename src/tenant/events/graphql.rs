//! Events at the edge.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, ID, InputObject, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::model::{EventFilter, StoredEvent};
use super::{is_kind, service};
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::payload::into_error;
use crate::graphql::{ApiError, ApiResult, Shop};
use crate::kernel::actor::Permission;

/// The most types that one call names.
const TYPES_MAX: usize = 50;

/// Something that has happened in the shop.
pub struct EventNode(StoredEvent);

/// An event that has happened in the shop, as webhooks tell it too.
#[Object(name = "Event")]
impl EventNode {
    /// The event's id: the one that a webhook shows as `webhook-id`.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The event's place in the order of commits; a text, for it may outgrow `Int`.
    async fn position(&self) -> String {
        self.0.position.to_string()
    }

    /// The type of the event, as `order.placed`.
    #[graphql(name = "type")]
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The version of the data's shape; it goes up when a field changes its meaning or goes away.
    async fn version(&self) -> i32 {
        self.0.version.into()
    }

    /// The id of what it happened to.
    async fn entity_id(&self) -> ID {
        ID(self.0.entity.clone())
    }

    /// The data of the event, an object whose fields depend on the type: ids and numbers, nothing personal.
    async fn data(&self) -> Json<&Value> {
        Json(&self.0.data)
    }

    /// The time when it happened.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
}

/// A type of events.
#[derive(SimpleObject)]
pub struct EventType {
    /// The name of the type, as `order.placed`.
    name: &'static str,
    /// The occasion on which it happens.
    description: &'static str,
}

/// A filter of events. Fields that are given all apply.
#[derive(InputObject, Default)]
pub struct EventFilterInput {
    /// The types of the events.
    types: Option<Vec<String>>,
    /// The id of the object that they are about, of whichever type.
    entity_id: Option<ID>,
    /// The position after which events are listed, as a webhook's body tells it.
    after_position: Option<String>,
}

impl EventFilterInput {
    fn parse(self) -> ApiResult<EventFilter> {
        if let Some(types) = &self.types {
            if types.len() > TYPES_MAX {
                return Err(ApiError::bad_request(format!("A filter names at most {TYPES_MAX} types.")));
            }
            if let Some(unknown) = types.iter().find(|kind| !is_kind(kind)) {
                let unknown: String = unknown.chars().take(80).collect();
                return Err(ApiError::bad_request(format!("There is no event type `{unknown}`.")));
            }
        }
        let after = self.after_position.map(|text| text.parse::<i64>()).transpose();
        Ok(EventFilter {
            kinds: self.types,
            // PostgreSQL takes no NUL, and no id has one.
            entity: self.entity_id.map(|id| id.0.replace('\0', "")),
            after: after.map_err(|_| ApiError::bad_request("`afterPosition` is not a position."))?,
        })
    }
}

/// A place among the events.
pub struct EventCursor(i64);

impl CursorType for EventCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, position] = decode_parts(text).ok_or("malformed")?;
        let position = position.parse().map_err(|_| "malformed")?;
        if kind == "EVENT" { Ok(Self(position)) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["EVENT", &self.0.to_string()])
    }
}

/// Queries about events.
#[derive(Default)]
pub struct EventQuery;

#[Object]
impl EventQuery {
    /// Lists what has happened in the shop, the oldest first, in the order of commits: whoever pages on from the last
    /// cursor misses nothing, as long as events are kept. If `hasNextPage` is false, ask again with the last cursor
    /// later.
    #[graphql(directive = access::apply(needs(Permission::EventsRead)))]
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The events to list; all if it is absent.")] filter: Option<EventFilterInput>,
    ) -> ApiResult<Connection<EventCursor, EventNode>> {
        let shop = Shop::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<EventCursor>()?.map(|cursor| cursor.0);
        let filter = filter.unwrap_or_default().parse()?;
        let page = service::event_list(&shop.read().await?, shop.actor(), filter, page).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, EmptyFields, |event| (EventCursor(event.position), EventNode(event))))
    }

    /// Lists the types of events, which are what an endpoint may ask for.
    #[graphql(directive = access::apply(needs(Permission::EventsRead)))]
    async fn event_types(&self, ctx: &Context<'_>) -> ApiResult<Vec<EventType>> {
        let actor = Shop::of(ctx)?.actor();
        let types = service::event_types(actor).map_err(|failure| into_error(failure, actor))?;
        Ok(types.iter().map(|&(name, description)| EventType { name, description }).collect())
    }
}
