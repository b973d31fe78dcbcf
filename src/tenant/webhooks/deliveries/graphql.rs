//! Deliveries at the edge.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::{Attempt, Delivery, DeliveryFilter, DeliveryState};
use super::service;
use crate::db::{DbError, TenantRead};
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::loaders::load;
use crate::graphql::payload::{into_error, into_payload, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::WebhookUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey, Shop};
use crate::kernel::actor::{Actor, Permission};
use crate::tenant::idempotency::Recall;
use crate::tenant::webhooks::endpoints::graphql::WebhookEndpointNode;
use crate::tenant::webhooks::endpoints::model::Endpoint;
use crate::tenant::webhooks::{WebhookError, WebhookErrorCode};

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "DeliveryState")]
pub enum WebhookDeliveryState {
    /// A dead letter: given up after its last attempt. It can be replayed.
    Dead,
    /// The endpoint has accepted it.
    Delivered,
    /// The delivery is to be sent, or to be sent once more.
    Pending,
}

/// An event on its way to an endpoint.
pub struct WebhookDeliveryNode(pub Delivery);

impl From<Delivery> for WebhookDeliveryNode {
    fn from(delivery: Delivery) -> Self {
        Self(delivery)
    }
}

/// An attempt to deliver.
pub struct WebhookAttemptNode(Attempt);

/// An attempt to deliver.
#[Object(name = "WebhookAttempt")]
impl WebhookAttemptNode {
    /// The number of the attempt, from 1 up.
    async fn number(&self) -> i32 {
        self.0.number
    }

    /// The time when the attempt began.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }

    /// The HTTP status that was answered; null where nothing was.
    async fn status(&self) -> Option<i32> {
        self.0.status.map(Into::into)
    }

    /// The reason why there was no answer.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// The duration of the attempt, in milliseconds.
    async fn latency_ms(&self) -> i32 {
        self.0.latency_ms
    }

    /// The beginning of what was answered, at most 1,024 bytes.
    async fn response_excerpt(&self) -> Option<&str> {
        self.0.response.as_deref()
    }
}

/// An event on its way to an endpoint.
#[Object(name = "WebhookDelivery")]
impl WebhookDeliveryNode {
    /// The delivery's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The endpoint that it goes to. A deleted endpoint takes its deliveries along, so it is null only while that
    /// happens.
    async fn endpoint(&self, ctx: &Context<'_>) -> ApiResult<Option<WebhookEndpointNode>> {
        let endpoint = load(&Shop::of(ctx)?.loaders().endpoint_by_id, self.0.endpoint_id).await?;
        Ok(endpoint.map(WebhookEndpointNode))
    }

    /// The event's id, which each attempt shows as `webhook-id`.
    async fn event_id(&self) -> ID {
        ID(self.0.event_id.to_string())
    }

    /// The type of the event, as `order.placed`.
    async fn event_type(&self) -> &str {
        &self.0.kind
    }

    /// The body that is sent, byte by byte.
    async fn body(&self) -> String {
        String::from_utf8_lossy(&self.0.body).into_owned()
    }

    /// The state of the delivery.
    async fn state(&self) -> WebhookDeliveryState {
        self.0.state().into()
    }

    /// The number of attempts so far.
    async fn attempt_count(&self) -> i32 {
        self.0.attempts_total
    }

    /// The time of the next attempt, if nothing holds it up.
    async fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        self.0.next_attempt_at
    }

    /// The HTTP status that the last attempt was answered.
    async fn status(&self) -> Option<i32> {
        self.0.status.map(Into::into)
    }

    /// The reason why the last attempt had no answer.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// The duration of the last attempt, in milliseconds.
    async fn latency_ms(&self) -> Option<i32> {
        self.0.latency_ms
    }

    /// The attempts, the newest first, at most 20.
    async fn attempts(&self, ctx: &Context<'_>) -> ApiResult<Vec<WebhookAttemptNode>> {
        let attempts = load(&Shop::of(ctx)?.loaders().attempts_by_delivery, self.0.id).await?;
        Ok(attempts.iter().cloned().map(WebhookAttemptNode).collect())
    }

    /// The time when the event became a delivery.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when it was accepted or given up.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }
}

/// A filter of deliveries. Fields that are given all apply.
#[derive(InputObject, Default)]
#[graphql(name = "WebhookDeliveryFilter")]
pub struct WebhookDeliveryFilterInput {
    /// The endpoint of the deliveries.
    endpoint_id: Option<ID>,
    /// The state of the deliveries.
    state: Option<WebhookDeliveryState>,
    /// The type of the events.
    event_type: Option<String>,
    /// The start of the time range: deliveries that were made at or after this time.
    from: Option<DateTime<Utc>>,
    /// The end of the time range: deliveries that were made before this time.
    to: Option<DateTime<Utc>>,
}

impl WebhookDeliveryFilterInput {
    fn parse(self) -> ApiResult<DeliveryFilter> {
        Ok(DeliveryFilter {
            endpoint: self.endpoint_id.as_ref().map(parse_id).transpose()?,
            state: self.state.map(Into::into),
            kind: self.event_type.map(|kind| kind.replace('\0', "")),
            from: self.from,
            to: self.to,
        })
    }
}

/// A choice of deliveries to send once more. Fields that are given all apply.
#[derive(InputObject)]
pub struct WebhookDeliveriesReplayInput {
    /// The endpoint of the deliveries.
    endpoint_id: ID,
    /// The state of the deliveries: `DEAD` or `DELIVERED`; both if it is not given. `PENDING` is refused.
    state: Option<WebhookDeliveryState>,
    /// The type of the events.
    event_type: Option<String>,
    /// The start of the time range: deliveries that were made at or after this time.
    from: Option<DateTime<Utc>>,
    /// The end of the time range: deliveries that were made before this time.
    to: Option<DateTime<Utc>>,
}

/// A place in a list of deliveries.
pub struct DeliveryCursor(Uuid);

impl CursorType for DeliveryCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, id] = decode_parts(text).ok_or("malformed")?;
        let id = id.parse().map_err(|_| "malformed")?;
        if kind == "DELIVERY" { Ok(Self(id)) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["DELIVERY", &self.0.to_string()])
    }
}

/// Queries about deliveries.
#[derive(Default)]
pub struct WebhookDeliveryQuery;

#[Object]
impl WebhookDeliveryQuery {
    /// A delivery by id.
    #[graphql(directive = access::apply(needs(Permission::WebhooksRead)))]
    async fn webhook_delivery(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<WebhookDeliveryNode>> {
        let shop = Shop::of(ctx)?;
        let delivery = service::delivery_by_id(&shop.read().await?, shop.actor(), parse_id(&id)?).await;
        let delivery = delivery.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(delivery.map(WebhookDeliveryNode))
    }

    /// Lists deliveries, the newest first. Events that have not been taken up yet are counted by the endpoint's
    /// backlog.
    #[graphql(directive = access::apply(needs(Permission::WebhooksRead)))]
    async fn webhook_deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The deliveries to list; all if it is absent.")] filter: Option<WebhookDeliveryFilterInput>,
    ) -> ApiResult<Connection<DeliveryCursor, WebhookDeliveryNode>> {
        let shop = Shop::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<DeliveryCursor>()?.map(|cursor| cursor.0);
        let filter = filter.unwrap_or_default().parse()?;
        let page = service::delivery_list(&shop.read().await?, shop.actor(), filter, page).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, EmptyFields, |delivery| (DeliveryCursor(delivery.id.0), WebhookDeliveryNode(delivery))))
    }
}

payload!(
    /// The answer to `webhookDeliveryReplay`.
    WebhookDeliveryReplayPayload {
        /// The delivery as it is now.
        webhook_delivery: WebhookDeliveryNode(Delivery)
    },
    WebhookUserError(WebhookErrorCode)
);

/// The answer to `webhookDeliveriesReplay`.
#[derive(SimpleObject)]
pub struct WebhookDeliveriesReplayPayload {
    /// The endpoint that they go to.
    webhook_endpoint: Option<WebhookEndpointNode>,
    /// The number of deliveries that are sent once more; if it is 10,000 there may be others. Null in the answer to a
    /// repeated request.
    count: Option<i32>,
    /// The reasons why nothing was done; empty on success.
    user_errors: Vec<WebhookUserError>,
}

/// An endpoint, and how many deliveries were begun anew: known to the call that did it.
struct Replayed(Endpoint, Option<usize>);

impl Recall for Replayed {
    fn id(&self) -> Uuid {
        self.0.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        Ok(Endpoint::recall(read, id).await?.map(|endpoint| Self(endpoint, None)))
    }
}

impl WebhookDeliveriesReplayPayload {
    fn new(result: Result<Replayed, WebhookError>, actor: &Actor) -> ApiResult<Self> {
        let (replayed, refusals) = into_payload(result, actor)?;
        let user_errors = refusals.into_iter().map(WebhookUserError::from).collect();
        let (endpoint, count) = replayed.map(|Replayed(endpoint, count)| (endpoint, count)).unzip();
        let count = count.flatten().map(|count| i32::try_from(count).unwrap_or(i32::MAX));
        Ok(Self { webhook_endpoint: endpoint.map(WebhookEndpointNode), count, user_errors })
    }
}

/// Mutations of deliveries.
#[derive(Default)]
pub struct WebhookDeliveryMutation;

#[Object]
impl WebhookDeliveryMutation {
    /// Sends a finished delivery once more, under the same `webhook-id` and with all its attempts: a receiver that has seen it
    /// knows it again.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_delivery_replay(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookDeliveryReplayPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::delivery_replay(tx, call.actor(), call.request.clock(), id).await;
        let replayed = call.write("webhook_delivery.replay", Permission::WebhooksWrite, work).await;
        WebhookDeliveryReplayPayload::new(replayed, call.actor())
    }

    /// Sends finished deliveries once more, the oldest first, up to 10,000 of them.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_deliveries_replay(
        &self,
        ctx: &Context<'_>,
        input: WebhookDeliveriesReplayInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookDeliveriesReplayPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let endpoint = parse_id(&input.endpoint_id)?;
        let filter = DeliveryFilter {
            endpoint: Some(endpoint),
            state: input.state.map(Into::into),
            kind: input.event_type.map(|kind| kind.replace('\0', "")),
            from: input.from,
            to: input.to,
        };
        let work = async |tx: &mut _| {
            let (actor, clock) = (call.actor(), call.request.clock());
            let (endpoint, count) = service::deliveries_replay(tx, actor, clock, endpoint, filter).await?;
            Ok(Replayed(endpoint, Some(count)))
        };
        let replayed = call.write("webhook_endpoint.replay", Permission::WebhooksWrite, work).await;
        WebhookDeliveriesReplayPayload::new(replayed, call.actor())
    }
}
