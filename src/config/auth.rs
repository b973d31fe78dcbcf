//! - `JWT_KEYS`: `KID:ALG:BASE64` with commas between several. The first signs, all verify.
//!
//! A key is rotated by putting its successor second, on every server, and after five minutes in front: that long others
//! may hold the published keys. `ALG` is `EdDSA` (Ed25519), `ES256` or `RS256`; the base64 is a
//! private key in PKCS #8 (DER): `openssl genpkey -algorithm ed25519 | openssl pkcs8 -topk8 -nocrypt -outform DER | base64 -w0`.
//! Unset in development: `shelfwise dev` makes a key whose id starts with `dev-`, which other environments refuse.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pkcs8::der::zeroize::Zeroizing;
use pkcs8::{ObjectIdentifier, PrivateKeyInfo};
use secrecy::{ExposeSecret, SecretSlice};

use super::{Environment, Reader};

/// Key ids with this prefix are for development alone.
pub const DEV_KEY_PREFIX: &str = "dev-";

/// A PKCS #8 private key of Ed25519 is this and the 32 bytes of the seed (RFC 8410, section 7).
const ED25519_PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Keys that sign and verify tokens.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The first signs, all verify. Empty where development has made none yet.
    pub jwt_keys: Vec<JwtKey>,
}

/// What a key signs with (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// Ed25519: small and fast; what to choose where nothing else is asked for.
    EdDsa,
    /// ECDSA with P-256.
    Es256,
    /// RSA with PKCS #1 v1.5.
    Rs256,
}

impl KeyAlgorithm {
    /// The name in `JWT_KEYS` and in a token's header, and the algorithm's object identifier in PKCS #8.
    const ALL: [(Self, &'static str, ObjectIdentifier); 3] = [
        (Self::EdDsa, "EdDSA", ObjectIdentifier::new_unwrap("1.3.101.112")),
        (Self::Es256, "ES256", ObjectIdentifier::new_unwrap("1.2.840.10045.2.1")),
        (Self::Rs256, "RS256", ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1")),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(algorithm, ..)| *algorithm == self).map_or("", |(_, name, _)| name)
    }
}

/// A private key with its id.
#[derive(Clone)]
pub struct JwtKey {
    /// The `kid` of tokens that this key signs.
    pub id: String,
    /// What it signs with.
    pub algorithm: KeyAlgorithm,
    /// The private key in PKCS #8 (DER).
    pub pkcs8: SecretSlice<u8>,
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AuthConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let setting = reader.text("JWT_KEYS").unwrap_or_default();
        let mut jwt_keys = Vec::new();
        for (index, entry) in setting.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate() {
            match JwtKey::from_setting(entry) {
                Ok(key) if jwt_keys.iter().any(|known: &JwtKey| known.id == key.id) => {
                    reader.problem("JWT_KEYS", &format!("`{}` is there twice", key.id));
                }
                Ok(key) => jwt_keys.push(key),
                Err(problem) => reader.problem("JWT_KEYS", &format!("key {}: {problem}", index + 1)),
            }
        }
        if environment != Environment::Development {
            if setting.is_empty() {
                reader.problem("JWT_KEYS", &format!("must be set in {environment}"));
            }
            for key in jwt_keys.iter().filter(|key| key.id.starts_with(DEV_KEY_PREFIX)) {
                reader.problem("JWT_KEYS", &format!("`{}` is a development key, refused in {environment}", key.id));
            }
        }
        Self { jwt_keys }
    }
}

impl JwtKey {
    /// A fresh Ed25519 key.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn generate(id: &str) -> anyhow::Result<Self> {
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let pkcs8 = [ED25519_PKCS8_PREFIX.as_slice(), &seed].concat();
        Ok(Self { id: id.to_owned(), algorithm: KeyAlgorithm::EdDsa, pkcs8: pkcs8.into() })
    }

    /// The key as its algorithm's own code reads it: RSA without the wrapping of PKCS #8 (RFC 8017, appendix A.1.2).
    ///
    /// # Errors
    /// The key is not in PKCS #8.
    pub fn private_der(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let pkcs8 = self.pkcs8.expose_secret();
        if self.algorithm != KeyAlgorithm::Rs256 {
            return Ok(Zeroizing::new(pkcs8.to_vec()));
        }
        let info = PrivateKeyInfo::try_from(pkcs8).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Zeroizing::new(info.private_key.to_vec()))
    }

    /// One entry of `JWT_KEYS`.
    #[must_use]
    pub fn to_setting(&self) -> String {
        format!("{}:{}:{}", self.id, self.algorithm.name(), BASE64.encode(self.pkcs8.expose_secret()))
    }

    /// Reads one entry of `JWT_KEYS`.
    ///
    /// # Errors
    /// What is wrong with it, without the key.
    pub fn from_setting(entry: &str) -> Result<Self, String> {
        let shape = || "must look like KID:ALG:BASE64, ALG being EdDSA, ES256 or RS256".to_owned();
        let mut parts = entry.splitn(3, ':');
        let (Some(id), Some(algorithm), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(shape());
        };
        let known = KeyAlgorithm::ALL.into_iter().find(|(_, name, _)| *name == algorithm);
        let (algorithm, name, oid) = known.filter(|_| !id.is_empty()).ok_or_else(shape)?;
        let pkcs8 = BASE64.decode(key).map_err(|_| format!("`{id}` is not base64"))?;
        let is_of_the_algorithm = PrivateKeyInfo::try_from(pkcs8.as_slice()).is_ok_and(|key| key.algorithm.oid == oid);
        if !is_of_the_algorithm {
            return Err(format!("`{id}` is not a private key of {name} in PKCS #8"));
        }
        Ok(Self { id: id.to_owned(), algorithm, pkcs8: pkcs8.into() })
    }
}
