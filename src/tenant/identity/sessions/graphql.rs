//! Log-ins at the edge.

pub mod mutation;
pub mod viewer;

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};

use super::model::{ACCESS_LIFETIME, Grant};
use crate::auth::Claims;
use crate::graphql::{ApiError, ApiResult, Request, Shop};
use crate::tenant::identity::users::graphql::UserNode;

/// A log-in: the tokens that prove it.
#[derive(SimpleObject)]
#[graphql(name = "Session")]
pub struct SessionGrant {
    /// The user who is logged in.
    user: UserNode,
    /// The bearer token of requests.
    access_token: String,
    /// The time when the access token stops working. Refresh before.
    access_token_expires_at: DateTime<Utc>,
    /// The refresh token, which `tokenRefresh` takes once and answers with its successor. Keep it where no script reads
    /// it.
    refresh_token: String,
}

impl SessionGrant {
    /// Makes out the tokens of a log-in.
    fn new(request: &Request, shop: &Shop, grant: Grant) -> ApiResult<Self> {
        let tenant = shop.tenant();
        let claims = Claims::Tenant {
            slug: tenant.slug.clone(),
            tenant: tenant.id,
            user: grant.user.id,
            session: Some(grant.session),
            role: None,
        };
        let (now, lifetime) = (request.clock().now(), ACCESS_LIFETIME);
        let access_token = request.services().tokens.mint(&claims, now, lifetime.to_std().unwrap_or_default());
        let access_token = access_token.map_err(|error| {
            tracing::error!(%error, "No token can be signed");
            ApiError::internal()
        })?;
        Ok(Self {
            user: UserNode(grant.user),
            access_token,
            access_token_expires_at: now + lifetime,
            refresh_token: grant.refresh.reveal(),
        })
    }
}
