//! Decisions about a shop's own settings.

use serde_json::{Value, json};

use super::model::{Choice, OwnSetting};
use super::repo;
use super::sealed::Sealing;
use super::{SettingError, SettingErrorCode};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::Clock;
use crate::kernel::journal::Change;
use crate::kernel::news::Fact;
use crate::kernel::settings::Setting;

/// Whoever changes settings, and what it takes.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Who acts.
    pub actor: &'a Actor,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Seals secrets.
    pub sealing: Sealing<'a>,
}

/// Every setting, with what the shop has set.
///
/// # Errors
/// The actor may not manage settings, or the database failed.
pub async fn setting_list(read: &TenantRead, actor: &Actor) -> Result<Vec<Choice>, SettingError> {
    actor.require(Permission::SettingsManage)?;
    let rows = repo::own_list(read).await?;
    let own = |setting: &Setting| rows.iter().find(|row| row.name == setting.name()).cloned();
    Ok(Setting::ALL.iter().map(|setting| Choice { setting: *setting, own: own(setting) }).collect())
}

/// What the shop has set, for the platform itself.
///
/// # Errors
/// The database failed.
pub async fn own_list(read: &TenantRead) -> Result<Vec<OwnSetting>, DbError> {
    repo::own_list(read).await
}

/// Sets a setting of the shop. Setting it to what it is changes nothing; a secret is always set anew.
///
/// # Errors
/// The setting is the platform's, or the value is none of its values.
pub async fn setting_update(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    setting: Setting,
    value: &Value,
) -> Result<Choice, SettingError> {
    let before = locked(tx, desk.actor, setting).await?;
    let value = setting
        .check(value)
        .map_err(|error| SettingError::refused(SettingErrorCode::ValueInvalid, format!("{error}."), &["value"]))?;
    let (value, sealed) = match value.as_str() {
        Some(secret) if setting.is_secret() => (None, Some(desk.sealing.seal(setting, secret)?)),
        _ => (Some(value), None),
    };
    if value.is_some() && before.as_ref().is_some_and(|before| before.value == value) {
        return Ok(Choice { setting, own: before });
    }
    let own = OwnSetting {
        name: setting.name().to_owned(),
        value,
        sealed,
        updated_by: desk.actor.principal().map(|principal| principal.user.0),
        updated_at: desk.clock.now(),
    };
    let own = repo::own_upsert(tx, &own).await?;
    tx.tell(Fact::SETTINGS);
    let change = match before {
        Some(before) => Change::changed(entity(setting), before.trail(), own.trail()),
        None => Change::created(entity(setting), own.trail()),
    };
    tx.note(match &own.value {
        Some(value) if setting.is_personal() => change.with_personal(json!({ "value": value })),
        _ => change,
    });
    Ok(Choice { setting, own: Some(own) })
}

/// Has a setting be again what it is where the shop has set nothing.
///
/// # Errors
/// The setting is the platform's.
pub async fn setting_reset(tx: &mut TenantTx, desk: Desk<'_>, setting: Setting) -> Result<Choice, SettingError> {
    if let Some(before) = locked(tx, desk.actor, setting).await? {
        repo::own_delete(tx, setting).await?;
        tx.tell(Fact::SETTINGS);
        tx.note(Change::removed(entity(setting), before.trail()));
    }
    Ok(Choice { setting, own: None })
}

/// Seals secrets with the shop's present key, and answers how many are not what was sealed: those are left as they are.
///
/// # Errors
/// The database failed, or the key cannot be used.
pub async fn settings_reseal(tx: &mut TenantTx, sealing: Sealing<'_>) -> Result<usize, SettingError> {
    use secrecy::ExposeSecret as _;
    let mut damaged = 0;
    for setting in Setting::ALL.iter().copied().filter(|setting| setting.is_secret()) {
        let Some(sealed) = repo::own_lock(tx, setting).await?.and_then(|own| own.sealed) else { continue };
        match sealing.open(setting, &sealed) {
            Ok(secret) => {
                let sealed = sealing.seal(setting, secret.expose_secret())?;
                repo::sealed_update(tx, setting, sealed).await?;
            }
            Err(error) => {
                tracing::error!(%error, setting = %setting, "A shop's secret is not what was sealed");
                damaged += 1;
            }
        }
    }
    Ok(damaged)
}

/// What the shop has set of a setting that it may change, locked until the transaction ends.
async fn locked(tx: &mut TenantTx, actor: &Actor, setting: Setting) -> Result<Option<OwnSetting>, SettingError> {
    actor.require(Permission::SettingsManage)?;
    if !setting.is_shops() {
        let message = format!("`{setting}` is the platform's to change; ask its operators.");
        return Err(SettingError::refused(SettingErrorCode::SettingNotChangeable, message, &["name"]));
    }
    Ok(repo::own_lock(tx, setting).await?)
}

/// What the trail calls a setting.
pub(super) fn entity(setting: Setting) -> String {
    format!("setting_{setting}")
}
