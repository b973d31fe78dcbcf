//! An API key as the tenant has it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::api_keys;
use crate::kernel::actor::Permissions;
use crate::kernel::ids::{ApiKeyId, UserId};

/// Keys that a shop has at most, apart from those that are revoked or have expired: a list of them is read whole.
pub const API_KEYS_MAX: i64 = 100;

/// The longest life of a key.
pub const LIFETIME_MAX: TimeDelta = TimeDelta::days(366);

/// The longest time that a rotated key's old secret goes on working.
pub const OVERLAP_MAX: TimeDelta = TimeDelta::days(7);

/// How exactly a key's last use is known.
pub const LAST_USED_PRECISION: TimeDelta = TimeDelta::minutes(1);

/// A key of a program.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = api_keys)]
pub struct ApiKey {
    /// The key.
    #[diesel(deserialize_as = Uuid)]
    pub id: ApiKeyId,
    /// The maker.
    #[diesel(deserialize_as = Uuid)]
    pub user_id: UserId,
    /// What it is for.
    pub name: String,
    /// The names of its permissions; it has those of them that its maker has at the time.
    pub permissions: Vec<String>,
    /// Until when the secret before the last rotation works.
    pub previous_expires_at: Option<DateTime<Utc>>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Since when it does not work any more.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What a shown key is compared with.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = api_keys)]
pub struct ApiKeySecrets {
    /// The maker.
    #[diesel(deserialize_as = Uuid)]
    pub user_id: UserId,
    /// The names of its permissions.
    pub permissions: Vec<String>,
    /// The hash of the secret.
    pub secret_hash: Vec<u8>,
    /// The hash of the secret before the last rotation.
    pub previous_hash: Option<Vec<u8>>,
    /// Until when that one works.
    pub previous_expires_at: Option<DateTime<Utc>>,
    /// When the key stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// What the trail keeps of it: nothing by which its secret could be told.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({
            "userId": self.user_id.to_string(),
            "name": self.name,
            "permissions": self.permissions,
            "previousExpiresAt": self.previous_expires_at,
            "expiresAt": self.expires_at,
            "revokedAt": self.revoked_at,
        })
    }

    /// What the key allows, if its maker may it too.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        Permissions::of_names(&self.permissions)
    }
}
