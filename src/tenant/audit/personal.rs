//! What an entry tells of people: sealed with the shop's data key, and bound to its entry.
//!
//! The hash of an entry covers what is sealed as it is stored, so the trail is verified without any key, and goes on being
//! whole where a key is destroyed. Nothing of it is ever sealed anew: an entry is not changed.

use serde_json::Value;
use uuid::Uuid;

use super::chain::{Fields, digest};
use super::model::Entry;
use crate::kernel::seal::Place;
use crate::kernel::tenant::TenantCtx;
use crate::vault::{KeyError, Vault};

/// What the place of it is called.
const COLUMN: &str = "audit_log.sealed";

/// Seals what an entry is to tell of people.
///
/// # Errors
/// The tenant's key cannot be used.
pub fn seal(vault: &Vault, tenant: &TenantCtx, entry: &Fields<'_>, personal: &Value) -> Result<Vec<u8>, KeyError> {
    vault.seal(tenant, place(entry), personal.to_string().as_bytes())
}

/// Opens what an entry tells of people; nothing where it tells nothing of any, and where the key is destroyed.
///
/// # Errors
/// The tenant's key cannot be used, or what is stored is not what was sealed for this entry.
pub fn open(vault: &Vault, tenant: &TenantCtx, entry: &Entry) -> Result<Option<Value>, KeyError> {
    let Some(sealed) = &entry.sealed else { return Ok(None) };
    let fields = Fields {
        at: entry.at,
        actor: &entry.actor,
        via: entry.via.as_deref(),
        action: &entry.action,
        entity: &entry.entity,
        before: None,
        after: None,
        sealed: None,
        request_id: entry.request_id.as_deref(),
        address: entry.address.as_deref(),
    };
    match vault.open(tenant, place(&fields), sealed) {
        Ok(plain) => Ok(serde_json::from_slice(&plain).ok()),
        Err(KeyError::Gone) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where an entry keeps it. Its number is the database's to give, so the entry is told by what is known before: half of a
/// digest of who did what to which entity, when, and how they came.
fn place(entry: &Fields<'_>) -> Place {
    let told = digest(&Fields { before: None, after: None, sealed: None, ..*entry });
    let mut row = [0; 16];
    row.copy_from_slice(&told[..16]);
    Place { row: Uuid::from_bytes(row), column: COLUMN }
}
