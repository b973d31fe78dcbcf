//! The shop's identity provider at the edge.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};

use super::model::IdentityProvider;
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::payload::{into_error, payload};
use crate::graphql::user_error::IdentityUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey, Shop};
use crate::kernel::actor::Permission;
use crate::tenant::identity::error::IdentityErrorCode;

/// An OpenID Connect issuer whose tokens log the shop's people in.
pub struct IdentityProviderNode(pub IdentityProvider);

impl From<IdentityProvider> for IdentityProviderNode {
    fn from(provider: IdentityProvider) -> Self {
        Self(provider)
    }
}

/// An OpenID Connect issuer whose tokens log the shop's people in.
#[Object(name = "IdentityProvider")]
impl IdentityProviderNode {
    /// The provider's id.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The `iss` of its tokens.
    async fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The address of its public keys (RFC 7517).
    async fn jwks_url(&self) -> &str {
        &self.0.jwks_url
    }

    /// The `aud` of its tokens for this shop.
    async fn audience(&self) -> &str {
        &self.0.audience
    }

    /// The time when the provider was entered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// Queries about the identity provider.
#[derive(Default)]
pub struct IdentityProviderQuery;

#[Object]
impl IdentityProviderQuery {
    /// The shop's identity provider; null where it has none.
    #[graphql(directive = access::apply(needs(Permission::IdentityProviderWrite)))]
    async fn identity_provider(&self, ctx: &Context<'_>) -> ApiResult<Option<IdentityProviderNode>> {
        let shop = Shop::of(ctx)?;
        let provider = service::provider(&shop.read().await?, shop.actor()).await;
        provider.map(|found| found.map(IdentityProviderNode)).map_err(|failure| into_error(failure, shop.actor()))
    }
}

/// An identity provider that is to be trusted.
#[derive(InputObject)]
pub struct IdentityProviderSetInput {
    /// The `iss` of its tokens, letter by letter.
    issuer: String,
    /// The address of its public keys: HTTPS, on the public internet.
    jwks_url: String,
    /// The `aud` of its tokens for this shop.
    audience: String,
}

payload!(
    /// The answer to `identityProviderSet`.
    IdentityProviderSetPayload {
        /// The provider.
        identity_provider: IdentityProviderNode(IdentityProvider)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `identityProviderRemove`.
    IdentityProviderRemovePayload,
    IdentityUserError(IdentityErrorCode)
);

/// Mutations of the identity provider.
#[derive(Default)]
pub struct IdentityProviderMutation;

#[Object]
impl IdentityProviderMutation {
    /// Trusts an identity provider's tokens, in the place of another's. They log in users whom the shop has invited, by
    /// the verified e-mail address; they create no users.
    #[graphql(directive = access::apply(needs(Permission::IdentityProviderWrite)))]
    async fn identity_provider_set(
        &self,
        ctx: &Context<'_>,
        input: IdentityProviderSetInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<IdentityProviderSetPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let provider = (input.issuer.as_str(), input.jwks_url.as_str(), input.audience.as_str());
        let policy = call.request.services().outbound;
        let work =
            async |tx: &mut _| service::provider_set(tx, call.actor(), call.request.clock(), policy, provider).await;
        let result = call.write("identity_provider.set", Permission::IdentityProviderWrite, work).await;
        IdentityProviderSetPayload::new(result, call.actor())
    }

    /// Removes the identity provider: its tokens stop working within a second.
    #[graphql(directive = access::apply(needs(Permission::IdentityProviderWrite)))]
    async fn identity_provider_remove(
        &self,
        ctx: &Context<'_>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<IdentityProviderRemovePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let work = async |tx: &mut _| service::provider_remove(tx, call.actor()).await;
        let result = call.write("identity_provider.remove", Permission::IdentityProviderWrite, work).await;
        IdentityProviderRemovePayload::new(result, call.actor())
    }
}
