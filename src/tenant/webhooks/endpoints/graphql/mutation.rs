//! Mutations of endpoints.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use chrono::TimeDelta;

use super::{WebhookEndpointNode, WebhookOrdering};
use crate::graphql::access::{access, needs};
use crate::graphql::patch::patch;
use crate::graphql::payload::{into_payload, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::WebhookUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey};
use crate::kernel::actor::{Actor, Permission};
use crate::tenant::webhooks::endpoints::model::{Endpoint, EndpointStatus};
use crate::tenant::webhooks::endpoints::sealed::Sealing;
use crate::tenant::webhooks::endpoints::service::{self, Desk, EndpointInput, Shown};
use crate::tenant::webhooks::{WebhookError, WebhookErrorCode};

/// How long a rotated secret goes on signing where the caller does not say, in seconds: a day.
const OVERLAP_DEFAULT_S: i32 = 86_400;

/// A header that is sent along with each delivery.
#[derive(InputObject)]
pub struct WebhookHeaderInput {
    /// The header's name; not one that is the protocol's, `webhook-…` or `content-…`.
    name: String,
    /// The header's value, in plain ASCII. It is kept encrypted and never shown.
    value: String,
}

/// A new endpoint.
#[derive(InputObject)]
pub struct WebhookEndpointCreateInput {
    /// The address, `https://…` with port 443 or one from 1024 up, on the public internet.
    url: String,
    /// The purpose of the endpoint, in at most 500 characters.
    description: Option<String>,
    /// The types of events that it gets, as `eventTypes` lists them; all types if it is absent or empty.
    event_types: Option<Vec<String>>,
    /// The order in which deliveries must arrive; `ENTITY` if it is not given.
    ordering: Option<WebhookOrdering>,
    /// The headers that are sent along, at most ten.
    headers: Option<Vec<WebhookHeaderInput>>,
}

/// Changes of an endpoint. A field that is not given stays.
#[derive(InputObject)]
pub struct WebhookEndpointUpdateInput {
    /// The address.
    url: Option<String>,
    /// The purpose of the endpoint; null empties it.
    description: MaybeUndefined<String>,
    /// The types of events that it gets; all types if it is null or empty.
    event_types: MaybeUndefined<Vec<String>>,
    /// The order in which deliveries must arrive.
    ordering: Option<WebhookOrdering>,
    /// The headers that are sent along, in place of those before; null for none.
    headers: MaybeUndefined<Vec<WebhookHeaderInput>>,
}

fn pairs(headers: Vec<WebhookHeaderInput>) -> Vec<(String, String)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}

/// What is given, the empty value where null is.
fn or_empty<T: Default>(value: MaybeUndefined<T>) -> Option<T> {
    patch(value).map(Option::unwrap_or_default)
}

impl WebhookEndpointCreateInput {
    fn parse(self) -> EndpointInput {
        EndpointInput {
            url: Some(self.url),
            description: self.description,
            kinds: self.event_types,
            ordering: self.ordering.map(Into::into),
            headers: self.headers.map(pairs),
        }
    }
}

impl WebhookEndpointUpdateInput {
    fn parse(self) -> EndpointInput {
        EndpointInput {
            url: self.url,
            description: or_empty(self.description),
            kinds: or_empty(self.event_types),
            ordering: self.ordering.map(Into::into),
            headers: or_empty(self.headers).map(pairs),
        }
    }
}

/// Declares the payload of a call that shows a secret.
macro_rules! shown_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The endpoint.
            webhook_endpoint: Option<WebhookEndpointNode>,
            /// The secret that deliveries are signed with, `whsec_…`. It is never shown again, not even in the answer
            /// to a repeated request.
            secret: Option<String>,
            /// The reasons why nothing was done; empty on success.
            user_errors: Vec<WebhookUserError>,
        }

        impl $name {
            fn new(result: Result<Shown, WebhookError>, actor: &Actor) -> ApiResult<Self> {
                let (shown, refusals) = into_payload(result, actor)?;
                let secret = shown.as_ref().and_then(|shown| Some(shown.secret.as_ref()?.reveal()));
                let user_errors = refusals.into_iter().map(WebhookUserError::from).collect();
                let webhook_endpoint = shown.map(|shown| WebhookEndpointNode(shown.endpoint));
                Ok(Self { webhook_endpoint, secret, user_errors })
            }
        }
    };
}

shown_payload!(
    /// The answer to `webhookEndpointCreate`.
    WebhookEndpointCreatePayload
);
shown_payload!(
    /// The answer to `webhookEndpointRotateSecret`.
    WebhookEndpointRotateSecretPayload
);
payload!(
    /// The answer to `webhookEndpointUpdate`.
    WebhookEndpointUpdatePayload {
        /// The endpoint as it is now.
        webhook_endpoint: WebhookEndpointNode(Endpoint)
    },
    WebhookUserError(WebhookErrorCode)
);
payload!(
    /// The answer to `webhookEndpointSuspend`.
    WebhookEndpointSuspendPayload {
        /// The endpoint as it is now.
        webhook_endpoint: WebhookEndpointNode(Endpoint)
    },
    WebhookUserError(WebhookErrorCode)
);
payload!(
    /// The answer to `webhookEndpointDisable`.
    WebhookEndpointDisablePayload {
        /// The endpoint as it is now.
        webhook_endpoint: WebhookEndpointNode(Endpoint)
    },
    WebhookUserError(WebhookErrorCode)
);
payload!(
    /// The answer to `webhookEndpointResume`.
    WebhookEndpointResumePayload {
        /// The endpoint as it is now.
        webhook_endpoint: WebhookEndpointNode(Endpoint)
    },
    WebhookUserError(WebhookErrorCode)
);
payload!(
    /// The answer to `webhookEndpointTest`.
    WebhookEndpointTestPayload {
        /// The endpoint to which the event is on its way.
        webhook_endpoint: WebhookEndpointNode(Endpoint)
    },
    WebhookUserError(WebhookErrorCode)
);
payload!(
    /// The answer to `webhookEndpointDelete`.
    WebhookEndpointDeletePayload,
    WebhookUserError(WebhookErrorCode)
);

/// Whoever calls, and what it takes.
fn desk<'a>(call: &Call<'a>) -> Desk<'a> {
    let services = call.request.services();
    let sealing = Sealing { vault: &services.vault, tenant: call.shop.tenant() };
    Desk { actor: call.actor(), clock: call.request.clock(), sealing, policy: services.outbound }
}

/// Mutations of endpoints.
#[derive(Default)]
pub struct WebhookEndpointMutation;

#[Object]
impl WebhookEndpointMutation {
    /// Adds an endpoint. It gets what happens from now on, signed as Standard Webhooks has it.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_endpoint_create(
        &self,
        ctx: &Context<'_>,
        input: WebhookEndpointCreateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookEndpointCreatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let work = async |tx: &mut _| service::endpoint_create(tx, desk(&call), input.parse()).await;
        let created = call.write("webhook_endpoint.create", Permission::WebhooksWrite, work).await;
        WebhookEndpointCreatePayload::new(created, call.actor())
    }

    /// Changes an endpoint. What waits for it is sent to where it is then; types decide about events that do not wait yet.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_endpoint_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The version that the change was made for.")] version: i32,
        input: WebhookEndpointUpdateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookEndpointUpdatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let which = (parse_id(&id)?, version);
        let work = async |tx: &mut _| service::endpoint_update(tx, desk(&call), which, input.parse()).await;
        let updated = call.write("webhook_endpoint.update", Permission::WebhooksWrite, work).await;
        WebhookEndpointUpdatePayload::new(updated, call.actor())
    }

    /// Gives an endpoint another secret. Deliveries carry a signature of each for a while, so that receivers can change over.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_endpoint_rotate_secret(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(
            desc = "The seconds for which the old secret goes on signing too, 0 to 604800.",
            default_with = "OVERLAP_DEFAULT_S"
        )]
        overlap_seconds: i32,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookEndpointRotateSecretPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let rotation = (parse_id(&id)?, TimeDelta::seconds(overlap_seconds.into()));
        let work = async |tx: &mut _| service::endpoint_rotate(tx, desk(&call), rotation).await;
        let rotated = call.write("webhook_endpoint.rotate_secret", Permission::WebhooksWrite, work).await;
        WebhookEndpointRotateSecretPayload::new(rotated, call.actor())
    }

    /// Stops sending to an endpoint. Events wait for it, for as long as events are kept.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_endpoint_suspend(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The reason, in 1 to 500 characters.")] reason: String,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookEndpointSuspendPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let (id, how) = (parse_id(&id)?, (EndpointStatus::Suspended, reason.as_str()));
        let work = async |tx: &mut _| service::endpoint_stop(tx, desk(&call), id, how).await;
        let stopped = call.write("webhook_endpoint.suspend", Permission::WebhooksWrite, work).await;
        WebhookEndpointSuspendPayload::new(stopped, call.actor())
    }

    /// Stops sending to an endpoint, and keeps nothing for it: events pass it by.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_endpoint_disable(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The reason, in 1 to 500 characters.")] reason: String,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookEndpointDisablePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let (id, how) = (parse_id(&id)?, (EndpointStatus::Disabled, reason.as_str()));
        let work = async |tx: &mut _| service::endpoint_stop(tx, desk(&call), id, how).await;
        let stopped = call.write("webhook_endpoint.disable", Permission::WebhooksWrite, work).await;
        WebhookEndpointDisablePayload::new(stopped, call.actor())
    }

    /// Sends to an endpoint again: what has waited first, in order and at a bounded rate. One that was disabled goes on with
    /// what happens from now on; what passed it by can be read from `events`.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_endpoint_resume(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookEndpointResumePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::endpoint_resume(tx, desk(&call), id).await;
        let resumed = call.write("webhook_endpoint.resume", Permission::WebhooksWrite, work).await;
        WebhookEndpointResumePayload::new(resumed, call.actor())
    }

    /// Sends an endpoint an event of type `webhook.test`, whatever types it asks for. Its delivery tells what came of
    /// it.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_endpoint_test(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookEndpointTestPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::endpoint_test(tx, desk(&call), id).await;
        let tested = call.write("webhook_endpoint.test", Permission::WebhooksWrite, work).await;
        WebhookEndpointTestPayload::new(tested, call.actor())
    }

    /// Removes an endpoint, with what waits for it and what is known of its deliveries.
    #[graphql(directive = access::apply(needs(Permission::WebhooksWrite)))]
    async fn webhook_endpoint_delete(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<WebhookEndpointDeletePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::endpoint_delete(tx, desk(&call), id).await;
        let deleted = call.write("webhook_endpoint.delete", Permission::WebhooksWrite, work).await;
        WebhookEndpointDeletePayload::new(deleted, call.actor())
    }
}
