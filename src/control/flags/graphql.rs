//! Flags in the operators' API.

use async_graphql::{Context, InputObject, Object};
use chrono::{DateTime, Utc};

use super::model::{Decision, ExceptionRow, FlagPatch, FlagState};
use super::service::{self, flag_by_name};
use crate::control::error::ControlErrorCode;
use crate::control::graphql::ControlUserError;
use crate::control::tenants::service::tenant_by_slug;
use crate::graphql::access::{access, signed_in};
use crate::graphql::payload::payload;
use crate::graphql::scalars::Date;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;
use crate::kernel::flags::{Flag, Reason};

/// A feature that is switched on for some tenants before it is for all.
pub struct FlagNode(FlagState);

impl From<FlagState> for FlagNode {
    fn from(state: FlagState) -> Self {
        Self(state)
    }
}

/// A feature that is switched on for some tenants before it is for all.
#[Object(name = "Flag")]
impl FlagNode {
    /// The name.
    async fn name(&self) -> &'static str {
        self.0.flag.name()
    }

    /// The feature that it switches.
    async fn description(&self) -> &'static str {
        self.0.flag.about()
    }

    /// The percent of all tenants that it is on for.
    async fn percent(&self) -> i32 {
        self.0.row.as_ref().map_or(0, |row| row.percent.into())
    }

    /// The person who sees to its removal; null if nobody has switched it yet.
    async fn owner(&self) -> Option<&str> {
        self.0.row.as_ref().map(|row| row.owner.as_str())
    }

    /// The day by which the flag is to be removed from the code. Nothing is switched then: a flag that is left over is
    /// told of.
    async fn ends_on(&self) -> Option<Date> {
        self.0.row.as_ref().map(|row| Date(row.ends_on))
    }

    /// Tells whether that day has passed.
    async fn is_overdue(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        Ok(self.0.is_overdue(AdminRequest::of(ctx)?.0.clock().now().date_naive()))
    }

    /// The operator who changed it last.
    async fn updated_by(&self) -> Option<&str> {
        self.0.row.as_ref().map(|row| row.updated_by.as_str())
    }

    /// The time when it was decided.
    async fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.0.row.as_ref().map(|row| row.updated_at)
    }

    /// The decisions for single tenants, by their slugs; the first 100. `tenantFlags` tells of any.
    async fn exceptions(&self) -> Vec<FlagExceptionNode> {
        self.0.exceptions.iter().cloned().map(FlagExceptionNode).collect()
    }
}

/// A decision about a flag for one tenant, whatever its share.
pub struct FlagExceptionNode(ExceptionRow);

/// A decision about a flag for one tenant, whatever its share.
#[Object(name = "FlagException")]
impl FlagExceptionNode {
    /// The tenant's slug.
    async fn tenant(&self) -> &str {
        &self.0.tenant
    }

    /// Tells whether the flag is on.
    async fn is_on(&self) -> bool {
        self.0.is_on
    }

    /// The end of the decision, after which the share counts again; null if it has none.
    async fn ends_at(&self) -> Option<DateTime<Utc>> {
        self.0.ends_at
    }

    /// The reason.
    async fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The operator who decided it.
    async fn updated_by(&self) -> &str {
        &self.0.updated_by
    }

    /// The time when it was decided.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// A flag, as it is for a tenant.
pub struct TenantFlagNode {
    flag: Flag,
    decision: (bool, Reason),
}

/// A flag, as it is for a tenant.
#[Object(name = "TenantFlag")]
impl TenantFlagNode {
    /// The flag's name.
    async fn name(&self) -> &'static str {
        self.flag.name()
    }

    /// Tells whether the flag is on.
    async fn is_on(&self) -> bool {
        self.decision.0
    }

    /// Tells whether that was decided for the tenant; otherwise the flag's share says so.
    async fn is_exception(&self) -> bool {
        self.decision.1 == Reason::Exception
    }
}

/// Queries about flags.
#[derive(Default)]
pub struct FlagQuery;

#[Object]
impl FlagQuery {
    /// Lists the flags of this release, by name.
    #[graphql(directive = access::apply(signed_in()))]
    async fn flags(&self, ctx: &Context<'_>) -> ApiResult<Vec<FlagNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::flag_list(&request.control).await?.into_iter().map(FlagNode).collect())
    }

    /// Lists all flags of this release, as they are for a tenant; null if there is no such tenant.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_flags(&self, ctx: &Context<'_>, slug: String) -> ApiResult<Option<Vec<TenantFlagNode>>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let tenant = tenant_by_slug(&request.control, &slug).await?;
        let Some(context) = tenant.and_then(|tenant| tenant.context()) else { return Ok(None) };
        let now = request.clock().now();
        let node = |flag: &Flag| TenantFlagNode { flag: *flag, decision: context.flags.decide(*flag, context.id, now) };
        Ok(Some(Flag::ALL.iter().map(node).collect()))
    }
}

/// The share of tenants that a flag is on for. A field that is not given stays.
#[derive(InputObject)]
pub struct FlagUpdateInput {
    /// The percent of all tenants, 0 to 100. Who has it keeps it while the share grows.
    percent: Option<i32>,
    /// The person who sees to its removal. Needed the first time.
    owner: Option<String>,
    /// The day by which the flag is to be removed from the code. Needed the first time.
    ends_on: Option<Date>,
}

/// A decision about a flag for a tenant.
#[derive(InputObject)]
pub struct TenantFlagSetInput {
    /// Tells whether the flag is on.
    is_on: bool,
    /// The end of the decision; it has none if it is left out.
    ends_at: Option<DateTime<Utc>>,
    /// The reason, for the operators.
    reason: String,
}

payload!(
    /// The answer to `flagUpdate`.
    FlagUpdatePayload {
        /// The flag as it is now.
        flag: FlagNode(FlagState)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantFlagSet`.
    TenantFlagSetPayload {
        /// The flag as it is now.
        flag: FlagNode(FlagState)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantFlagRemove`.
    TenantFlagRemovePayload {
        /// The flag as it is now.
        flag: FlagNode(FlagState)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations of flags.
#[derive(Default)]
pub struct FlagMutation;

#[Object]
impl FlagMutation {
    /// Switches a flag on for a share of all tenants, within a second everywhere.
    #[graphql(directive = access::apply(signed_in()))]
    async fn flag_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The flag.")] name: String,
        input: FlagUpdateInput,
    ) -> ApiResult<FlagUpdatePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let FlagUpdateInput { percent, owner, ends_on } = input;
        let patch = FlagPatch { percent, owner, ends_on: ends_on.map(|date| date.0) };
        let updated = match flag_by_name(&name) {
            Ok(flag) => service::flag_update(&request.control, request.clock(), operator, flag, &patch).await,
            Err(refusal) => Err(refusal),
        };
        FlagUpdatePayload::new(updated, &Actor::System)
    }

    /// Decides a flag for one tenant, whatever its share, within a second everywhere.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_flag_set(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The flag.")] name: String,
        input: TenantFlagSetInput,
    ) -> ApiResult<TenantFlagSetPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let TenantFlagSetInput { is_on, ends_at, reason } = input;
        let decision = Decision { is_on, ends_at, reason };
        let (control, clock) = (&request.control, request.clock());
        let set = match flag_by_name(&name) {
            Ok(flag) => service::tenant_flag_set(control, clock, operator, (flag, &slug), decision).await,
            Err(refusal) => Err(refusal),
        };
        TenantFlagSetPayload::new(set, &Actor::System)
    }

    /// Removes the decision about a flag for a tenant: the flag's share counts again.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_flag_remove(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The flag.")] name: String,
    ) -> ApiResult<TenantFlagRemovePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let removed = match flag_by_name(&name) {
            Ok(flag) => service::tenant_flag_remove(&request.control, request.clock(), operator, (flag, &slug)).await,
            Err(refusal) => Err(refusal),
        };
        TenantFlagRemovePayload::new(removed, &Actor::System)
    }
}
