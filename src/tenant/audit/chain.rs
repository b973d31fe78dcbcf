//! The chain of the trail: each row's hash covers the row and the hash before it.
//!
//! ```text
//! digest  = SHA-256(fields of the row, each with its length)
//! hash(n) = SHA-256(hash(n - 1) ‖ n as 8 bytes ‖ digest(n)),  hash(0) = nothing
//! ```
//!
//! The database computes `hash(n)`, because it alone knows what comes before; the digest is made here, from what is
//! about to be written or what was read. A chain proves order and content. That its end was cut off shows only against
//! an anchor that was kept elsewhere.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

/// The fields of a row that its digest covers, as the table stores them.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// When; the table keeps microseconds.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: &'a str,
    /// By which credential.
    pub via: Option<&'a str>,
    /// What was done.
    pub action: &'a str,
    /// To what.
    pub entity: &'a str,
    /// What it was, as JSON.
    pub before: Option<&'a str>,
    /// What it is, as JSON.
    pub after: Option<&'a str>,
    /// What is sealed.
    pub sealed: Option<&'a [u8]>,
    /// By which request.
    pub request_id: Option<&'a str>,
    /// From which address.
    pub address: Option<&'a str>,
}

/// The digest of a row. A field's length goes before it, so that no two rows have the same bytes.
#[must_use]
pub fn digest(fields: &Fields<'_>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let at = fields.at.timestamp_micros().to_be_bytes();
    let parts: [Option<&[u8]>; 10] = [
        Some(&at),
        Some(fields.actor.as_bytes()),
        fields.via.map(str::as_bytes),
        Some(fields.action.as_bytes()),
        Some(fields.entity.as_bytes()),
        fields.before.map(str::as_bytes),
        fields.after.map(str::as_bytes),
        fields.sealed,
        fields.request_id.map(str::as_bytes),
        fields.address.map(str::as_bytes),
    ];
    for part in parts {
        match part {
            Some(bytes) => {
                hasher.update((bytes.len() as u64 + 1).to_be_bytes());
                hasher.update(bytes);
            }
            // Shorter than any length that is there.
            None => hasher.update(0_u64.to_be_bytes()),
        }
    }
    hasher.finalize().into()
}

/// The hash of a row behind the one before it. The statement that writes the trail computes the same.
#[must_use]
pub fn link(previous: &[u8], sequence: i64, digest: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(sequence.to_be_bytes());
    hasher.update(digest);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields<'static> {
        Fields {
            at: DateTime::from_timestamp_micros(1_700_000_000_000_000).unwrap(),
            actor: "user_1",
            via: None,
            action: "book.update",
            entity: "book_1",
            before: Some("{}"),
            after: None,
            sealed: None,
            request_id: None,
            address: None,
        }
    }

    #[test]
    fn every_field_and_its_place_count() {
        let base = digest(&fields());
        let others = [
            Fields { at: fields().at + chrono::TimeDelta::microseconds(1), ..fields() },
            Fields { actor: "user_2", ..fields() },
            Fields { via: Some(""), ..fields() },
            Fields { action: "book.create", ..fields() },
            Fields { entity: "book_2", ..fields() },
            Fields { before: None, after: Some("{}"), ..fields() },
            Fields { before: Some("{ }"), ..fields() },
            Fields { sealed: Some(&[]), ..fields() },
            Fields { request_id: Some("x"), ..fields() },
            Fields { address: Some("x"), ..fields() },
            Fields { actor: "user_1b", action: "ook.update", ..fields() },
        ];
        for other in &others {
            assert_ne!(digest(other), base, "{other:?}");
        }
        let sub_microsecond = Fields { at: fields().at + chrono::TimeDelta::nanoseconds(900), ..fields() };
        assert_eq!(digest(&sub_microsecond), base, "the table would not keep the difference");
    }

    #[test]
    fn a_link_depends_on_what_came_before_and_on_its_number() {
        let digest = digest(&fields());
        let first = link(&[], 1, &digest);
        assert_ne!(link(&first, 2, &digest), link(&[], 2, &digest));
        assert_ne!(link(&first, 2, &digest), link(&first, 3, &digest));
    }
}
