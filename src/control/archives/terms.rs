//! What operators have decided for a tenant: it goes into the archive, and comes back with it.
//!
//! A shop that came back without it would lose more than it: events that are kept for years by agreement would be removed by
//! the first sweep. It is the platform's own, so the entry is sealed and whoever gets the file reads nothing of it.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::contents::row::{Locker, RowError, publish, restore};
use super::error::ArchiveError;
use super::export::sha256;
use super::manifest::EntryFacts;
use super::unpack::Unpacked;
use crate::control::deprecations::model::Extension;
use crate::control::deprecations::service::{extension_list, extension_restore};
use crate::control::flags::model::{Decision, TenantException};
use crate::control::flags::service::{exception_restore, tenant_exception_list};
use crate::control::plans::Override;
use crate::control::plans::service::{override_list, override_restore};
use crate::control::settings::model::RuledSetting;
use crate::control::settings::service::{ruled_list, ruled_restore};
use crate::control::tenants::Tenant;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::seal::NONCE_LEN;

/// The entry that has it.
pub const ENTRY: &str = "terms.json";

/// The one member of the entry.
const TERMS: &str = "terms";

/// What was decided, and by whom.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terms {
    settings: Vec<SettingTerm>,
    flags: Vec<FlagTerm>,
    limits: Vec<LimitTerm>,
    extensions: Vec<ExtensionTerm>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SettingTerm {
    name: String,
    value: Value,
    by: String,
    at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlagTerm {
    flag: String,
    is_on: bool,
    ends_at: Option<DateTime<Utc>>,
    reason: String,
    by: String,
    at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LimitTerm {
    limit: String,
    value: i32,
    ends_at: DateTime<Utc>,
    reason: String,
    by: String,
    at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ExtensionTerm {
    part: String,
    until: NaiveDate,
    reason: String,
    by: String,
    at: DateTime<Utc>,
}

impl Terms {
    /// How many decisions.
    fn len(&self) -> usize {
        self.settings.len() + self.flags.len() + self.limits.len() + self.extensions.len()
    }

    /// The entry, sealed by the archive's key, and what the manifest says of it.
    ///
    /// # Errors
    /// None that can happen: what was decided is an object, and short.
    pub(super) fn publish(
        &self,
        locker: Locker<'_>,
        nonce: impl FnMut() -> [u8; NONCE_LEN],
    ) -> Result<(String, EntryFacts), RowError> {
        let line = publish(&json!({ TERMS: self }).to_string(), &[TERMS], None, locker, nonce)? + "\n";
        let facts = EntryFacts { rows: self.len() as u64, entry_sha256: sha256(line.as_bytes()) };
        Ok((line, facts))
    }

    /// What an archive has; nothing where it has no such entry, as those of older releases.
    ///
    /// # Errors
    /// The entry is not what the manifest says.
    pub(super) fn read(
        unpacked: &mut Unpacked,
        facts: Option<&EntryFacts>,
        locker: Locker<'_>,
    ) -> Result<Self, ArchiveError> {
        let Some(facts) = facts else { return Ok(Self::default()) };
        let entry = unpacked.whole(ENTRY)?;
        if sha256(&entry) != facts.entry_sha256 {
            return Err(ArchiveError::damaged(ENTRY, "not what the manifest says"));
        }
        let row = restore(&String::from_utf8_lossy(&entry), &[TERMS], locker);
        let row = row.map_err(|error| ArchiveError::damaged(ENTRY, error))?;
        let row: Value = serde_json::from_str(&row).map_err(|error| ArchiveError::damaged(ENTRY, error))?;
        Self::deserialize(&row[TERMS]).map_err(|error| ArchiveError::damaged(ENTRY, error))
    }
}

/// All that is decided for a tenant.
///
/// # Errors
/// The database failed.
pub(super) async fn terms_of(control: &ControlDb, tenant: &Tenant) -> Result<Terms, DbError> {
    let setting = |RuledSetting { name, value, updated_by, updated_at }| SettingTerm {
        name,
        value,
        by: updated_by,
        at: updated_at,
    };
    let flag = |TenantException { flag, is_on, ends_at, reason, updated_by, updated_at }| FlagTerm {
        flag,
        is_on,
        ends_at,
        reason,
        by: updated_by,
        at: updated_at,
    };
    let limit = |Override { limit_name, value, ends_at, reason, made_by, made_at, .. }| LimitTerm {
        limit: limit_name,
        value,
        ends_at,
        reason,
        by: made_by,
        at: made_at,
    };
    let extension = |Extension { part, until, reason, made_by, made_at, .. }| ExtensionTerm {
        part,
        until,
        reason,
        by: made_by,
        at: made_at,
    };
    Ok(Terms {
        settings: ruled_list(control, tenant.id).await?.into_iter().map(setting).collect(),
        flags: tenant_exception_list(control, tenant.id).await?.into_iter().map(flag).collect(),
        limits: override_list(control, tenant.id).await?.into_iter().map(limit).collect(),
        extensions: extension_list(control, Some(&tenant.slug)).await?.into_iter().map(extension).collect(),
    })
}

/// Decides for a restored tenant what was decided for the one in the archive, by whom and when it was, and answers for the
/// trail how much that is. What has ended, or names what this release does not know, is left out.
///
/// # Errors
/// The database failed.
pub(super) async fn terms_enter(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    tenant: TenantId,
    terms: &Terms,
) -> Result<Value, DbError> {
    let now = clock.now();
    let (mut settings, mut flags, mut limits, mut extensions) = (0, 0, 0, 0);
    for SettingTerm { name, value, by, at } in terms.settings.iter().cloned() {
        let row = RuledSetting { name, value, updated_by: by, updated_at: at };
        settings += usize::from(ruled_restore(tx, tenant, &row).await?);
    }
    for FlagTerm { flag, is_on, ends_at, reason, by, at } in terms.flags.iter().cloned() {
        let decision = Decision { is_on, ends_at, reason };
        flags += usize::from(exception_restore(tx, (&flag, tenant), &decision, (&by, at), now).await?);
    }
    for LimitTerm { limit, value, ends_at, reason, by, at } in terms.limits.iter().cloned() {
        let agreed =
            Override { tenant_id: tenant, limit_name: limit, value, ends_at, reason, made_by: by, made_at: at };
        limits += usize::from(override_restore(tx, agreed, now).await?);
    }
    for ExtensionTerm { part, until, reason, by, at } in terms.extensions.iter().cloned() {
        let given = Extension { slug: String::new(), part, until, reason, made_by: by, made_at: at };
        extensions += usize::from(extension_restore(tx, tenant, &given, now).await?);
    }
    let left_out = terms.len() - settings - flags - limits - extensions;
    Ok(json!({
        "settings": settings, "flags": flags, "limits": limits, "extensions": extensions, "leftOut": left_out,
    }))
}
