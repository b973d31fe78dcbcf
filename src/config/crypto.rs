//! - `MASTER_KEYS`: `ID:BASE64` with commas between several. The first wraps tenants' keys, all unwrap them.
//! - `MASTER_KEYS_FILE`: a file that holds the same, commas or line ends between several, in the stead of `MASTER_KEYS`.
//!
//! The base64 is 32 random bytes: `openssl rand -base64 32`. A key is put second on every server, in front on every
//! server, and its forerunner is taken away after `shelfwise keys rewrap`; without it nothing that it wraps opens again.
//! Unset in development: `shelfwise dev` makes a key whose id starts with `dev-`, which other environments refuse.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use super::auth::DEV_KEY_PREFIX;
use super::{Environment, Reader};

/// The most characters of an id.
const ID_LEN_MAX: usize = 64;

/// Keys that wrap tenants' keys.
#[derive(Debug, Clone)]
pub struct CryptoConfig {
    /// The first wraps, all unwrap. Empty where development has made none yet.
    pub master_keys: Vec<MasterKey>,
}

/// A master key with its id.
#[derive(Clone)]
pub struct MasterKey {
    /// What wrapped keys call it.
    pub id: String,
    /// The key: 32 bytes.
    pub key: SecretSlice<u8>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl CryptoConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let (name, setting) = setting(reader);
        let mut master_keys = Vec::new();
        let entries = setting.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        for (index, entry) in entries.enumerate() {
            match MasterKey::from_setting(entry) {
                Ok(key) if master_keys.iter().any(|known: &MasterKey| known.id == key.id) => {
                    reader.problem(name, &format!("`{}` is there twice", key.id));
                }
                Ok(key) => master_keys.push(key),
                Err(problem) => reader.problem(name, &format!("key {}: {problem}", index + 1)),
            }
        }
        if environment != Environment::Development {
            if setting.trim().is_empty() {
                reader.problem(name, &format!("must be set in {environment}"));
            }
            for key in master_keys.iter().filter(|key| key.id.starts_with(DEV_KEY_PREFIX)) {
                reader.problem(name, &format!("`{}` is a development key, refused in {environment}", key.id));
            }
        }
        Self { master_keys }
    }
}

/// The text of the setting, and the variable that it came by.
fn setting(reader: &mut Reader<'_>) -> (&'static str, Zeroizing<String>) {
    let text = Zeroizing::new(reader.text("MASTER_KEYS").unwrap_or_default());
    let Some(path) = reader.text("MASTER_KEYS_FILE") else { return ("MASTER_KEYS", text) };
    if !text.is_empty() {
        reader.problem("MASTER_KEYS_FILE", "cannot be set beside MASTER_KEYS");
        return ("MASTER_KEYS", text);
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => ("MASTER_KEYS_FILE", Zeroizing::new(text)),
        Err(error) => {
            reader.problem("MASTER_KEYS_FILE", &format!("`{path}` cannot be read: {}", error.kind()));
            ("MASTER_KEYS_FILE", Zeroizing::default())
        }
    }
}

impl MasterKey {
    /// A fresh key.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn generate(id: &str) -> anyhow::Result<Self> {
        let mut key = vec![0_u8; 32];
        getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        Ok(Self { id: id.to_owned(), key: key.into() })
    }

    /// One entry of `MASTER_KEYS`.
    #[must_use]
    pub fn to_setting(&self) -> String {
        format!("{}:{}", self.id, BASE64.encode(self.key.expose_secret()))
    }

    /// Reads one entry of `MASTER_KEYS`.
    ///
    /// # Errors
    /// What is wrong with it, without the key.
    pub fn from_setting(entry: &str) -> Result<Self, String> {
        let is_id = |id: &str| {
            (1..=ID_LEN_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let (id, key) = entry
            .split_once(':')
            .filter(|(id, _)| is_id(id))
            .ok_or("must look like ID:BASE64, the id being letters, digits, `-`, `_` and `.`")?;
        let key = BASE64.decode(key).map_err(|_| format!("`{id}` is not base64"))?;
        if key.len() != 32 {
            return Err(format!("`{id}` has {} bytes; a key has 32", key.len()));
        }
        Ok(Self { id: id.to_owned(), key: key.into() })
    }
}
