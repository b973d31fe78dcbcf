//! A key, and what it is the key of.

use chrono::TimeDelta;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::kernel::actor::Actor;
use crate::kernel::tenant::TenantCtx;
use crate::vault::{KeyError, Vault};

/// The key of one mutation that may come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// A hash of who sent it and of its text: nobody meets another's answers.
    pub id: [u8; 32],
    /// A hash of the request, keyed by the shop: a request may have secrets and people's data in it, and who has the row alone can
    /// try none of them out.
    pub fingerprint: [u8; 32],
    /// The same without a key, as the release before kept it.
    pub unkeyed: [u8; 32],
    /// The mutation's place in the request: several may travel under one key.
    pub place: String,
    /// How long its answer is kept.
    pub kept: TimeDelta,
    /// The advisory lock that is held while the mutation runs; it tells tenants apart.
    pub lock: i64,
}

/// Whose keys they are, and how long their answers are kept.
#[derive(Clone, Copy)]
pub struct Keyring<'a> {
    /// Has the shop's keys.
    pub vault: &'a Vault,
    /// The shop.
    pub tenant: &'a TenantCtx,
    /// Who sends them.
    pub actor: &'a Actor,
    /// How long answers are kept.
    pub kept: TimeDelta,
}

impl Keyring<'_> {
    /// The key that a mutation's own arguments name.
    ///
    /// # Errors
    /// The shop's key cannot be used.
    pub fn of_field(&self, text: &str, field: &str, arguments: &Value) -> Result<Key, KeyError> {
        let fingerprint = hash(&[field.as_bytes(), arguments.to_string().as_bytes()]);
        self.key(("field", text), fingerprint, String::new())
    }

    /// The key of a whole request, for the mutation at a place of its answer.
    ///
    /// # Errors
    /// The shop's key cannot be used.
    pub fn of_request(&self, text: &str, fingerprint: [u8; 32], place: String) -> Result<Key, KeyError> {
        self.key(("request", text), fingerprint, place)
    }

    fn key(&self, (kind, text): (&str, &str), unkeyed: [u8; 32], place: String) -> Result<Key, KeyError> {
        let user = self.actor.principal().map(|principal| principal.user.to_string()).unwrap_or_default();
        let id = hash(&[kind.as_bytes(), user.as_bytes(), text.as_bytes()]);
        let lock = hash(&[self.tenant.id.0.as_bytes(), &id]);
        let lock = lock.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        let fingerprint = self.vault.index_hash(self.tenant, "idempotency_keys.fingerprint", &unkeyed)?;
        Ok(Key { id, fingerprint, unkeyed, place, kept: self.kept, lock })
    }
}

/// The hash of several texts, each behind its length.
#[must_use]
pub fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
