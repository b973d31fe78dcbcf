//! Opaque credentials: API keys, refresh tokens and the tokens of mailed links, all of the form
//! `sw_<realm>_<id>_<secret>`.
//!
//! The realm is the tenant's slug, so that the tenant is known before its schema is opened; the id finds the row; the
//! secret has 256 random bits, of which the row keeps a plain SHA-256 alone.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::ids::{base32_decode, base32_encode};
use super::tenant::TenantSlug;

/// What every credential starts with: scanners for leaked secrets look for it.
const PREFIX: &str = "sw";

/// The realm of the platform's administrators; no tenant can have this slug.
const PLATFORM: &str = "admin";

/// Whose credential it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Realm {
    /// A tenant's.
    Tenant(TenantSlug),
    /// The platform's.
    Platform,
}

/// A credential as its bearer shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose it is.
    pub realm: Realm,
    /// The row that knows it.
    pub id: Uuid,
    secret: [u8; 32],
}

/// The SHA-256 of a secret: what rows keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash([u8; 32]);

/// The text is not a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a credential")]
pub struct CredentialError;

impl Credential {
    /// A credential of a secret.
    #[must_use]
    pub fn new(realm: Realm, id: Uuid, secret: [u8; 32]) -> Self {
        Self { realm, id, secret }
    }

    /// The text that is shown to its bearer, once. Not `Display`, so that no log line has it by accident.
    #[must_use]
    pub fn reveal(&self) -> String {
        let realm = match &self.realm {
            Realm::Tenant(slug) => slug.as_str(),
            Realm::Platform => PLATFORM,
        };
        let (high, low) = self.secret.split_at(16);
        let half = |bytes: &[u8]| base32_encode(Uuid::from_slice(bytes).unwrap_or_default());
        format!("{PREFIX}_{realm}_{}_{}{}", base32_encode(self.id), half(high), half(low))
    }

    /// What a row keeps of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.secret).into())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("realm", &self.realm).field("id", &self.id).finish_non_exhaustive()
    }
}

impl FromStr for Credential {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let mut parts = text.split('_');
        let (Some(PREFIX), Some(realm), Some(id), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CredentialError);
        };
        let realm = match realm {
            PLATFORM => Realm::Platform,
            slug => Realm::Tenant(slug.parse().map_err(|_| CredentialError)?),
        };
        let (high, low) = secret.split_at_checked(26).ok_or(CredentialError)?;
        let half = |text: &str| base32_decode(text).ok_or(CredentialError);
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(half(high)?.as_bytes());
        bytes[16..].copy_from_slice(half(low)?.as_bytes());
        Ok(Self { realm, id: half(id)?, secret: bytes })
    }
}

impl SecretHash {
    /// Whether a row keeps this hash, compared in a time that tells nothing.
    #[must_use]
    pub fn is(&self, kept: &[u8]) -> bool {
        self.0.ct_eq(kept).into()
    }

    /// The bytes, for a row.
    #[must_use]
    pub fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(realm: Realm, bytes: [u8; 32]) -> Credential {
        Credential::new(realm, Uuid::from_u128(7), bytes)
    }

    #[test]
    fn the_text_names_its_tenant_and_hides_in_logs() {
        let credential = credential(Realm::Tenant("acme-2".parse().unwrap()), [0xab; 32]);
        let text = credential.reveal();
        assert!(text.starts_with("sw_acme-2_00000000000000000000000007_"), "{text}");
        assert_eq!(text.len(), "sw_acme-2_".len() + 26 + 1 + 52);
        let secret = text.rsplit('_').next().unwrap();
        assert!(!format!("{credential:?}").contains(&secret[..10]));
    }

    #[test]
    fn other_texts_are_refused() {
        let good = credential(Realm::Platform, [1; 32]).reveal();
        assert!(good.parse::<Credential>().is_ok());
        for text in
            ["", "sw", "sw_acme", "sw_acme_7_x", &good[1..], &format!("{good}_"), &format!("{good}0"), "sw_é_é_é"]
        {
            assert_eq!(text.parse::<Credential>(), Err(CredentialError), "{text}");
        }
        let long_slug = good.replace("admin", &"a".repeat(41));
        assert_eq!(long_slug.parse::<Credential>(), Err(CredentialError));
    }

    proptest::proptest! {
        #[test]
        fn a_text_is_read_again_and_its_hash_is_its_own(bytes: [u8; 32], other: [u8; 32], junk: String) {
            let credential = credential(Realm::Tenant("acme".parse().unwrap()), bytes);
            proptest::prop_assert_eq!(credential.reveal().parse(), Ok(credential.clone()));
            proptest::prop_assert!(credential.hash().is(&credential.hash().to_vec()));
            let others = Credential::new(Realm::Platform, Uuid::nil(), other).hash();
            proptest::prop_assert_eq!(credential.hash().is(&others.to_vec()), bytes == other);
            let _ = junk.parse::<Credential>();
        }
    }
}
