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

/// What a tenant may use. Rates are of the tenant as a whole, over all servers.
#[derive(SimpleObject)]
pub struct PlanLimits {
    /// Books that are kept, archived ones among them.
    books: i32,
    /// Operations that run at a time, on each server.
    concurrent_operations: i32,
    /// Background jobs that run at a time, over all workers.
    jobs: i32,
    /// Fields of mutations a minute.
    mutations_per_minute: i32,
    /// Items of one page.
    page_size: i32,
    /// Points of query cost a minute.
    points_per_minute: i32,
    /// Requests a minute, whatever they cost.
    requests_per_minute: i32,
    /// Endpoints of webhooks.
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

/// What a tenant pays for.
pub struct PlanNode(Plan);

impl From<Plan> for PlanNode {
    fn from(plan: Plan) -> Self {
        Self(plan)
    }
}

/// What a tenant pays for.
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

    /// What it gives.
    async fn limits(&self) -> PlanLimits {
        Limits::from(&self.0.limits).into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// What was agreed for a tenant in the place of its plan's limit.
#[derive(SimpleObject)]
pub struct LimitOverride {
    /// The limit.
    limit: Option<LimitKindValue>,
    /// What it is until the end.
    value: i32,
    /// From when on it is the plan's again.
    ends_at: DateTime<Utc>,
    /// Why.
    reason: String,
    /// Who agreed to it.
    made_by: String,
    /// When.
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

/// What is to be changed of a plan; what is absent stays as it is.
#[derive(InputObject)]
pub struct PlanUpdateInput {
    /// The name for people.
    name: Option<String>,
    /// Books that are kept, 0 to 1,000,000,000.
    books: Option<i32>,
    /// Operations that run at a time, on each server, 1 to 10,000.
    concurrent_operations: Option<i32>,
    /// Background jobs that run at a time, 1 to 1,000.
    jobs: Option<i32>,
    /// Fields of mutations a minute, 1 to 60,000,000.
    mutations_per_minute: Option<i32>,
    /// Items of one page, 20 to 100.
    page_size: Option<i32>,
    /// Points of query cost a minute, 1 to 60,000,000.
    points_per_minute: Option<i32>,
    /// Requests a minute, 1 to 60,000,000.
    requests_per_minute: Option<i32>,
    /// Endpoints of webhooks, 0 to 1,000.
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
    /// All plans, from the smallest to the largest.
    #[graphql(directive = access::apply(signed_in()))]
    async fn plans(&self, ctx: &Context<'_>) -> ApiResult<Vec<PlanNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::plan_list(&request.control).await?.into_iter().map(PlanNode).collect())
    }

    /// What was agreed for a tenant beside its plan, be it in force or not any more; null where there is no such tenant.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_limit_overrides(&self, ctx: &Context<'_>, slug: String) -> ApiResult<Option<Vec<LimitOverride>>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let Some(tenant) = tenant_by_slug(&request.control, &slug).await? else { return Ok(None) };
        let agreed = service::override_list(&request.control, tenant.id).await?;
        Ok(Some(agreed.into_iter().map(LimitOverride::from).collect()))
    }
}

payload!(
    /// What `planUpdate` answers.
    PlanUpdatePayload {
        /// The plan as it is now.
        plan: PlanNode(Plan)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// What `tenantPlanChange` answers.
    TenantPlanChangePayload {
        /// The tenant as it is now.
        tenant: TenantNode(Tenant)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// What `tenantLimitOverride` answers.
    TenantLimitOverridePayload {
        /// What is agreed now.
        limit_override: LimitOverride(Override)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// What `tenantLimitClear` answers.
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
        #[graphql(desc = "What it is to be.")] value: i32,
        #[graphql(desc = "From when on it is the plan's again.")] ends_at: DateTime<Utc>,
        #[graphql(desc = "Why, for the operators.")] reason: String,
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
