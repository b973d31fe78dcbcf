//! - `JWT_KEYS`: `KID:ALG:BASE64` with commas between several. The first signs, all verify.
//!
//! A key is rotated by putting its successor in front. `ALG` is `EdDSA`; the base64 is a private key in PKCS #8 (DER).
//! Unset in development: `shelfwise dev` makes a key whose id starts with `dev-`, which other environments refuse.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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

/// A private key with its id.
#[derive(Clone)]
pub struct JwtKey {
    /// The `kid` of tokens that this key signs.
    pub id: String,
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
        Ok(Self { id: id.to_owned(), pkcs8: pkcs8.into() })
    }

    /// One entry of `JWT_KEYS`.
    #[must_use]
    pub fn to_setting(&self) -> String {
        format!("{}:EdDSA:{}", self.id, BASE64.encode(self.pkcs8.expose_secret()))
    }

    /// Reads one entry of `JWT_KEYS`.
    ///
    /// # Errors
    /// What is wrong with it, without the key.
    pub fn from_setting(entry: &str) -> Result<Self, String> {
        let mut parts = entry.splitn(3, ':');
        let (Some(id), Some(algorithm), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("must look like KID:EdDSA:BASE64".to_owned());
        };
        if id.is_empty() || algorithm != "EdDSA" {
            return Err("must look like KID:EdDSA:BASE64".to_owned());
        }
        let pkcs8 = BASE64.decode(key).map_err(|_| format!("`{id}` is not base64"))?;
        if pkcs8.len() < 48 || !pkcs8.starts_with(&ED25519_PKCS8_PREFIX[..1]) {
            return Err(format!("`{id}` is not an Ed25519 private key in PKCS #8"));
        }
        Ok(Self { id: id.to_owned(), pkcs8: pkcs8.into() })
    }
}
