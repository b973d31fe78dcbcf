//! Tenants' webhooks at the operators' edge. What deliveries carry is not shown: it is the shop's.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::{Trouble, TroubleKey};
use super::operations::Desk;
use super::service;
use crate::control::error::ControlErrorCode;
use crate::control::graphql::ControlUserError;
use crate::failure::Failure;
use crate::graphql::access::{access, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::payload::{into_error, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;
use crate::tenant::webhooks::breaker::BreakerState;
use crate::tenant::webhooks::deliveries::graphql::WebhookDeliveryState;
use crate::tenant::webhooks::deliveries::model::{Delivery, DeliveryFilter};
use crate::tenant::webhooks::endpoints::graphql::{WebhookBreakerState, WebhookEndpointStatus};
use crate::tenant::webhooks::endpoints::model::Endpoint;

/// A webhook endpoint of a tenant, as operators see it.
pub struct TenantWebhookEndpointNode {
    endpoint: Endpoint,
    backlog: i64,
}

/// A webhook endpoint of a tenant, as operators see it.
#[Object(name = "TenantWebhookEndpoint")]
impl TenantWebhookEndpointNode {
    /// The endpoint's id.
    async fn id(&self) -> ID {
        ID(self.endpoint.id.to_string())
    }

    /// The host of its address; the rest may hold a password, and is the shop's to see.
    async fn host(&self) -> String {
        self.endpoint.host()
    }

    /// The status of the endpoint.
    async fn status(&self) -> WebhookEndpointStatus {
        self.endpoint.status().into()
    }

    /// The reason why it is suspended or disabled.
    async fn suspension_reason(&self) -> Option<&str> {
        self.endpoint.status_reason.as_deref()
    }

    /// The time since which it has this status.
    async fn status_changed_at(&self) -> DateTime<Utc> {
        self.endpoint.status_at
    }

    /// The state of its circuit breaker.
    async fn breaker_state(&self) -> WebhookBreakerState {
        self.endpoint.breaker().state.into()
    }

    /// The number of failures in a row. Five open the breaker, ten suspend the endpoint.
    async fn failure_count(&self) -> i32 {
        self.endpoint.failures.into()
    }

    /// The time until which nothing is sent, because the breaker is open or the endpoint asked for it.
    async fn rests_until(&self) -> Option<DateTime<Utc>> {
        self.endpoint.rests_until
    }

    /// The number of events that wait for it; if it is 10,000 there may be more.
    async fn backlog_count(&self) -> i64 {
        self.backlog
    }
}

/// The trouble that an endpoint is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum WebhookTroubleState {
    /// The endpoint failed, has rested, and is probed by one delivery.
    HalfOpen,
    /// The endpoint failed too often, and rests.
    Open,
    /// The endpoint is sent nothing until somebody resumes it.
    Suspended,
}

/// An endpoint of any tenant that is not well.
pub struct WebhookTroubleNode(Trouble);

/// An endpoint of any tenant that is not well.
#[Object(name = "WebhookTrouble")]
impl WebhookTroubleNode {
    /// The slug of the tenant.
    async fn tenant_slug(&self) -> &str {
        &self.0.tenant
    }

    /// The endpoint's id.
    async fn endpoint_id(&self) -> ID {
        ID(self.0.endpoint.to_string())
    }

    /// The trouble that it is in.
    async fn state(&self) -> WebhookTroubleState {
        match self.0.state.parse() {
            Ok(BreakerState::Open) => WebhookTroubleState::Open,
            Ok(BreakerState::HalfOpen) => WebhookTroubleState::HalfOpen,
            Ok(BreakerState::Closed) | Err(_) => WebhookTroubleState::Suspended,
        }
    }

    /// The number of events that waited for it when it was last looked at; if it is 10,000 there may be more.
    async fn backlog_count(&self) -> i64 {
        self.0.backlog
    }

    /// The time since which it is not well.
    async fn since(&self) -> DateTime<Utc> {
        self.0.since
    }

    /// The time when it was last looked at.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// A place in the list of endpoints that are not well, which is ordered by time.
pub struct TroubleCursor(TroubleKey);

impl CursorType for TroubleCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, since, id] = decode_parts(text).ok_or("malformed")?;
        let micros: i64 = since.parse().map_err(|_| "malformed")?;
        let since = DateTime::from_timestamp_micros(micros).ok_or("malformed")?;
        let id: Uuid = id.parse().map_err(|_| "malformed")?;
        if kind == "TROUBLE" { Ok(Self((since, id))) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        let (since, id) = self.0;
        encode_parts(&["TROUBLE", &since.timestamp_micros().to_string(), &id.to_string()])
    }
}

/// Queries about tenants' webhooks.
#[derive(Default)]
pub struct TenantWebhookQuery;

#[Object]
impl TenantWebhookQuery {
    /// Lists all endpoints of a tenant, the oldest first; a shop has as many as its plan allows, at most 1,000. Null if
    /// there is no such tenant.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_webhook_endpoints(
        &self,
        ctx: &Context<'_>,
        slug: String,
    ) -> ApiResult<Option<Vec<TenantWebhookEndpointNode>>> {
        let endpoints = match desk(ctx)?.endpoint_list(&slug).await {
            Ok(endpoints) => endpoints,
            Err(Failure::Refused(_)) => return Ok(None),
            Err(failure) => return Err(into_error(failure, &Actor::System)),
        };
        let node = |(endpoint, backlog)| TenantWebhookEndpointNode { endpoint, backlog };
        Ok(Some(endpoints.into_iter().map(node).collect()))
    }

    /// Lists endpoints of all tenants that are not well, the newest first: they fail, or were suspended. What it tells
    /// is a moment old.
    #[graphql(directive = access::apply(signed_in()))]
    async fn webhook_troubles(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<Connection<TroubleCursor, WebhookTroubleNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<TroubleCursor>()?.map(|cursor| cursor.0);
        let page = service::trouble_list(&request.control, page).await?;
        let place = |trouble: &Trouble| TroubleCursor((trouble.since, trouble.endpoint.0));
        Ok(connection(page, EmptyFields, |trouble| (place(&trouble), WebhookTroubleNode(trouble))))
    }
}

/// The number of endpoints or deliveries that were changed.
#[derive(SimpleObject)]
pub struct WebhooksChanged {
    /// The number of them; of deliveries there may be more if it is 10,000.
    count: i32,
}

impl From<usize> for WebhooksChanged {
    fn from(count: usize) -> Self {
        Self { count: i32::try_from(count).unwrap_or(i32::MAX) }
    }
}

/// A tenant's delivery, as operators see it.
pub struct TenantWebhookDeliveryNode(Delivery);

impl From<Delivery> for TenantWebhookDeliveryNode {
    fn from(delivery: Delivery) -> Self {
        Self(delivery)
    }
}

/// A tenant's delivery, as operators see it: without what it carries.
#[Object(name = "TenantWebhookDelivery")]
impl TenantWebhookDeliveryNode {
    /// The delivery's id.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The id of the endpoint that it goes to.
    async fn endpoint_id(&self) -> ID {
        ID(self.0.endpoint_id.to_string())
    }

    /// The type of the event, as `order.placed`.
    async fn event_type(&self) -> &str {
        &self.0.kind
    }

    /// The state of the delivery.
    async fn state(&self) -> WebhookDeliveryState {
        self.0.state().into()
    }
}

/// A choice of a tenant's deliveries to send once more. Fields that are given all apply.
#[derive(InputObject)]
pub struct TenantWebhooksReplayInput {
    /// The tenant.
    slug: String,
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

payload!(
    /// The answer to `tenantWebhooksSuspend`.
    TenantWebhooksSuspendPayload {
        /// The number of endpoints that were suspended.
        endpoints: WebhooksChanged(usize)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantWebhooksResume`.
    TenantWebhooksResumePayload {
        /// The number of endpoints that were resumed.
        endpoints: WebhooksChanged(usize)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantWebhooksReplay`.
    TenantWebhooksReplayPayload {
        /// The number of deliveries that are sent once more.
        deliveries: WebhooksChanged(usize)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantWebhookDeliveryReplay`.
    TenantWebhookDeliveryReplayPayload {
        /// The delivery as it is now.
        delivery: TenantWebhookDeliveryNode(Delivery)
    },
    ControlUserError(ControlErrorCode)
);

/// Whoever acts on tenants' webhooks by a request.
fn desk<'a>(ctx: &Context<'a>) -> ApiResult<Desk<'a>> {
    let (request, operator) = AdminRequest::of(ctx)?;
    let services = &request.services;
    let (tenants, vault, clock) = (&services.tenants, &services.vault, request.clock());
    Ok(Desk { control: &request.control, tenants, vault, clock, operator })
}

/// Mutations of tenants' webhooks.
#[derive(Default)]
pub struct TenantWebhookMutation;

#[Object]
impl TenantWebhookMutation {
    /// Suspends all active endpoints of a tenant. Events wait for them, for as long as events are kept.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_webhooks_suspend(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The reason, in 1 to 500 characters; the shop is shown it.")] reason: String,
    ) -> ApiResult<TenantWebhooksSuspendPayload> {
        TenantWebhooksSuspendPayload::new(desk(ctx)?.suspend(&slug, &reason).await, &Actor::System)
    }

    /// Resumes all suspended endpoints of a tenant, whoever has suspended them. What has waited is sent first, in order and at
    /// a bounded rate.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_webhooks_resume(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(
            desc = "Skips what has waited: events are passed over, and deliveries become dead letters.",
            default
        )]
        skip_backlog: bool,
    ) -> ApiResult<TenantWebhooksResumePayload> {
        TenantWebhooksResumePayload::new(desk(ctx)?.resume(&slug, skip_backlog).await, &Actor::System)
    }

    /// Sends finished deliveries of a tenant once more, the oldest first, up to 10,000 of them.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_webhooks_replay(
        &self,
        ctx: &Context<'_>,
        input: TenantWebhooksReplayInput,
    ) -> ApiResult<TenantWebhooksReplayPayload> {
        let desk = desk(ctx)?;
        let endpoint = parse_id(&input.endpoint_id)?;
        let filter = DeliveryFilter {
            endpoint: Some(endpoint),
            state: input.state.map(Into::into),
            kind: input.event_type,
            from: input.from,
            to: input.to,
        };
        TenantWebhooksReplayPayload::new(desk.replay(&input.slug, endpoint, filter).await, &Actor::System)
    }

    /// Sends a finished delivery of a tenant once more, under the same `webhook-id` and with all its attempts.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_webhook_delivery_replay(
        &self,
        ctx: &Context<'_>,
        slug: String,
        id: ID,
    ) -> ApiResult<TenantWebhookDeliveryReplayPayload> {
        let desk = desk(ctx)?;
        let replayed = desk.delivery_replay(&slug, parse_id(&id)?).await;
        TenantWebhookDeliveryReplayPayload::new(replayed, &Actor::System)
    }
}
