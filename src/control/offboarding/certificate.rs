//! The certificate: what was destroyed, when, on whose word, and what is not covered; signed, so that it can be shown to
//! whoever asks.
//!
//! It is a JSON Web Signature (RFC 7515) over JSON with sorted keys, by the key that signs tokens. The public key lies beside
//! it, because that one is rotated away some day. It says nothing of what the shop's tables held, but how much it was.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use super::model::Offboarding;
use crate::auth::Tokens;
use crate::auth::attest::{self, NotAuthentic};
use crate::auth::tokens::ISSUER;
use crate::control::archives::Archive;
use crate::control::error::ControlError;
use crate::control::tenants::Tenant;
use crate::db::DbError;
use crate::kernel::tenant::SchemaName;

/// What the header of the signature says that this is: no token passes for a certificate, and no certificate for a token.
const TYPE: &str = "shelfwise-deletion-certificate+jws";

/// The form of what is signed.
const VERSION: i32 = 1;

/// What a certificate is about.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// Who has left.
    pub tenant: &'a Tenant,
    /// How.
    pub offboarding: &'a Offboarding,
    /// What is left of the shop, and of its trail.
    pub archives: (Option<&'a Archive>, Option<&'a Archive>),
    /// All archives of it that can be opened, or are not made.
    pub left: &'a [Archive],
    /// Other tenants that have what its keys have sealed, and the keys, by slug.
    pub copies: &'a [String],
    /// Sandboxes that were made of it, by slug.
    pub sandboxes: &'a [String],
    /// How many entries of the trail were destroyed that no archive has, where that can be told.
    pub unarchived: Option<i64>,
}

/// Whether this process can sign: asked before anything is destroyed.
pub(super) fn can_be_signed(tokens: &Tokens) -> Result<(), ControlError> {
    if tokens.can_sign() { Ok(()) } else { Err(unsigned("JWT_KEYS holds no key to sign the certificate with")) }
}

/// A signed certificate, and the public key that verifies it.
pub(super) fn sign(
    tokens: &Tokens,
    facts: Facts<'_>,
    when: (DateTime<Utc>, TimeDelta),
) -> Result<(String, Value), ControlError> {
    tokens.attest(TYPE, &statement(facts, when)).map_err(|error| unsigned(&format!("{error:#}")))
}

/// What a certificate says, if it was signed by this key and not changed since.
///
/// # Errors
/// It was not, or it is no certificate.
pub fn verified(certificate: &str, key: &Value) -> Result<Value, NotAuthentic> {
    attest::verified(TYPE, certificate, key)
}

/// The same for a server that has keys of its own: where the key's id is one of theirs, it must be that very key. A key that
/// was rotated away is taken as it lies there.
///
/// # Errors
/// As [`verified`]; or the key calls itself one of the server's, and is not.
pub fn verified_by(tokens: &Tokens, certificate: &str, key: &Value) -> Result<Value, NotAuthentic> {
    let jwk: Jwk = serde_json::from_value(key.clone()).map_err(|_| NotAuthentic)?;
    let jwks = tokens.jwks();
    let ours = jwk.common.key_id.as_deref().and_then(|id| jwks.find(id));
    if ours.is_some_and(|ours| *ours != jwk) {
        return Err(NotAuthentic);
    }
    verified(certificate, key)
}

/// The sum of counts.
pub(super) fn total(counts: &Value) -> i64 {
    counts.as_object().map_or(0, |counts| counts.values().filter_map(Value::as_i64).sum())
}

fn statement(facts: Facts<'_>, (now, backup_horizon): (DateTime<Utc>, TimeDelta)) -> Value {
    let Facts { tenant, offboarding, archives, unarchived, .. } = facts;
    let schema = SchemaName::from(tenant.id);
    json!({
        "version": VERSION,
        "issuer": ISSUER,
        "id": offboarding.id.to_string(),
        "tenant": { "id": tenant.id.to_string(), "slug": offboarding.slug, "name": tenant.name },
        "requested": {
            "by": offboarding.requested_by, "at": offboarding.requested_at, "reason": offboarding.reason,
        },
        "deletion": {
            "by": "platform", "allowedFrom": offboarding.delete_after, "begunAt": offboarding.keys_destroyed_at,
            "completedAt": now,
        },
        "destroyed": {
            "keys": offboarding.keys_destroyed,
            "tables": offboarding.tables_dropped,
            "rows": total(&offboarding.tables_dropped),
            "schema": schema.as_str(),
            "role": schema.as_str(),
            "controlPlaneRows": offboarding.rows_purged,
        },
        "auditTrailEnd": {
            "sequence": offboarding.audit_sequence, "hash": offboarding.audit_hash.as_deref().map(hex),
            "unarchived": unarchived,
        },
        "archive": archives.0.map(archived),
        "auditArchive": archives.1.map(archived),
        "notCovered": not_covered(facts, now + backup_horizon),
    })
}

/// What of the shop may be elsewhere, and until when.
fn not_covered(facts: Facts<'_>, backups_until: DateTime<Utc>) -> Value {
    let Facts { archives, left, copies, sandboxes, offboarding, .. } = facts;
    let named = [offboarding.archive_id, offboarding.audit_archive_id];
    let others: Vec<Value> = left.iter().filter(|archive| !named.contains(&archive.id)).map(left_over).collect();
    let until = |archive: Option<&Archive>| archive.and_then(|archive| archive.expires_at);
    json!([
        {
            "what": "backups",
            "until": backups_until,
            "note": "Backups of the database hold the tables, and the keys wrapped under master keys. They are deleted after this \
                time; what was sealed is out of reach for good when the master keys of that time are destroyed as well.",
        },
        { "what": "archive", "until": until(archives.0), "note": "Sealed under a key of its own, which is destroyed then." },
        { "what": "auditArchive", "until": until(archives.1), "note": "The shop's trail, kept because the law asks for it." },
        {
            "what": "otherArchives",
            "until": null,
            "archives": others,
            "note": "Archives that were made before or beside: each is sealed under a key of its own, which is destroyed then. One \
                without a time is not made any more.",
        },
        {
            "what": "copies",
            "until": null,
            "tenants": copies,
            "note": "Tenants that an archive of this shop was restored as, or that it was restored from: they have its keys.",
        },
        {
            "what": "sandboxes",
            "until": null,
            "tenants": sandboxes,
            "note": "Tenants that were copied from this shop, about nobody: they have its books, and none of its people.",
        },
        { "what": "tombstone", "until": null, "note": "The tenant's id, slug and name, the operators' trail, and this certificate." },
        { "what": "logs", "until": null, "note": "Log lines name tenants, ids and times; they hold no content of the shop." },
        { "what": "delivered", "until": null, "note": "Mails and webhooks that were sent, files that were downloaded already, and what providers of mail and payments keep." },
        { "what": "memory", "until": null, "note": "Servers let go of unwrapped keys when they hear of the deletion, after ten minutes at the latest." },
    ])
}

fn archived(archive: &Archive) -> Value {
    json!({
        "id": archive.id.to_string(),
        "schemaVersion": archive.schema_version,
        "sha256": archive.sha256.as_deref().map(hex),
        "contentHash": archive.content_hash.as_deref().map(hex),
        "expiresAt": archive.expires_at,
    })
}

fn left_over(archive: &Archive) -> Value {
    json!({
        "id": archive.id.to_string(),
        "purpose": archive.purpose,
        "status": archive.status,
        "sha256": archive.sha256.as_deref().map(hex),
        "until": archive.expires_at,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Nothing that an operator's input can mend.
fn unsigned(why: &str) -> ControlError {
    DbError::Other(format!("the certificate cannot be signed: {why}")).into()
}
