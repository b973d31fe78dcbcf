//! Settings in the operators' API.

use async_graphql::{Context, Json, MergedObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::model::{SettingState, Target};
use super::service::Desk;
use crate::control::error::ControlErrorCode;
use crate::control::graphql::ControlUserError;
use crate::graphql::access::{access, signed_in};
use crate::graphql::payload::{into_error, payload};
use crate::graphql::settings::{SettingFacts, SettingName};
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;
use crate::kernel::settings::Setting;

/// A setting of a plan's tenants or of a tenant.
#[derive(MergedObject)]
#[graphql(name = "Setting")]
pub struct SettingNode(SettingFacts, RuledFacts);

/// What operators are told of a setting.
#[derive(SimpleObject)]
pub struct RuledFacts {
    /// Tells whether shops may change it themselves. Their own value goes before all others then.
    is_shops: bool,
    /// Tells whether the shop has set it itself; false for a plan.
    is_own: bool,
    /// The value that operators have set for the plan or the tenant, whether it counts or not.
    ruled_value: Option<Json<Value>>,
    /// The operator who set that.
    ruled_by: Option<String>,
    /// The time when they set it.
    ruled_at: Option<DateTime<Utc>>,
}

impl From<SettingState> for SettingNode {
    fn from(state: SettingState) -> Self {
        let SettingState { setting, found, ruled, is_own } = state;
        let (value, by, at) = match ruled {
            Some(ruled) => (Some(Json(ruled.value)), Some(ruled.updated_by), Some(ruled.updated_at)),
            None => (None, None, None),
        };
        let facts = RuledFacts { is_shops: setting.is_shops(), is_own, ruled_value: value, ruled_by: by, ruled_at: at };
        Self(SettingFacts::new(setting, found), facts)
    }
}

/// Queries about settings.
#[derive(Default)]
pub struct SettingQuery;

#[Object]
impl SettingQuery {
    /// Lists all settings by name, as they are for tenants of a plan who have set nothing.
    #[graphql(directive = access::apply(signed_in()))]
    async fn plan_settings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The plan's code.")] plan: String,
    ) -> ApiResult<Vec<SettingNode>> {
        list(ctx, &Target::Plan(plan)).await
    }

    /// Lists all settings by name, as they are for a tenant.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_settings(&self, ctx: &Context<'_>, slug: String) -> ApiResult<Vec<SettingNode>> {
        list(ctx, &Target::Tenant(slug)).await
    }
}

async fn list(ctx: &Context<'_>, target: &Target) -> ApiResult<Vec<SettingNode>> {
    let states = desk(ctx)?.list(target).await.map_err(|failure| into_error(failure, &Actor::System))?;
    Ok(states.into_iter().map(SettingNode::from).collect())
}

payload!(
    /// The answer to `planSettingUpdate`.
    PlanSettingUpdatePayload {
        /// The setting as it is now.
        setting: SettingNode(SettingState)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `planSettingReset`.
    PlanSettingResetPayload {
        /// The setting as it is now.
        setting: SettingNode(SettingState)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantSettingUpdate`.
    TenantSettingUpdatePayload {
        /// The setting as it is now. A value of the shop's own still counts.
        setting: SettingNode(SettingState)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantSettingReset`.
    TenantSettingResetPayload {
        /// The setting as it is now.
        setting: SettingNode(SettingState)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations of settings.
#[derive(Default)]
pub struct SettingMutation;

#[Object]
impl SettingMutation {
    /// Sets a setting for all tenants of a plan, within a second everywhere. What is set for a tenant goes before it.
    #[graphql(directive = access::apply(signed_in()))]
    async fn plan_setting_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The plan's code.")] plan: String,
        #[graphql(desc = "The setting.")] name: SettingName,
        #[graphql(desc = "The value: a number or a string, as the setting's type says.")] value: Json<Value>,
    ) -> ApiResult<PlanSettingUpdatePayload> {
        let updated = desk(ctx)?.update(&Target::Plan(plan), Setting::from(name), &value).await;
        PlanSettingUpdatePayload::new(updated, &Actor::System)
    }

    /// Removes the value that is set for a plan.
    #[graphql(directive = access::apply(signed_in()))]
    async fn plan_setting_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The plan's code.")] plan: String,
        #[graphql(desc = "The setting.")] name: SettingName,
    ) -> ApiResult<PlanSettingResetPayload> {
        let reset = desk(ctx)?.reset(&Target::Plan(plan), Setting::from(name), false).await;
        PlanSettingResetPayload::new(reset, &Actor::System)
    }

    /// Sets a setting for a tenant, within a second everywhere. What the shop has set itself goes before it.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_setting_update(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The setting.")] name: SettingName,
        #[graphql(desc = "The value: a number or a string, as the setting's type says.")] value: Json<Value>,
    ) -> ApiResult<TenantSettingUpdatePayload> {
        let updated = desk(ctx)?.update(&Target::Tenant(slug), Setting::from(name), &value).await;
        TenantSettingUpdatePayload::new(updated, &Actor::System)
    }

    /// Removes the value that operators have set for a tenant.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_setting_reset(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The setting.")] name: SettingName,
        #[graphql(desc = "Removes the shop's own value as well.", default)] takes_own: bool,
    ) -> ApiResult<TenantSettingResetPayload> {
        let reset = desk(ctx)?.reset(&Target::Tenant(slug), Setting::from(name), takes_own).await;
        TenantSettingResetPayload::new(reset, &Actor::System)
    }
}

fn desk<'a>(ctx: &Context<'a>) -> ApiResult<Desk<'a>> {
    let (request, operator) = AdminRequest::of(ctx)?;
    let services = &request.services;
    Ok(Desk {
        control: &request.control,
        tenants: &services.tenants,
        settings: &services.settings,
        vault: &services.vault,
        clock: request.clock(),
        operator,
    })
}
