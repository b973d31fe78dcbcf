//! What is stored of an endpoint under the tenant's key: its secrets, and headers that may hold a password.

use uuid::Uuid;

use super::model::Endpoint;
use crate::kernel::ids::WebhookEndpointId;
use crate::kernel::seal::Place;
use crate::kernel::tenant::TenantCtx;
use crate::tenant::webhooks::signing::Secret;
use crate::vault::{KeyError, Vault};

/// A header: its name and its value.
pub type Header = (String, String);

/// Seals and opens what is an endpoint's.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// Has the keys.
    pub vault: &'a Vault,
    /// Whose they are.
    pub tenant: &'a TenantCtx,
}

/// What is sealed of an endpoint, opened.
pub struct Opened {
    /// What signs, the newest first.
    pub secrets: Vec<Secret>,
    /// What is sent along.
    pub headers: Vec<Header>,
}

fn secret(id: WebhookEndpointId) -> Place {
    Place { row: id.0, column: "webhook_endpoints.secret" }
}

fn headers(id: WebhookEndpointId) -> Place {
    Place { row: id.0, column: "webhook_endpoints.headers" }
}

impl Sealing<'_> {
    /// Seals a secret. The one before the last rotation is sealed as the present one was.
    ///
    /// # Errors
    /// The tenant's key cannot be used.
    pub fn secret(self, id: WebhookEndpointId, plain: &Secret) -> Result<Vec<u8>, KeyError> {
        self.vault.seal(self.tenant, secret(id), plain.bytes())
    }

    /// Seals headers; nothing where there are none.
    ///
    /// # Errors
    /// The tenant's key cannot be used.
    pub fn headers(self, id: WebhookEndpointId, plain: &[Header]) -> Result<Option<Vec<u8>>, KeyError> {
        if plain.is_empty() {
            return Ok(None);
        }
        // Pairs of texts are JSON whatever they hold.
        let json = serde_json::to_vec(plain).unwrap_or_default();
        self.vault.seal(self.tenant, headers(id), &json).map(Some)
    }

    /// Opens headers.
    ///
    /// # Errors
    /// The tenant's key cannot be used, or what is stored is not what was sealed.
    pub fn headers_open(self, endpoint: &Endpoint) -> Result<Vec<Header>, KeyError> {
        let Some(sealed) = &endpoint.headers else { return Ok(Vec::new()) };
        let json = self.vault.open(self.tenant, headers(endpoint.id), sealed)?;
        Ok(serde_json::from_slice(&json).unwrap_or_default())
    }

    /// Opens all of it, the previous secret where `is_valid` says of the time of its end that it still signs.
    ///
    /// # Errors
    /// As [`Sealing::headers_open`].
    pub fn open(
        self,
        endpoint: &Endpoint,
        is_valid: impl Fn(chrono::DateTime<chrono::Utc>) -> bool,
    ) -> Result<Opened, KeyError> {
        let previous = endpoint.previous_secret.as_ref().filter(|_| endpoint.previous_expires_at.is_some_and(is_valid));
        let sealed = [Some(&endpoint.secret), previous].into_iter().flatten();
        let secrets = sealed.map(|sealed| self.secret_open(endpoint.id.0, sealed)).collect::<Result<_, _>>()?;
        Ok(Opened { secrets, headers: self.headers_open(endpoint)? })
    }

    /// The endpoint with all that is sealed of it under the tenant's key of now.
    ///
    /// # Errors
    /// As [`Sealing::headers_open`].
    pub fn reseal(self, endpoint: Endpoint) -> Result<Endpoint, KeyError> {
        let anew = |sealed: &Vec<u8>| self.secret(endpoint.id, &self.secret_open(endpoint.id.0, sealed)?);
        let secret = anew(&endpoint.secret)?;
        let previous_secret = endpoint.previous_secret.as_ref().map(anew).transpose()?;
        let headers = self.headers(endpoint.id, &self.headers_open(&endpoint)?)?;
        Ok(Endpoint { secret, previous_secret, headers, ..endpoint })
    }

    fn secret_open(self, id: Uuid, sealed: &[u8]) -> Result<Secret, KeyError> {
        let plain = self.vault.open(self.tenant, secret(WebhookEndpointId(id)), sealed)?;
        let bytes = plain.try_into().map_err(|_| KeyError::Seal(crate::kernel::seal::SealError::NotAuthentic))?;
        Ok(Secret::new(bytes))
    }
}
