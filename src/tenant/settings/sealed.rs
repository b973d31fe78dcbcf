//! Secrets among settings: sealed under the shop's key, and opened where they are used.

use secrecy::SecretString;

use super::model::id_of;
use crate::kernel::seal::{Place, SealError};
use crate::kernel::settings::{Held, Key, Setting, Settings};
use crate::kernel::tenant::TenantCtx;
use crate::vault::{KeyError, Vault};

/// Seals and opens what is a shop's.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// Has the keys.
    pub vault: &'a Vault,
    /// Whose they are.
    pub tenant: &'a TenantCtx,
}

fn place(setting: Setting) -> Place {
    Place { row: id_of(setting), column: "settings.sealed" }
}

impl Sealing<'_> {
    /// Seals a secret.
    ///
    /// # Errors
    /// The shop's key cannot be used.
    pub fn seal(self, setting: Setting, plain: &str) -> Result<Vec<u8>, KeyError> {
        self.vault.seal(self.tenant, place(setting), plain.as_bytes())
    }

    /// Opens a secret.
    ///
    /// # Errors
    /// The shop's key cannot be used, or what is stored is not what was sealed.
    pub fn open(self, setting: Setting, sealed: &[u8]) -> Result<SecretString, KeyError> {
        let plain = self.vault.open(self.tenant, place(setting), sealed)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| KeyError::Seal(SealError::NotAuthentic))
    }

    /// What a secret is; nothing where there is none.
    ///
    /// # Errors
    /// As [`Sealing::open`].
    pub fn secret(self, settings: &Settings, key: Key<Option<SecretString>>) -> Result<Option<SecretString>, KeyError> {
        match settings.find(key.setting).value {
            Some(Held::Sealed(sealed)) => self.open(key.setting, &sealed).map(Some),
            Some(Held::Secret(secret)) => Ok(Some(secret)),
            Some(Held::Plain(_)) | None => Ok(None),
        }
    }
}
