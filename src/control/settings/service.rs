//! Decisions about what operators set for plans and for tenants.
//!
//! A shop's own value goes before what is set here, but of what is the platform's alone; it can be taken back. That is done in the
//! shop's schema and noted in the operators' trail before: a try without effect is better in the trail than an effect without a try.

use std::sync::Arc;

use serde_json::{Value, json};

use super::model::{RuledSetting, SettingState, Target, values};
use super::repo;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode, ControlRefusal};
use crate::control::tenants::service::{tenant_by_slug, tenant_standing};
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::{ControlDb, ControlTx, DbError, TenantDb};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::settings::{Layer, Ruled, Setting, Settings};
use crate::tenant::settings::ShopSettings;
use crate::tenant::settings::model::layer;
use crate::tenant::settings::operations::own_reset;
use crate::tenant::settings::service::own_list;
use crate::vault::Vault;

/// Who sets things for plans and tenants, and by what.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Where plans, tenants and the operators' trail are.
    pub control: &'a ControlDb,
    /// Where shops' own settings are.
    pub tenants: &'a TenantDb,
    /// What shops' settings come to.
    pub settings: &'a ShopSettings,
    /// Seals for the tenants' trails.
    pub vault: &'a Vault,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Who acts.
    pub operator: &'a Operator,
}

impl Desk<'_> {
    /// Every setting as it is for a plan's tenants who have set nothing, or for a tenant.
    ///
    /// # Errors
    /// There is no such plan or tenant, or the tenant has no schema.
    pub async fn list(&self, target: &Target) -> Result<Vec<SettingState>, ControlError> {
        match target {
            Target::Plan(plan) => {
                self.check_plan(plan).await?;
                let rows = repo::of_plan(self.control, plan).await?;
                let ruled = Ruled { tenant: values(&[]), plan: values(&rows) };
                Ok(states(&self.settings.of_parts(Arc::default(), ruled), &rows, &Layer::new()))
            }
            Target::Tenant(slug) => {
                let tenant = self.standing(slug).await?;
                let rows = repo::of_tenant(self.control, tenant.id).await?;
                let own = Arc::new(self.own(&tenant).await?);
                let plan = values(&repo::of_plan(self.control, &tenant.plan).await?);
                let ruled = Ruled { tenant: values(&rows), plan };
                Ok(states(&self.settings.of_parts(Arc::clone(&own), ruled), &rows, &own))
            }
        }
    }

    /// A setting as it is for a plan or a tenant.
    ///
    /// # Errors
    /// As [`Desk::list`].
    async fn one(&self, target: &Target, setting: Setting) -> Result<SettingState, ControlError> {
        let states = self.list(target).await?;
        let state = states.into_iter().find(|state| state.setting == setting);
        state.ok_or_else(|| DbError::Other(format!("`{setting}` is no setting")).into())
    }

    /// Sets something for a plan or a tenant, within a second everywhere. Setting it to what it is changes nothing.
    ///
    /// # Errors
    /// There is no such plan or tenant, the tenant is on its way out, the setting is a secret, or the value is none of its values.
    pub async fn update(&self, target: &Target, setting: Setting, value: &Value) -> Result<SettingState, ControlError> {
        if setting.is_secret() {
            let message = format!("`{setting}` is a secret: a shop sets its own, and the environment the platform's.");
            return Err(ControlError::refused(ControlErrorCode::SettingIsSecret, message, &["name"]));
        }
        let value = setting.check(value).map_err(|error| {
            ControlRefusal::new(ControlErrorCode::SettingValueInvalid, format!("{error}."), &["value"])
        })?;
        let now = self.clock.now();
        let by = (self.operator.name.as_str(), now);
        let details = |before: Option<Value>| {
            json!({
                "setting": setting.name(),
                "before": noted(setting, before.as_ref()),
                "after": noted(setting, Some(&value)),
            })
        };
        match target {
            Target::Plan(plan) => {
                self.check_plan(plan).await?;
                let work = async |tx: &mut ControlTx| {
                    let before = repo::plan_lock(tx, plan, setting).await?;
                    if before.as_ref() == Some(&value) {
                        return Ok(());
                    }
                    repo::plan_upsert(tx, plan, (setting, value.clone()), by).await?;
                    record(tx, self.clock, self.operator, ("plan.setting_update", plan), details(before)).await
                };
                self.control.write::<_, DbError>(work).await?;
            }
            Target::Tenant(slug) => {
                let work = async |tx: &mut ControlTx| {
                    let tenant = tenant_standing(tx, slug).await?;
                    let before = repo::tenant_value(tx, tenant.id, setting).await?;
                    if before.as_ref() == Some(&value) {
                        return Ok(());
                    }
                    repo::tenant_upsert(tx, tenant.id, (setting, value.clone()), by).await?;
                    record(tx, self.clock, self.operator, ("tenant.setting_update", slug), details(before)).await?;
                    Ok::<_, ControlError>(())
                };
                self.control.write(work).await?;
            }
        }
        self.one(target, setting).await
    }

    /// Takes back what operators have set for a plan or a tenant, and what the shop has set itself if that is wanted too.
    ///
    /// # Errors
    /// There is no such plan or tenant, or the tenant is on its way out.
    pub async fn reset(
        &self,
        target: &Target,
        setting: Setting,
        takes_own: bool,
    ) -> Result<SettingState, ControlError> {
        let details = |before: Value| json!({ "setting": setting.name(), "before": noted(setting, Some(&before)) });
        match target {
            Target::Plan(plan) => {
                self.check_plan(plan).await?;
                let work = async |tx: &mut ControlTx| {
                    let Some(before) = repo::plan_lock(tx, plan, setting).await? else { return Ok(()) };
                    repo::plan_delete(tx, plan, setting).await?;
                    record(tx, self.clock, self.operator, ("plan.setting_reset", plan), details(before)).await
                };
                self.control.write::<_, DbError>(work).await?;
            }
            Target::Tenant(slug) => {
                let work = async |tx: &mut ControlTx| {
                    let tenant = tenant_standing(tx, slug).await?;
                    let Some(before) = repo::tenant_value(tx, tenant.id, setting).await? else { return Ok(()) };
                    repo::tenant_delete(tx, tenant.id, setting).await?;
                    record(tx, self.clock, self.operator, ("tenant.setting_reset", slug), details(before)).await?;
                    Ok::<_, ControlError>(())
                };
                self.control.write(work).await?;
                if takes_own {
                    self.reset_own(slug, setting).await?;
                }
            }
        }
        self.one(target, setting).await
    }

    /// Takes back what a shop has set itself.
    async fn reset_own(&self, slug: &str, setting: Setting) -> Result<(), ControlError> {
        let tenant = self.standing(slug).await?;
        let act = ("tenant.setting_reset_own", slug);
        let note = async |tx: &mut ControlTx| {
            record(tx, self.clock, self.operator, act, json!({ "setting": setting.name() })).await
        };
        self.control.write::<_, DbError>(note).await?;
        let session = self.tenants.session(tenant.context().ok_or_else(|| unreadable(slug))?);
        own_reset(&session, (self.vault, self.clock), &self.operator.name, setting).await?;
        session.finish().await;
        Ok(())
    }

    /// What a shop has set itself.
    async fn own(&self, tenant: &Tenant) -> Result<Layer, ControlError> {
        let session = self.tenants.session(tenant.context().ok_or_else(|| unreadable(&tenant.slug))?);
        let rows = own_list(&session.read().await?).await;
        session.finish().await;
        Ok(layer(&rows?))
    }

    async fn standing(&self, slug: &str) -> Result<Tenant, ControlError> {
        let tenant = tenant_by_slug(self.control, slug).await?.ok_or_else(|| {
            ControlRefusal::new(ControlErrorCode::TenantNotFound, format!("There is no tenant `{slug}`."), &["slug"])
        })?;
        check_standing(&tenant)?;
        Ok(tenant)
    }

    async fn check_plan(&self, plan: &str) -> Result<(), ControlError> {
        if repo::plan_exists(self.control, plan).await? {
            return Ok(());
        }
        let message = format!("There is no plan `{plan}`.");
        Err(ControlError::refused(ControlErrorCode::PlanNotFound, message, &["plan"]))
    }
}

/// What operators have set for a tenant.
///
/// # Errors
/// The database failed.
pub(in crate::control) async fn ruled_list(
    control: &ControlDb,
    tenant: TenantId,
) -> Result<Vec<RuledSetting>, DbError> {
    repo::of_tenant(control, tenant).await
}

/// Sets for a restored tenant what was set for it before; false where this release would not take it.
///
/// # Errors
/// The database failed.
pub(in crate::control) async fn ruled_restore(
    tx: &mut ControlTx,
    tenant: TenantId,
    row: &RuledSetting,
) -> Result<bool, DbError> {
    let Some((setting, value)) = values(std::slice::from_ref(row)).pop_first() else { return Ok(false) };
    repo::tenant_upsert(tx, tenant, (setting, value), (&row.updated_by, row.updated_at)).await?;
    Ok(true)
}

/// What the operators' trail, which outlives the tenant, tells of a value.
fn noted(setting: Setting, value: Option<&Value>) -> Value {
    if setting.is_personal() { json!({ "isSet": value.is_some() }) } else { json!(value) }
}

/// Refuses a tenant that has no schema, or loses it.
fn check_standing(tenant: &Tenant) -> Result<(), ControlError> {
    if tenant.status() == TenantStatus::Provisioning || tenant.is_going() {
        let message = format!("The tenant is {}; it has no settings.", tenant.status);
        return Err(ControlError::refused(ControlErrorCode::TenantStatusConflict, message, &["slug"]));
    }
    Ok(())
}

fn states(settings: &Settings, rows: &[RuledSetting], own: &Layer) -> Vec<SettingState> {
    let state = |setting: &Setting| SettingState {
        setting: *setting,
        found: settings.find(*setting),
        ruled: rows.iter().find(|row| row.name == setting.name()).cloned(),
        is_own: setting.is_shops() && own.contains_key(setting),
    };
    Setting::ALL.iter().map(state).collect()
}

fn unreadable(slug: &str) -> DbError {
    DbError::Other(format!("the entry of `{slug}` holds what this version cannot read"))
}
