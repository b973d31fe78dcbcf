//! A key, and what it is the key of.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::kernel::actor::Actor;
use crate::kernel::tenant::TenantCtx;

/// The key of one mutation that may come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// A hash of who sent it and of its text: nobody meets another's answers.
    pub id: [u8; 32],
    /// A hash of the request.
    pub fingerprint: [u8; 32],
    /// The mutation's place in the request: several may travel under one key.
    pub place: String,
    /// The advisory lock that is held while the mutation runs; it tells tenants apart.
    pub lock: i64,
}

impl Key {
    /// The key that a mutation's own arguments name.
    #[must_use]
    pub fn of_field(tenant: &TenantCtx, actor: &Actor, text: &str, field: &str, arguments: &Value) -> Self {
        let fingerprint = hash(&[field.as_bytes(), arguments.to_string().as_bytes()]);
        Self::new(tenant, actor, ("field", text), fingerprint, String::new())
    }

    /// The key of a whole request, for the mutation at a place of its answer.
    #[must_use]
    pub fn of_request(tenant: &TenantCtx, actor: &Actor, text: &str, fingerprint: [u8; 32], place: String) -> Self {
        Self::new(tenant, actor, ("request", text), fingerprint, place)
    }

    fn new(
        tenant: &TenantCtx,
        actor: &Actor,
        (kind, text): (&str, &str),
        fingerprint: [u8; 32],
        place: String,
    ) -> Self {
        let user = actor.principal().map(|principal| principal.user.to_string()).unwrap_or_default();
        let id = hash(&[kind.as_bytes(), user.as_bytes(), text.as_bytes()]);
        let lock = hash(&[tenant.id.0.as_bytes(), &id]);
        let lock = lock.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        Self { id, fingerprint, place, lock }
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
