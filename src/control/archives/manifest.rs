//! What an archive says of itself: `manifest.json`, the last entry of its zip, and in its row as well.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::contents::row::hex;

/// The form of today's archives.
pub const FORM: &str = "shelfwise.archive.1";

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The form.
    pub form: String,
    /// The archive.
    pub archive: String,
    /// What it is for.
    pub purpose: String,
    /// When its contents were read: in one moment.
    pub at: DateTime<Utc>,
    /// The newest migration that the tenant's schema had.
    pub schema_version: String,
    /// Whose it is.
    pub tenant: TenantFacts,
    /// What its tables hold, in the order in which they are filled.
    pub tables: Vec<TableFacts>,
    /// Over all tables' hashes: equal where two shops hold the same.
    pub content_sha256: String,
    /// The places of the trail that the platform keeps.
    pub anchors: EntryFacts,
    /// What operators have decided for the tenant. Archives of releases before that, and those of the trail alone, lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<EntryFacts>,
}

/// Whose archive it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantFacts {
    /// The tenant.
    pub id: String,
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The code of its plan.
    pub plan: String,
    /// The currency of its prices.
    pub currency: String,
    /// Under whose id its values are sealed.
    pub sealed_as: String,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableFacts {
    /// Its name; its entry is `tables/NAME.ndjson`.
    pub name: String,
    /// How many rows.
    pub rows: u64,
    /// SHA-256 over its rows as the database had them, each with a line feed.
    pub content_sha256: String,
    /// SHA-256 of its entry in the zip.
    pub entry_sha256: String,
}

/// What another entry holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryFacts {
    /// How many lines, or decisions.
    pub rows: u64,
    /// SHA-256 of it.
    pub entry_sha256: String,
}

impl TableFacts {
    /// The name of a table's entry.
    #[must_use]
    pub fn entry(&self) -> String {
        format!("tables/{}.ndjson", self.name)
    }
}

/// The hash over all tables' hashes.
#[must_use]
pub fn content_sha256(tables: &[TableFacts]) -> String {
    let mut hasher = Sha256::new();
    for TableFacts { name, rows, content_sha256, .. } in tables {
        hasher.update(format!("{name} {rows} {content_sha256}\n"));
    }
    hex(&hasher.finalize())
}
