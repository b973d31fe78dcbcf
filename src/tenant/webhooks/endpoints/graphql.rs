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

/// A webhook endpoint: an address that the shop has events sent to.
#[derive(Clone)]
pub struct WebhookEndpointNode(pub Endpoint);

impl From<Endpoint> for WebhookEndpointNode {
    fn from(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }
}

/// The status of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "EndpointStatus")]
pub enum WebhookEndpointStatus {
    /// The endpoint gets events.
    Active,
    /// The endpoint gets no events: they pass it by.
    Disabled,
    /// The endpoint gets no events: they wait for it until it is resumed.
    Suspended,
}

/// The order in which deliveries must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Ordering")]
pub enum WebhookOrdering {
    /// Deliveries arrive in order: one at a time, and one that fails holds up all others.
    Endpoint,
    /// Events about one object arrive in order; those about others go on meanwhile.
    Entity,
    /// Deliveries arrive in any order.
    None,
}

/// The state of an endpoint's circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "BreakerState")]
pub enum WebhookBreakerState {
    /// Sends everything that is due.
    Closed,
    /// Sends one delivery, as a probe.
    HalfOpen,
    /// Sends nothing: the endpoint failed too often, and rests.
    Open,
}

/// The circuit breaker of an endpoint: how its deliveries have gone lately.
#[derive(SimpleObject)]
pub struct WebhookBreaker {
    /// The state of the breaker.
    state: WebhookBreakerState,
    /// The number of failures in a row. Five open the breaker, ten suspend the endpoint.
    failure_count: i32,
    /// The time until which nothing is sent, because the breaker is open or the endpoint asked for it by `Retry-After`.
    rests_until: Option<DateTime<Utc>>,
}

/// A webhook endpoint: an address that the shop has events sent to.
#[Object(name = "WebhookEndpoint")]
impl WebhookEndpointNode {
    /// The endpoint's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The address. Null if the caller may not change the endpoint: it may hold a password.
    async fn url(&self, ctx: &Context<'_>) -> ApiResult<Option<&str>> {
        let may = Shop::of(ctx)?.actor().may(Permission::WebhooksWrite);
        Ok(may.then_some(self.0.url.as_str()))
    }

    /// The purpose of the endpoint, for people.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// The types of events that it gets; all types if it is empty.
    async fn event_types(&self) -> &[String] {
        &self.0.kinds
    }

    /// The order in which deliveries must arrive.
    async fn ordering(&self) -> WebhookOrdering {
        self.0.ordering().into()
    }

    /// The names of headers that are sent along; their values are not shown.
    async fn header_names(&self, ctx: &Context<'_>) -> ApiResult<Vec<String>> {
        let sealing = Sealing { vault: &Request::of(ctx)?.services().vault, tenant: Shop::of(ctx)?.tenant() };
        Ok(sealing.headers_open(&self.0)?.into_iter().map(|(name, _)| name).collect())
    }

    /// The status of the endpoint.
    async fn status(&self) -> WebhookEndpointStatus {
        self.0.status().into()
    }

    /// The reason why it is suspended or disabled.
    async fn suspension_reason(&self) -> Option<&str> {
        self.0.status_reason.as_deref()
    }

    /// The time since which it has this status.
    async fn status_changed_at(&self) -> DateTime<Utc> {
        self.0.status_at
    }

    /// The circuit breaker: how its deliveries have gone lately.
    async fn breaker(&self) -> WebhookBreaker {
        let breaker = self.0.breaker();
        WebhookBreaker {
            state: breaker.state.into(),
            failure_count: breaker.failures.into(),
            rests_until: breaker.rests_until,
        }
    }

    /// The number of events that wait for it, of the next 10,000 that have happened in the shop: if many wait there may
    /// be more.
    async fn backlog_count(&self, ctx: &Context<'_>) -> ApiResult<i64> {
        load(&Shop::of(ctx)?.loaders().backlog_by_endpoint, self.0.id).await
    }

    /// The time until which the secret before the last rotation signs too.
    async fn previous_secret_expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.previous_expires_at
    }

    /// The number of the present version.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The time when the endpoint was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the endpoint was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Tells whether the caller may change the endpoint.
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

    /// Lists all endpoints, the oldest first; a shop has as many as its plan allows, at most 1,000.
    #[graphql(directive = access::apply(needs(Permission::WebhooksRead)))]
    async fn webhook_endpoints(&self, ctx: &Context<'_>) -> ApiResult<Vec<WebhookEndpointNode>> {
        let shop = Shop::of(ctx)?;
        let endpoints = service::endpoint_list(&shop.read().await?, shop.actor()).await;
        let endpoints = endpoints.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(endpoints.into_iter().map(WebhookEndpointNode).collect())
    }
}
