//! The shop's plan at the edge.

use async_graphql::{Context, Object};

use crate::graphql::access::{access, signed_in};
use crate::graphql::limits::{LimitKindValue, number};
use crate::graphql::payload::into_error;
use crate::graphql::{ApiError, ApiResult, Request, Shop};
use crate::kernel::actor::{Access, Actor, Permission};
use crate::kernel::limits::LimitKind;
use crate::limits::Caller;
use crate::tenant::catalog::books::service::stored_count;
use crate::tenant::webhooks::endpoints::service::endpoint_count;

/// The plan that the shop pays for.
pub struct PlanNode;

/// The plan that the shop pays for.
#[Object(name = "Plan")]
impl PlanNode {
    /// The name for programs.
    async fn code<'a>(&self, ctx: &Context<'a>) -> ApiResult<&'a str> {
        Ok(&Shop::of(ctx)?.tenant().plan)
    }

    /// The limits of the plan, or what was agreed for the shop alone in their place.
    async fn limits(&self) -> Vec<PlanLimit> {
        LimitKind::ALL.into_iter().map(PlanLimit).collect()
    }
}

/// A limit of the shop.
pub struct PlanLimit(LimitKind);

/// A limit of the shop.
#[Object]
impl PlanLimit {
    /// The kind of the limit.
    async fn kind(&self) -> LimitKindValue {
        self.0.into()
    }

    /// The amount that the shop may use.
    async fn limit(&self, ctx: &Context<'_>) -> ApiResult<i32> {
        Ok(number(Shop::of(ctx)?.tenant().limits.get(self.0)))
    }

    /// The amount in use: of rates what has not flowed back yet, of operations those on the server that answers. Null
    /// if nothing is counted, or if the caller may not see it.
    async fn used(&self, ctx: &Context<'_>) -> ApiResult<Option<i32>> {
        let shop = Shop::of(ctx)?;
        let (actor, tenant) = (shop.actor(), shop.tenant());
        let Actor::User(principal) = actor else { return Ok(None) };
        let caller = Caller::new(tenant.id, tenant.limits, principal);
        let limiter = &Request::of(ctx)?.services().limiter;
        let used = match self.0 {
            LimitKind::PointsPerMinute | LimitKind::RequestsPerMinute | LimitKind::MutationsPerMinute => {
                let standings = limiter.standings(&caller).await;
                let standing = standings.iter().find(|standing| standing.kind == self.0 && !standing.of_key);
                standing.map(|standing| i64::from(standing.limit - standing.left))
            }
            LimitKind::ConcurrentOperations => Some(i64::from(limiter.running(&caller))),
            LimitKind::Books if actor.may(Permission::CatalogRead) => {
                let count = stored_count(&shop.read().await?, actor).await;
                Some(count.map_err(|failure| into_error(failure, actor))?)
            }
            LimitKind::WebhookEndpoints if actor.may(Permission::WebhooksRead) => {
                let count = endpoint_count(&shop.read().await?, actor).await;
                Some(count.map_err(|failure| into_error(failure, actor))?)
            }
            _ => None,
        };
        Ok(used.map(|used| i32::try_from(used).unwrap_or(i32::MAX)))
    }
}

/// Queries about the shop's plan.
#[derive(Default)]
pub struct PlanQuery;

#[Object]
impl PlanQuery {
    /// The shop's plan: what the shop may use, and how much of it is in use.
    #[graphql(directive = access::apply(signed_in()))]
    async fn plan(&self, ctx: &Context<'_>) -> ApiResult<PlanNode> {
        Shop::of(ctx)?.actor().require(Access::SignedIn).map_err(|_| ApiError::unauthenticated())?;
        Ok(PlanNode)
    }
}
