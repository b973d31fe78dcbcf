//! An offboarding as its row has it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::control::offboardings;
use crate::kernel::ids::{ArchiveId, OffboardingId, TenantId};

/// A row of the book of those who leave.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = offboardings)]
pub struct Offboarding {
    /// The offboarding; ids are made in the order of time.
    #[diesel(deserialize_as = Uuid)]
    pub id: OffboardingId,
    /// Who leaves.
    #[diesel(deserialize_as = Uuid)]
    pub tenant_id: TenantId,
    /// What the tenant was called when it was asked for.
    pub slug: String,
    /// How far it has come, as text.
    pub status: String,
    /// Why.
    pub reason: String,
    /// The tenant's state before, as text.
    pub prior_status: String,
    /// Why the tenant was suspended before, if it was.
    pub prior_reason: Option<String>,
    /// Who asked for it.
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Nothing is destroyed before.
    pub delete_after: DateTime<Utc>,
    /// All that the shop had.
    #[diesel(deserialize_as = Uuid)]
    pub archive_id: ArchiveId,
    /// The shop's trail.
    #[diesel(deserialize_as = Uuid)]
    pub audit_archive_id: ArchiveId,
    /// What failed last.
    pub error: Option<String>,
    /// How often something has failed.
    pub failures: i32,
    /// When what failed is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// When the keys were destroyed.
    pub keys_destroyed_at: Option<DateTime<Utc>>,
    /// Which keys those were, without the keys.
    pub keys_destroyed: Option<Value>,
    /// The number of the last entry of the trail; 0 where there was none.
    pub audit_sequence: Option<i64>,
    /// The hash of the last entry of the trail.
    pub audit_hash: Option<Vec<u8>>,
    /// Rows of each table that is gone, by its name.
    pub tables_dropped: Value,
    /// Rows of the control plane that are gone, by their table.
    pub rows_purged: Value,
    /// The certificate, as a JSON Web Signature.
    pub certificate: Option<String>,
    /// The public key that verifies it, as a JSON Web Key.
    pub certificate_key: Option<Value>,
    /// When it was completed or canceled.
    pub completed_at: Option<DateTime<Utc>>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
}

/// An offboarding that is asked for.
#[derive(Debug, Clone)]
pub struct NewOffboarding {
    /// The offboarding.
    pub id: OffboardingId,
    /// Why.
    pub reason: String,
    /// Who asks for it.
    pub requested_by: String,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// Nothing is destroyed before.
    pub delete_after: DateTime<Utc>,
    /// All that the shop has.
    pub archive: ArchiveId,
    /// The shop's trail.
    pub audit_archive: ArchiveId,
}

/// How far an offboarding has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OffboardingStatus {
    /// The tenant is closed, and its archives are being written.
    Exporting,
    /// Archived, and waiting for the end of the grace period.
    Waiting,
    /// Its keys are destroyed, and the rest is going.
    Deleting,
    /// Gone.
    Completed,
    /// Called off.
    Canceled,
}

impl OffboardingStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Exporting, Self::Waiting, Self::Deleting, Self::Completed, Self::Canceled];

    /// The text that the row has.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exporting => "exporting",
            Self::Waiting => "waiting",
            Self::Deleting => "deleting",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
        }
    }
}

impl FromStr for OffboardingStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = Self::ALL.into_iter().find(|status| status.as_str() == text);
        status.ok_or_else(|| format!("unknown status `{text}`"))
    }
}

impl Offboarding {
    /// How far it has come; `None` for a text that this version does not know, of which nothing is made.
    #[must_use]
    pub fn status(&self) -> Option<OffboardingStatus> {
        self.status.parse().ok()
    }
}
