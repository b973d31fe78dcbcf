//! A shop's settings at the edge.

use std::sync::Arc;

use async_graphql::{Context, Json, MergedObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::error::SettingErrorCode;
use super::model::{Choice, layer};
use super::sealed::Sealing;
use super::service::{self, Desk};
use crate::graphql::access::{access, needs};
use crate::graphql::payload::{into_error, payload};
use crate::graphql::settings::{SettingFacts, SettingName};
use crate::graphql::user_error::SettingUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey, Request, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::settings::Setting;

/// A setting of the shop.
#[derive(MergedObject)]
#[graphql(name = "Setting")]
pub struct SettingNode(SettingFacts, OwnFacts);

/// What the shop itself is told of a setting.
#[derive(SimpleObject)]
pub struct OwnFacts {
    /// Tells whether the shop has set a value itself; `settingReset` removes it.
    is_own: bool,
    /// The time when the shop set it; null if it has not.
    updated_at: Option<DateTime<Utc>>,
    /// Tells whether the caller can change it. What cannot be changed is the platform's.
    viewer_can_change: bool,
}

impl SettingNode {
    fn new(request: &Request, shop: &Shop, choice: Choice) -> Self {
        let Choice { setting, own } = choice;
        let values = layer(own.as_slice());
        let own = own.filter(|_| values.contains_key(&setting) && setting.is_shops());
        let settings = request.services().settings.with(shop.tenant(), Arc::new(values));
        let facts = OwnFacts {
            is_own: own.is_some(),
            updated_at: own.map(|own| own.updated_at),
            viewer_can_change: setting.is_shops() && shop.actor().may(Permission::SettingsManage),
        };
        Self(SettingFacts::new(setting, settings.find(setting)), facts)
    }
}

/// Queries about settings.
#[derive(Default)]
pub struct SettingQuery;

#[Object]
impl SettingQuery {
    /// Lists the settings of the shop by name, with their values and where these come from.
    #[graphql(directive = access::apply(needs(Permission::SettingsManage)))]
    async fn settings(&self, ctx: &Context<'_>) -> ApiResult<Vec<SettingNode>> {
        let (request, shop) = (Request::of(ctx)?, Shop::of(ctx)?);
        let listed = service::setting_list(&shop.read().await?, shop.actor()).await;
        let choices = listed.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(choices.into_iter().map(|choice| SettingNode::new(request, shop, choice)).collect())
    }
}

payload!(
    /// The answer to `settingUpdate`.
    SettingUpdatePayload {
        /// The setting as it is now.
        setting: SettingNode(SettingNode)
    },
    SettingUserError(SettingErrorCode)
);
payload!(
    /// The answer to `settingReset`.
    SettingResetPayload {
        /// The setting as it is now.
        setting: SettingNode(SettingNode)
    },
    SettingUserError(SettingErrorCode)
);

/// Mutations of settings.
#[derive(Default)]
pub struct SettingMutation;

#[Object]
impl SettingMutation {
    /// Sets a setting of the shop, within a second everywhere. For secrets `idempotencyKey` is ignored: a repeated call
    /// sets the same value.
    #[graphql(directive = access::apply(needs(Permission::SettingsManage)))]
    async fn setting_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The setting.")] name: SettingName,
        #[graphql(desc = "The value: a number or a string, as the setting's type says.")] value: Json<Value>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<SettingUpdatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let setting = Setting::from(name);
        let work = async |tx: &mut _| service::setting_update(tx, desk(&call), setting, &value).await;
        let (action, needed) = ("setting.update", Permission::SettingsManage);
        let result = if setting.is_secret() {
            call.shop.write(call.request, action, needed, work).await
        } else {
            call.write(action, needed, work).await
        };
        let result = result.map(|choice| SettingNode::new(call.request, call.shop, choice));
        SettingUpdatePayload::new(result, call.actor())
    }

    /// Removes the shop's own value; the next source applies (see `SettingSource`).
    #[graphql(directive = access::apply(needs(Permission::SettingsManage)))]
    async fn setting_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The setting.")] name: SettingName,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<SettingResetPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let setting = Setting::from(name);
        let work = async |tx: &mut _| service::setting_reset(tx, desk(&call), setting).await;
        let result = call.write("setting.reset", Permission::SettingsManage, work).await;
        let result = result.map(|choice| SettingNode::new(call.request, call.shop, choice));
        SettingResetPayload::new(result, call.actor())
    }
}

/// Where the call of a mutation changes settings.
fn desk<'a>(call: &Call<'a>) -> Desk<'a> {
    let services = call.request.services();
    let sealing = Sealing { vault: &services.vault, tenant: call.shop.tenant() };
    Desk { actor: call.actor(), clock: &*services.clock, sealing }
}
