//! An archive as its row has it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::control::archives;
use crate::kernel::ids::{ArchiveId, TenantId};

/// A row of the book of archives.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = archives)]
pub struct Archive {
    /// The archive.
    #[diesel(deserialize_as = Uuid)]
    pub id: ArchiveId,
    /// Whose it is.
    #[diesel(deserialize_as = Uuid)]
    pub tenant_id: TenantId,
    /// What the tenant was called when it was asked for.
    pub slug: String,
    /// What it is for, as text.
    pub purpose: String,
    /// Its state, as text.
    pub status: String,
    /// Where the object store has it.
    pub object_key: Option<String>,
    /// The newest migration that the tenant's schema had.
    pub schema_version: Option<String>,
    /// Bytes of the zip.
    pub bytes: Option<i64>,
    /// The zip's SHA-256.
    pub sha256: Option<Vec<u8>>,
    /// SHA-256 over what the shop's tables held, however it was written down.
    pub content_hash: Option<Vec<u8>>,
    /// What is in it.
    pub manifest: Option<Value>,
    /// Its key, wrapped.
    pub key_wrapped: Option<Vec<u8>>,
    /// The id of the master key that wraps it.
    pub key_master: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Who asked for it.
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was made, failed or expired.
    pub finished_at: Option<DateTime<Utc>>,
    /// Until when it is kept.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What an archive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Somebody asked for it.
    Export,
    /// What is left of a tenant who leaves.
    Offboarding,
    /// The trail of a tenant who leaves, for as long as the law has it kept.
    Audit,
}

/// The state of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveStatus {
    /// Asked for.
    Pending,
    /// Being written.
    Running,
    /// Written, and found whole when it was read back.
    Completed,
    /// Given up.
    Failed,
    /// Its key is destroyed.
    Expired,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Export, Self::Offboarding, Self::Audit];

    /// The text that the row has.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Offboarding => "offboarding",
            Self::Audit => "audit",
        }
    }
}

impl FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let purpose = Self::ALL.into_iter().find(|purpose| purpose.as_str() == text);
        purpose.ok_or_else(|| format!("unknown purpose `{text}`"))
    }
}

impl ArchiveStatus {
    const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Expired];

    /// The text that the row has.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for ArchiveStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = Self::ALL.into_iter().find(|status| status.as_str() == text);
        status.ok_or_else(|| format!("unknown status `{text}`"))
    }
}

impl Archive {
    /// The state. A text that no version knows counts as failed: nothing is read of it.
    #[must_use]
    pub fn status(&self) -> ArchiveStatus {
        self.status.parse().unwrap_or(ArchiveStatus::Failed)
    }

    /// What it is for. A text that no version knows counts as an export.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose.parse().unwrap_or(Purpose::Export)
    }

    /// Whether it can be read.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.status() == ArchiveStatus::Completed
    }
}
