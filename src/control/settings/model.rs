//! Settings as operators see them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;

use crate::kernel::settings::{Found, Setting};

/// For whom operators set something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// For all tenants of a plan, by its code.
    Plan(String),
    /// For a tenant, by its slug.
    Tenant(String),
}

/// What operators have set.
#[derive(Debug, Clone, PartialEq, Queryable)]
pub struct RuledSetting {
    /// The setting's name.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Who has set it.
    pub updated_by: String,
    /// When.
    pub updated_at: DateTime<Utc>,
}

/// A setting of a plan or a tenant, and where it is from.
#[derive(Debug, Clone)]
pub struct SettingState {
    /// The setting.
    pub setting: Setting,
    /// What it is, and why.
    pub found: Found,
    /// What operators have set for the plan or the tenant, whether it counts or not.
    pub ruled: Option<RuledSetting>,
    /// Whether the shop has set it itself.
    pub is_own: bool,
}

/// What operators have set, by setting: what this release does not know, or would not take, is left out.
#[must_use]
pub fn values(rows: &[RuledSetting]) -> BTreeMap<Setting, Value> {
    let value = |row: &RuledSetting| {
        let setting: Setting = row.name.parse().ok()?;
        Some((setting, setting.check(&row.value).ok()?))
    };
    rows.iter().filter_map(value).collect()
}
