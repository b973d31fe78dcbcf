//! Endpoints at the edge.

pub mod mutation;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::model::{Endpoint, EndpointStatus, Ordering};
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::loaders::load;
use crate::graphql::payload::into_error;
use crate::graphql::scalars::parse_id;
use crate::graphql::{ApiResult, Request, Shop};
use crate::kernel::actor::Permission;
use crate::tenant::webhooks::breaker::BreakerState;
use crate::tenant::webhooks::endpoints::sealed::Sealing;

/// Where the shop has events sent.
#[derive(Clone)]
pub struct WebhookEndpointNode(pub Endpoint);

impl From<Endpoint> for WebhookEndpointNode {
    fn from(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }
}

/// Whether an endpoint gets events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "EndpointStatus")]
pub enum WebhookEndpointStatus {
    /// It gets them.
    Active,
    /// Events pass it by.
    Disabled,
    /// Events wait for it, until it is resumed.
    Suspended,
}

/// What must arrive in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Ordering")]
pub enum WebhookOrdering {
    /// Everything: one delivery at a time, and one that fails holds up all others.
    Endpoint,
    /// What happened to one object; what happened to others goes on meanwhile.
    Entity,
    /// Nothing.
    None,
}

/// Whether anything is sent to an endpoint that is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "BreakerState")]
pub enum WebhookBreakerState {
    /// Everything that is due.
    Closed,
    /// One delivery, as a probe.
    HalfOpen,
    /// Nothing: it failed too often, and rests.
    Open,
}

/// How an endpoint's deliveries have gone lately.
#[derive(SimpleObject)]
pub struct WebhookBreaker {
    /// Whether anything is sent.
    state: WebhookBreakerState,
    /// Failures in a row. Five open the breaker, ten suspend the endpoint.
    failure_count: i32,
    /// Until when nothing is sent: because the breaker is open, or because the endpoint asked for it by `Retry-After`.
    rests_until: Option<DateTime<Utc>>,
}

/// Where the shop has events sent.
#[Object(name = "WebhookEndpoint")]
impl WebhookEndpointNode {
    /// The endpoint's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The address. Null for who may not change it: it may hold a password.
    async fn url(&self, ctx: &Context<'_>) -> ApiResult<Option<&str>> {
        let may = Shop::of(ctx)?.actor().may(Permission::WebhooksWrite);
        Ok(may.then_some(self.0.url.as_str()))
    }

    /// What it is for.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// The types of events that it gets; none: all.
    async fn event_types(&self) -> &[String] {
        &self.0.kinds
    }

    /// What must arrive in order.
    async fn ordering(&self) -> WebhookOrdering {
        self.0.ordering().into()
    }

    /// The names of headers that are sent along; their values are not shown.
    async fn header_names(&self, ctx: &Context<'_>) -> ApiResult<Vec<String>> {
        let sealing = Sealing { vault: &Request::of(ctx)?.services().vault, tenant: Shop::of(ctx)?.tenant() };
        Ok(sealing.headers_open(&self.0)?.into_iter().map(|(name, _)| name).collect())
    }

    /// Whether it gets events.
    async fn status(&self) -> WebhookEndpointStatus {
        self.0.status().into()
    }

    /// Why it is suspended or disabled.
    async fn suspension_reason(&self) -> Option<&str> {
        self.0.status_reason.as_deref()
    }

    /// Since when it is what it is.
    async fn status_changed_at(&self) -> DateTime<Utc> {
        self.0.status_at
    }

    /// How its deliveries have gone lately.
    async fn breaker(&self) -> WebhookBreaker {
        let breaker = self.0.breaker();
        WebhookBreaker {
            state: breaker.state.into(),
            failure_count: breaker.failures.into(),
            rests_until: breaker.rests_until,
        }
    }

    /// How many events wait for it, of the next 10,000 that have happened in the shop: where many wait there may be more.
    async fn backlog_count(&self, ctx: &Context<'_>) -> ApiResult<i64> {
        load(&Shop::of(ctx)?.loaders().backlog_by_endpoint, self.0.id).await
    }

    /// Until when the secret before the last rotation signs too.
    async fn previous_secret_expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.previous_expires_at
    }

    /// The version: it goes up with each change.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Whether the caller may change it.
    async fn viewer_can_update(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        Ok(Shop::of(ctx)?.actor().may(Permission::WebhooksWrite))
    }
}

/// Queries about endpoints.
#[derive(Default)]
pub struct WebhookEndpointQuery;

#[Object]
impl WebhookEndpointQuery {
    /// An endpoint by id.
    #[graphql(directive = access::apply(needs(Permission::WebhooksRead)))]
    async fn webhook_endpoint(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<WebhookEndpointNode>> {
        let shop = Shop::of(ctx)?;
        let endpoint = service::endpoint_by_id(&shop.read().await?, shop.actor(), parse_id(&id)?).await;
        let endpoint = endpoint.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(endpoint.map(WebhookEndpointNode))
    }

    /// All endpoints, the oldest first; a shop has at most 20.
    #[graphql(directive = access::apply(needs(Permission::WebhooksRead)))]
    async fn webhook_endpoints(&self, ctx: &Context<'_>) -> ApiResult<Vec<WebhookEndpointNode>> {
        let shop = Shop::of(ctx)?;
        let endpoints = service::endpoint_list(&shop.read().await?, shop.actor()).await;
        let endpoints = endpoints.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(endpoints.into_iter().map(WebhookEndpointNode).collect())
    }
}
