//! Plans at the operators' edge.

use std::borrow::Cow;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::model::{NewOverride, Override, Plan, PlanPatch};
use super::service::{self, Desk};
use crate::control::error::ControlErrorCode;
use crate::control::graphql::{ControlUserError, TenantNode};
use crate::control::tenants::Tenant;
use crate::control::tenants::service::tenant_by_slug;
use crate::graphql::access::{access, signed_in};
use crate::graphql::limits::{LimitKindValue, number};
use crate::graphql::payload::payload;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;
use crate::kernel::limits::{LimitKind, Limits};

/// The limits of what a tenant may use. Rates are of the tenant as a whole, over all servers.
#[derive(SimpleObject)]
pub struct PlanLimits {
    /// The number of books, archived ones included.
    books: i32,
    /// The number of operations that run at the same time, on each server.
    concurrent_operations: i32,
    /// The number of background jobs that run at the same time, over all workers.
    jobs: i32,
    /// The number of mutations a minute: each field of a mutation counts.
    mutations_per_minute: i32,
    /// The number of items on one page.
    page_size: i32,
    /// The number of points of query cost a minute.
    points_per_minute: i32,
    /// The number of requests a minute, whatever they cost.
    requests_per_minute: i32,
    /// The number of webhook endpoints.
    webhook_endpoints: i32,
    /// The share of the database while others want it too, relative to theirs.
    weight: i32,
}

impl From<Limits> for PlanLimits {
    fn from(limits: Limits) -> Self {
        Self {
            books: number(limits.books),
            concurrent_operations: number(limits.concurrent_operations),
            jobs: number(limits.jobs),
            mutations_per_minute: number(limits.mutations_per_minute),
            page_size: number(limits.page_size),
            points_per_minute: number(limits.points_per_minute),
            requests_per_minute: number(limits.requests_per_minute),
            webhook_endpoints: number(limits.webhook_endpoints),
            weight: number(limits.weight),
        }
    }
}

/// A plan that tenants pay for.
pub struct PlanNode(Plan);

impl From<Plan> for PlanNode {
    fn from(plan: Plan) -> Self {
        Self(plan)
    }
}

/// A plan that tenants pay for.
#[Object(name = "Plan")]
impl PlanNode {
    /// The name for programs.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// The name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The limits of the plan.
    async fn limits(&self) -> PlanLimits {
        Limits::from(&self.0.limits).into()
    }

    /// The time when the plan was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// A limit that was agreed for a tenant in the place of its plan's.
#[derive(SimpleObject)]
pub struct LimitOverride {
    /// The limit.
    limit: Option<LimitKindValue>,
    /// The limit until then.
    value: i32,
    /// The time from which it is the plan's limit again.
    ends_at: DateTime<Utc>,
    /// The reason.
    reason: String,
    /// The operator who agreed to it.
    made_by: String,
    /// The time when it was agreed.
    made_at: DateTime<Utc>,
}

impl From<Override> for LimitOverride {
    fn from(agreed: Override) -> Self {
        Self {
            limit: agreed.limit_name.parse::<LimitKind>().ok().map(Into::into),
            value: agreed.value,
            ends_at: agreed.ends_at,
            reason: agreed.reason,
            made_by: agreed.made_by,
            made_at: agreed.made_at,
        }
    }
}

/// Changes of a plan. A field that is not given stays.
#[derive(InputObject)]
pub struct PlanUpdateInput {
    /// The name for people.
    name: Option<String>,
    /// The number of books, 0 to 1,000,000,000.
    books: Option<i32>,
    /// The number of operations that run at the same time, on each server, 1 to 10,000.
    concurrent_operations: Option<i32>,
    /// The number of background jobs that run at the same time, 1 to 1,000.
    jobs: Option<i32>,
    /// The number of mutations a minute, 1 to 60,000,000: each field of a mutation counts.
    mutations_per_minute: Option<i32>,
    /// The number of items on one page, 20 to 100.
    page_size: Option<i32>,
    /// The number of points of query cost a minute, 1 to 60,000,000.
    points_per_minute: Option<i32>,
    /// The number of requests a minute, 1 to 60,000,000.
    requests_per_minute: Option<i32>,
    /// The number of webhook endpoints, 0 to 1,000.
    webhook_endpoints: Option<i32>,
    /// The share of the database while others want it too, 1 to 100.
    weight: Option<i32>,
}

impl PlanUpdateInput {
    fn parse(self) -> PlanPatch {
        let limits = [
            (LimitKind::Books, self.books, "books"),
            (LimitKind::ConcurrentOperations, self.concurrent_operations, "concurrentOperations"),
            (LimitKind::Jobs, self.jobs, "jobs"),
            (LimitKind::MutationsPerMinute, self.mutations_per_minute, "mutationsPerMinute"),
            (LimitKind::PageSize, self.page_size, "pageSize"),
            (LimitKind::PointsPerMinute, self.points_per_minute, "pointsPerMinute"),
            (LimitKind::RequestsPerMinute, self.requests_per_minute, "requestsPerMinute"),
            (LimitKind::WebhookEndpoints, self.webhook_endpoints, "webhookEndpoints"),
            (LimitKind::Weight, self.weight, "weight"),
        ];
        let limits = limits.into_iter().filter_map(|(kind, value, path)| Some((kind, value?, Cow::Borrowed(path))));
        PlanPatch { name: self.name, limits: limits.collect() }
    }
}

/// Queries about plans.
#[derive(Default)]
pub struct PlanQuery;

#[Object]
impl PlanQuery {
    /// Lists all plans, from the smallest to the largest.
    #[graphql(directive = access::apply(signed_in()))]
    async fn plans(&self, ctx: &Context<'_>) -> ApiResult<Vec<PlanNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::plan_list(&request.control).await?.into_iter().map(PlanNode).collect())
    }

    /// Lists the limits that were agreed for a tenant beside its plan, be they in force or not any more; null if there
    /// is no such tenant.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_limit_overrides(&self, ctx: &Context<'_>, slug: String) -> ApiResult<Option<Vec<LimitOverride>>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let Some(tenant) = tenant_by_slug(&request.control, &slug).await? else { return Ok(None) };
        let agreed = service::override_list(&request.control, tenant.id).await?;
        Ok(Some(agreed.into_iter().map(LimitOverride::from).collect()))
    }
}

payload!(
    /// The answer to `planUpdate`.
    PlanUpdatePayload {
        /// The plan as it is now.
        plan: PlanNode(Plan)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantPlanChange`.
    TenantPlanChangePayload {
        /// The tenant as it is now.
        tenant: TenantNode(Tenant)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantLimitOverride`.
    TenantLimitOverridePayload {
        /// The limit that is agreed now.
        limit_override: LimitOverride(Override)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantLimitClear`.
    TenantLimitClearPayload {
        /// The tenant, with its plan's limit again.
        tenant: TenantNode(Tenant)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations of plans.
#[derive(Default)]
pub struct PlanMutation;

fn desk<'a>(ctx: &Context<'a>) -> ApiResult<Desk<'a>> {
    let (request, operator) = AdminRequest::of(ctx)?;
    Ok(Desk { control: &request.control, clock: request.clock(), operator })
}

#[Object]
impl PlanMutation {
    /// Changes a plan, for all tenants who have it, within a second everywhere.
    #[graphql(directive = access::apply(signed_in()))]
    async fn plan_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The plan.")] code: String,
        input: PlanUpdateInput,
    ) -> ApiResult<PlanUpdatePayload> {
        PlanUpdatePayload::new(desk(ctx)?.plan_update(&code, &input.parse()).await, &Actor::System)
    }

    /// Puts a tenant on another plan, within a second everywhere. What it has beyond the new plan's limits stays; it cannot
    /// add to it.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_plan_change(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The code of the plan.")] plan: String,
    ) -> ApiResult<TenantPlanChangePayload> {
        TenantPlanChangePayload::new(desk(ctx)?.tenant_plan_change(&slug, &plan).await, &Actor::System)
    }

    /// Agrees to another limit for a tenant until a time, in the place of its plan's and of what was agreed about it before.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_limit_override(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The limit.")] limit: LimitKindValue,
        #[graphql(desc = "The new limit.")] value: i32,
        #[graphql(desc = "The time from which it is the plan's limit again.")] ends_at: DateTime<Utc>,
        #[graphql(desc = "The reason, for the operators.")] reason: String,
    ) -> ApiResult<TenantLimitOverridePayload> {
        let new = NewOverride { limit: limit.into(), value, ends_at, reason };
        TenantLimitOverridePayload::new(desk(ctx)?.limit_override(&slug, &new).await, &Actor::System)
    }

    /// Ends what was agreed about a limit of a tenant's: it is the plan's again, within a second everywhere.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_limit_clear(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The limit.")] limit: LimitKindValue,
    ) -> ApiResult<TenantLimitClearPayload> {
        TenantLimitClearPayload::new(desk(ctx)?.limit_clear(&slug, limit.into()).await, &Actor::System)
    }
}
