//! Provisioning at the operators' edge.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use super::model::NewTenant;
use super::service::{Desk, Provisioned, warm};
use super::steps::{Step, StepName};
use crate::control::graphql::{ControlUserError, DEFAULT_CURRENCY, TenantNode};
use crate::graphql::access::{access, signed_in};
use crate::graphql::payload::into_payload;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;

/// A tenant that is to be made.
#[derive(InputObject)]
pub struct TenantProvisionInput {
    /// The name in addresses: 3 to 40 lower-case letters, digits and single hyphens, a letter first.
    slug: String,
    /// The name for people.
    name: String,
    /// The code of the plan.
    plan: String,
    /// The address of the first owner.
    owner_email: String,
    /// The currency of all prices (ISO 4217).
    #[graphql(default_with = "DEFAULT_CURRENCY.to_owned()")]
    currency: String,
}

/// A part of provisioning that is done.
#[derive(SimpleObject)]
pub struct ProvisioningStep {
    /// The part.
    name: StepName,
    /// The duration, in milliseconds.
    milliseconds: f64,
}

impl From<Step> for ProvisioningStep {
    fn from(step: Step) -> Self {
        Self { name: step.name, milliseconds: step.milliseconds() }
    }
}

/// The answer to `tenantProvision`.
#[derive(SimpleObject)]
pub struct TenantProvisionPayload {
    /// The new tenant, ready for use.
    tenant: Option<TenantNode>,
    /// The steps that were done, in their order.
    steps: Vec<ProvisioningStep>,
    /// The reasons why nothing was done; empty on success.
    user_errors: Vec<ControlUserError>,
}

/// Mutations that make tenants.
#[derive(Default)]
pub struct ProvisioningMutation;

#[Object]
impl ProvisioningMutation {
    /// Makes a tenant with its schema, first data and owner: all of it, or nothing. The schema is taken from the stock where
    /// there is one.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_provision(
        &self,
        ctx: &Context<'_>,
        input: TenantProvisionInput,
    ) -> ApiResult<TenantProvisionPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let services = &request.services;
        let desk = Desk {
            owner: request.owner()?,
            vault: &services.vault,
            clock: request.clock(),
            operator,
            stock: (services.spares > 0).then_some(services.spares),
        };
        let TenantProvisionInput { slug, name, plan, owner_email, currency } = input;
        let result = desk.tenant_provision(&NewTenant { slug, name, plan, owner_email, currency }).await;
        let (provisioned, refusals) = into_payload(result, &Actor::System)?;
        let user_errors = refusals.into_iter().map(ControlUserError::from).collect();
        let Some(mut provisioned) = provisioned else {
            return Ok(TenantProvisionPayload { tenant: None, steps: Vec::new(), user_errors });
        };
        services.bell.ring();
        warm(&services.registry, &services.tenants, &mut provisioned).await;
        let Provisioned { tenant, steps } = provisioned;
        let steps = steps.into_iter().map(ProvisioningStep::from).collect();
        Ok(TenantProvisionPayload { tenant: Some(tenant.into()), steps, user_errors })
    }
}
