//! Calls to addresses that a tenant chose, kept from reaching what only we can reach (SSRF, CWE-918).
//!
//! Three checks stand in the way: [`check_url`] judges the text, and with it hosts written as IP addresses;
//! [`resolver`] judges the addresses of a name at the moment they are connected to, so that a name cannot show one
//! address and be called at another; and no redirect leads past either. This is not for services that we chose
//! ourselves.

pub mod address;
mod delivery;
mod policy;
mod resolver;

use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Client, ClientBuilder, StatusCode, redirect};
use serde_json::Value;

pub use delivery::{DELIVERY_TIMEOUT, RESPONSE_BYTES_MAX, Reply, retry_after};
pub use policy::{Policy, UrlRefusal, check_url};
pub use resolver::Lookup;

pub(crate) use resolver::tls;
use resolver::{Resolver, machine};

/// How long it may take to look a name up, connect and agree on TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a call may take, from the look-up of the name to the last byte of the body.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Who we say we are.
const USER_AGENT: &str = "ShelfWise";

/// Why a call brought nothing. The texts may be shown to the tenant: they tell neither addresses nor the body.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The URL is not called at all.
    #[error(transparent)]
    Url(#[from] UrlRefusal),
    /// The name is unknown, or has none but refused addresses. These are one failure, so that nobody asks us which
    /// names our network knows.
    #[error("the host's name has no public address")]
    NoAddress,
    /// It took too long.
    #[error("the host did not answer in time")]
    Timeout,
    /// No connection, no TLS with a trusted certificate, or no HTTP.
    #[error("the host could not be asked by HTTP")]
    Transport(#[source] reqwest::Error),
    /// Another status than 200. Redirects are not followed.
    #[error("the host answered with status {0} instead of 200")]
    Status(u16),
    /// The body is too long.
    #[error("the host's answer is longer than {0} bytes")]
    TooLong(usize),
    /// The body is not JSON.
    #[error("the host's answer is not JSON")]
    NotJson,
}

/// Calls addresses that tenants chose.
#[derive(Clone)]
pub struct Outbound {
    policy: Policy,
    client: Client,
}

impl Outbound {
    /// Calls by the machine's DNS, trusting the machine's certificate authorities.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(policy: Policy) -> anyhow::Result<Self> {
        Self::with_lookup(policy, machine())
    }

    /// Calls by another DNS, so that a test can decide what a name means.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn with_lookup(policy: Policy, lookup: Lookup) -> anyhow::Result<Self> {
        let client = guarded(policy, lookup)?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            // No tenant's host keeps a connection of ours, and each call looks its name up.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { policy, client })
    }

    /// Gets a JSON document of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// The URL is refused, the host does not answer as it should, or what it answers is too long or not JSON.
    pub async fn get_json(&self, url: &str, bytes_max: usize) -> Result<Value, OutboundError> {
        // A host that is an IP address never comes before the resolver, so the URL is judged at each call.
        let url = check_url(url, self.policy)?;
        let mut response = self.client.get(url).header(ACCEPT, "application/json").send().await?;
        if response.status() != StatusCode::OK {
            return Err(OutboundError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if chunk.len() > bytes_max - body.len() {
                return Err(OutboundError::TooLong(bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| OutboundError::NotJson)
    }
}

/// A client that every guard stands before; how long it may take and what it keeps are its maker's to say.
fn guarded(policy: Policy, lookup: Lookup) -> anyhow::Result<ClientBuilder> {
    Ok(Client::builder()
        .tls_backend_preconfigured(tls()?)
        .dns_resolver(Resolver { policy, lookup })
        // A redirect would lead past `check_url`.
        .redirect(redirect::Policy::none())
        // A proxy would look the name up itself, past the resolver.
        .no_proxy()
        .https_only(!policy.allow_loopback)
        // A small body must not become a large one, whatever the client is built with.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .user_agent(USER_AGENT))
}

impl From<reqwest::Error> for OutboundError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_dns() {
            Self::NoAddress
        } else {
            // A URL may carry a secret in its query.
            Self::Transport(error.without_url())
        }
    }
}
