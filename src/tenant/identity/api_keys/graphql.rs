//! API keys at the edge.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, TimeDelta, Utc};

use super::model::ApiKey;
use super::service::{self, Shown};
use crate::db::TenantTx;
use crate::graphql::access::{access, needs};
use crate::graphql::loaders::load;
use crate::graphql::payload::{into_error, into_payload, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::IdentityUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey, Request, Shop};
use crate::kernel::actor::{Actor, Permission};
use crate::tenant::identity::error::{IdentityError, IdentityErrorCode};
use crate::tenant::identity::roles::graphql::{PermissionValue, permission_set, permission_values};
use crate::tenant::identity::users::graphql::UserNode;

/// How long a rotated key's old secret works where the caller does not say, in seconds: an hour.
const OVERLAP_DEFAULT_S: i32 = 3_600;

/// A key of a program that acts for a user.
#[derive(Clone)]
pub struct ApiKeyNode(pub ApiKey);

impl From<ApiKey> for ApiKeyNode {
    fn from(api_key: ApiKey) -> Self {
        Self(api_key)
    }
}

/// A key of a program that acts for a user.
#[Object(name = "ApiKey")]
impl ApiKeyNode {
    /// The key's id; the key itself contains it, so that a found key can be looked up.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The purpose of the key, for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The permissions of the key; of those that its maker has lost it allows none.
    async fn permissions(&self) -> Vec<PermissionValue> {
        permission_values(self.0.permissions())
    }

    /// The user who made the key, and for whom it acts; null if the caller may not see the shop's people.
    async fn user(&self, ctx: &Context<'_>) -> ApiResult<Option<UserNode>> {
        let actor = Shop::of(ctx)?.actor();
        let is_own = actor.principal().is_some_and(|principal| principal.user == self.0.user_id);
        if !is_own && !actor.may(Permission::UsersRead) {
            return Ok(None);
        }
        Ok(load(&Shop::of(ctx)?.loaders().user_by_id, self.0.user_id).await?.map(UserNode))
    }

    /// The time when the key stops working; null if it never does.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }

    /// The time until which the secret before the last rotation works.
    async fn previous_expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.previous_expires_at
    }

    /// The time when the key was last used, to the minute; null if it never was.
    async fn last_used_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_used_at
    }

    /// The time when the key was revoked; null for one in use.
    async fn revoked_at(&self) -> Option<DateTime<Utc>> {
        self.0.revoked_at
    }

    /// The time when the key was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// Tells whether the caller may revoke the key. Only its maker may rotate it, and not by an API key.
    async fn viewer_can_update(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        let actor = Shop::of(ctx)?.actor();
        Ok(actor.may(Permission::ApiKeysWrite) && actor.permissions().covers(self.0.permissions()))
    }
}

/// Queries about API keys.
#[derive(Default)]
pub struct ApiKeyQuery;

#[Object]
impl ApiKeyQuery {
    /// An API key by id, a revoked one too.
    #[graphql(directive = access::apply(needs(Permission::ApiKeysWrite)))]
    async fn api_key(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<ApiKeyNode>> {
        let shop = Shop::of(ctx)?;
        let api_key = service::api_key_by_id(&shop.read().await?, shop.actor(), parse_id(&id)?).await;
        api_key.map(|api_key| api_key.map(ApiKeyNode)).map_err(|failure| into_error(failure, shop.actor()))
    }

    /// Lists the API keys that are neither revoked nor expired, the newest first; a shop has at most 100.
    #[graphql(directive = access::apply(needs(Permission::ApiKeysWrite)))]
    async fn api_keys(&self, ctx: &Context<'_>) -> ApiResult<Vec<ApiKeyNode>> {
        let shop = Shop::of(ctx)?;
        let now = Request::of(ctx)?.clock().now();
        let api_keys = service::api_key_list(&shop.read().await?, shop.actor(), now).await;
        let api_keys = api_keys.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(api_keys.into_iter().map(ApiKeyNode).collect())
    }
}

/// A new API key.
#[derive(InputObject)]
pub struct ApiKeyCreateInput {
    /// The purpose of the key, for people.
    name: String,
    /// The permissions of the key: at least one, and no more than the caller has.
    permissions: Vec<PermissionValue>,
    /// The time when the key stops working, within a year. Required where the shop's `api_keys.lifetime_days` is set;
    /// otherwise a key without it never stops.
    expires_at: Option<DateTime<Utc>>,
}

/// Declares the payload of a call that shows a secret.
macro_rules! shown_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            /// The key.
            api_key: Option<ApiKeyNode>,
            /// The secret that the program sends as its bearer token. It is never shown again, not even in the answer
            /// to a repeated request.
            secret: Option<String>,
            /// The reasons why nothing was done; empty on success.
            user_errors: Vec<IdentityUserError>,
        }

        impl $name {
            fn new(result: Result<Shown, IdentityError>, actor: &Actor) -> ApiResult<Self> {
                let (shown, refusals) = into_payload(result, actor)?;
                let secret = shown.as_ref().and_then(|shown| Some(shown.credential.as_ref()?.reveal()));
                let user_errors = refusals.into_iter().map(IdentityUserError::from).collect();
                Ok(Self { api_key: shown.map(|shown| ApiKeyNode(shown.api_key)), secret, user_errors })
            }
        }
    };
}

shown_payload!(
    /// The answer to `apiKeyCreate`.
    ApiKeyCreatePayload
);
shown_payload!(
    /// The answer to `apiKeyRotate`.
    ApiKeyRotatePayload
);
payload!(
    /// The answer to `apiKeyRevoke`.
    ApiKeyRevokePayload {
        /// The key as it is now.
        api_key: ApiKeyNode(ApiKey)
    },
    IdentityUserError(IdentityErrorCode)
);

/// Mutations of API keys.
#[derive(Default)]
pub struct ApiKeyMutation;

#[Object]
impl ApiKeyMutation {
    /// Makes an API key that acts for the caller, with permissions that the caller has.
    #[graphql(directive = access::apply(needs(Permission::ApiKeysWrite)))]
    async fn api_key_create(
        &self,
        ctx: &Context<'_>,
        input: ApiKeyCreateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<ApiKeyCreatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let key = (input.name.as_str(), permission_set(&input.permissions), input.expires_at);
        let slug = &call.shop.tenant().slug;
        let work = async |tx: &mut TenantTx| {
            let settings = call.settings(tx).await?;
            service::api_key_create(tx, call.actor(), call.request.clock(), (slug, &settings), key).await
        };
        ApiKeyCreatePayload::new(call.write("api_key.create", Permission::ApiKeysWrite, work).await, call.actor())
    }

    /// Gives an API key another secret. The old one goes on working for a while, so that programs can change over.
    #[graphql(directive = access::apply(needs(Permission::ApiKeysWrite)))]
    async fn api_key_rotate(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(
            desc = "The seconds for which the old secret goes on working, 0 to 604800.",
            default_with = "OVERLAP_DEFAULT_S"
        )]
        overlap_seconds: i32,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<ApiKeyRotatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let rotation = (parse_id(&id)?, TimeDelta::seconds(overlap_seconds.into()));
        let slug = &call.shop.tenant().slug;
        let work =
            async |tx: &mut _| service::api_key_rotate(tx, call.actor(), call.request.clock(), slug, rotation).await;
        ApiKeyRotatePayload::new(call.write("api_key.rotate", Permission::ApiKeysWrite, work).await, call.actor())
    }

    /// Ends an API key, within a second everywhere.
    #[graphql(directive = access::apply(needs(Permission::ApiKeysWrite)))]
    async fn api_key_revoke(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<ApiKeyRevokePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::api_key_revoke(tx, call.actor(), call.request.clock(), id).await;
        ApiKeyRevokePayload::new(call.write("api_key.revoke", Permission::ApiKeysWrite, work).await, call.actor())
    }
}
