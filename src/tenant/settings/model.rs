//! A setting as the shop has it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::db::schema::tenant::settings;
use crate::kernel::settings::{Held, Layer, Setting};

/// What the shop has set.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = settings)]
pub struct OwnSetting {
    /// The setting's name.
    pub name: String,
    /// The value; nothing of a secret.
    pub value: Option<Value>,
    /// A secret, sealed.
    pub sealed: Option<Vec<u8>>,
    /// The user who has set it; nobody where the platform has.
    pub updated_by: Option<Uuid>,
    /// When.
    pub updated_at: DateTime<Utc>,
}

/// A setting, and what the shop has set.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The setting.
    pub setting: Setting,
    /// What the shop has set, if it has.
    pub own: Option<OwnSetting>,
}

impl OwnSetting {
    /// The setting and its value; nothing where this release does not know the one or would not take the other.
    #[must_use]
    pub fn held(&self) -> Option<(Setting, Held)> {
        let setting: Setting = self.name.parse().ok()?;
        let held = match (&self.value, &self.sealed) {
            (None, Some(sealed)) if setting.is_secret() => Held::Sealed(sealed.clone()),
            (Some(value), None) if !setting.is_secret() => Held::Plain(setting.check(value).ok()?),
            _ => return None,
        };
        Some((setting, held))
    }

    /// What the trail keeps of it. An address is kept beside it, sealed; a secret is not kept.
    #[must_use]
    pub fn trail(&self) -> Value {
        match &self.value {
            Some(value) if value.is_number() => json!({ "value": value }),
            _ => json!({ "isSet": true }),
        }
    }
}

/// What a shop has set, by setting.
#[must_use]
pub fn layer(rows: &[OwnSetting]) -> Layer {
    rows.iter().filter_map(OwnSetting::held).collect()
}

/// The id that stands for a setting where one is needed: what is sealed is bound to it, and an answer is found again by it.
#[must_use]
pub fn id_of(setting: Setting) -> Uuid {
    let hash: [u8; 32] = Sha256::digest(format!("setting {setting}")).into();
    hash.first_chunk().map_or_else(Uuid::nil, |half| Uuid::from_bytes(*half))
}
