//! Sandboxes at the operators' edge.

use async_graphql::{Context, Object};

use super::service::tenant_clone;
use crate::control::error::ControlErrorCode;
use crate::control::graphql::{ControlUserError, TenantNode};
use crate::control::provisioning::Desk;
use crate::control::tenants::Tenant;
use crate::graphql::access::{access, signed_in};
use crate::graphql::payload::payload;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;

payload!(
    /// The answer to `tenantClone`.
    TenantClonePayload {
        /// The copy, ready for use.
        tenant: TenantNode(Tenant)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations that make sandboxes.
#[derive(Default)]
pub struct SandboxMutation;

#[Object]
impl SandboxMutation {
    /// Copies a tenant as a sandbox, without its people: catalogue, orders and users are there, and nobody's name or address
    /// is. Log-ins, API keys, webhooks, payments, events and the trail are left out. All of it, or nothing.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_clone(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tenant that is copied; it goes on working.")] slug: String,
        #[graphql(name = "as", desc = "The copy's name in addresses.")] copy: String,
        #[graphql(
            desc = "The e-mail address that the copy's owner is invited by; nobody can log in if none is given."
        )]
        owner_email: Option<String>,
    ) -> ApiResult<TenantClonePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let services = &request.services;
        let desk =
            Desk { owner: request.owner()?, vault: &services.vault, clock: request.clock(), operator, stock: None };
        let result = tenant_clone(desk, &slug, &copy, owner_email.as_deref()).await;
        if result.is_ok() {
            services.bell.ring();
        }
        TenantClonePayload::new(result, &Actor::System)
    }
}
