//! Calls to addresses that a tenant chose, kept from reaching what only we can reach (SSRF, CWE-918).
//!
//! Three checks stand in the way: [`check_url`] judges the text, and with it hosts written as IP addresses;
//! [`Resolver`] judges the addresses of a name at the moment they are connected to, so that a name cannot show one
//! address and be called at another; and no redirect leads past either. This is not for services that we chose
//! ourselves.

pub mod address;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use url::{Host, Url};

use address::is_public;

/// The longest URL, in bytes.
const URL_LEN_MAX: usize = 2_000;

/// How long it may take to look a name up, connect and agree on TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a call may take, from the look-up of the name to the last byte of the body.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses of one name that are tried: whoever runs the name's DNS decides how many there are.
const ADDRESSES_MAX: usize = 8;

/// Who we say we are.
const USER_AGENT: &str = "ShelfWise";

/// Names that mean this machine: RFC 6761, section 6.3.
const LOOPBACK_NAME: &str = "localhost";

/// Names that mean a neighbour: RFC 6762, and ICANN's resolution 2024.07.29.06 for private use.
const NEIGHBOUR_NAMES: [&str; 2] = ["local", "internal"];

/// Finds the addresses of a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// How strict the guard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether this very machine may be called, by HTTP without TLS too: for development alone.
    pub allow_loopback: bool,
}

/// Why a URL is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// More than 2,000 bytes.
    #[error("the URL is longer than {URL_LEN_MAX} bytes")]
    TooLong,
    /// Not a URL.
    #[error("this is not a URL")]
    Malformed,
    /// Another scheme than HTTPS.
    #[error("the URL does not begin with https://")]
    Scheme,
    /// A login or password within the URL.
    #[error("the URL holds a login or password")]
    UserInfo,
    /// A fragment, which no server gets to see.
    #[error("the URL holds a fragment (`#`)")]
    Fragment,
    /// A port that belongs to another service.
    #[error("the port is neither 443 nor at least 1024")]
    Port,
    /// A name that only means something near us, or an address that is not of the open internet.
    #[error("the host is not on the public internet")]
    Host,
}

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
    #[error("the host did not answer within {} seconds", TOTAL_TIMEOUT.as_secs())]
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

/// Looks a name up and lets pass those addresses that may be called.
struct Resolver {
    policy: Policy,
    lookup: Lookup,
}

impl Policy {
    fn permits(self, ip: IpAddr) -> bool {
        is_public(ip) || (self.allow_loopback && ip.to_canonical().is_loopback())
    }
}

/// Reads a URL and judges what its text tells. A name's addresses are judged later, whenever it is called.
///
/// # Errors
/// The URL is not called, and why.
pub fn check_url(text: &str, policy: Policy) -> Result<Url, UrlRefusal> {
    if text.len() > URL_LEN_MAX {
        return Err(UrlRefusal::TooLong);
    }
    let url = Url::parse(text).map_err(|_| UrlRefusal::Malformed)?;
    // The parser finds a host in all URLs of HTTP and HTTPS, and has turned `0x7f.1` and the like into an address.
    let host = url.host().ok_or(UrlRefusal::Scheme)?;
    match url.scheme() {
        "https" => {}
        "http" if policy.allow_loopback && is_loopback(&host) => {}
        _ => return Err(UrlRefusal::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(UrlRefusal::Fragment);
    }
    if !matches!(url.port_or_known_default(), Some(443 | 1024..)) {
        return Err(UrlRefusal::Port);
    }
    let is_permitted = match host {
        Host::Domain(name) => policy.allow_loopback || !is_near(name),
        Host::Ipv4(ip) => policy.permits(ip.into()),
        Host::Ipv6(ip) => policy.permits(ip.into()),
    };
    if is_permitted { Ok(url) } else { Err(UrlRefusal::Host) }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => is_within(name, LOOPBACK_NAME),
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.to_canonical().is_loopback(),
    }
}

fn is_near(name: &str) -> bool {
    is_within(name, LOOPBACK_NAME) || NEIGHBOUR_NAMES.iter().any(|zone| is_within(name, zone))
}

/// Whether the name, in lower case as the parser left it, is the zone or within it.
fn is_within(name: &str, zone: &str) -> bool {
    // A name may end in the root's dot and means the same.
    let rest = name.trim_end_matches('.').strip_suffix(zone);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl Outbound {
    /// Calls by the machine's DNS, trusting the machine's certificate authorities.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(policy: Policy) -> anyhow::Result<Self> {
        Self::with_lookup(policy, Arc::new(|name| lookup(name).boxed()))
    }

    /// Calls by another DNS, so that a test can decide what a name means.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn with_lookup(policy: Policy, lookup: Lookup) -> anyhow::Result<Self> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .dns_resolver(Resolver { policy, lookup })
            // A redirect would lead past `check_url`.
            .redirect(redirect::Policy::none())
            // A proxy would look the name up itself, past the resolver.
            .no_proxy()
            .https_only(!policy.allow_loopback)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            // No tenant's host keeps a connection of ours, and each call looks its name up.
            .pool_max_idle_per_host(0)
            .user_agent(USER_AGENT)
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

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        let found = (self.lookup)(name.as_str().to_owned());
        async move {
            let mut ips = found.await?;
            ips.retain(|ip| policy.permits(*ip));
            ips.truncate(ADDRESSES_MAX);
            if ips.is_empty() {
                return Err("no address that may be called".into());
            }
            // The client puts the URL's port in the place of 0.
            Ok(Box::new(ips.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        }
        .boxed()
    }
}

async fn lookup(name: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
}

/// The machine's authorities. Where it has none, no certificate is trusted and every call by HTTPS fails.
fn tls() -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Policy = Policy { allow_loopback: false };
    const RELAXED: Policy = Policy { allow_loopback: true };

    #[test]
    fn urls_of_the_open_internet_are_told_from_others() {
        let check = |text: &str, expected: Result<&str, UrlRefusal>| {
            let url = check_url(text, STRICT);
            assert_eq!(url.as_ref().map(Url::as_str), expected.as_ref().copied(), "{text}");
        };
        check("https://Keys.Example/jwks", Ok("https://keys.example/jwks"));
        check("https://bücher.example:8443/?a=b", Ok("https://xn--bcher-kva.example:8443/?a=b"));
        check("https://8.8.8.8/", Ok("https://8.8.8.8/"));
        check("https://[2606:4700::1111]:1024/", Ok("https://[2606:4700::1111]:1024/"));
        check("https://locals.example/", Ok("https://locals.example/"));
        check("https://notlocalhost/", Ok("https://notlocalhost/"));

        check("", Err(UrlRefusal::Malformed));
        check("keys.example", Err(UrlRefusal::Malformed));
        check("https://", Err(UrlRefusal::Malformed));
        check("https://1.2.3.4.5/", Err(UrlRefusal::Malformed));
        check(&format!("https://keys.example/{}", "x".repeat(URL_LEN_MAX)), Err(UrlRefusal::TooLong));
        for text in
            ["http://keys.example/", "ftp://keys.example/", "file:///etc/passwd", "data:,x", "http://localhost/"]
        {
            check(text, Err(UrlRefusal::Scheme));
        }
        for text in ["https://ann@keys.example/", "https://:pw@keys.example/", "https://8.8.8.8@10.0.0.1/"] {
            check(text, Err(UrlRefusal::UserInfo));
        }
        check("https://keys.example/#x", Err(UrlRefusal::Fragment));
        for port in [0, 22, 25, 80, 442, 444, 1023] {
            check(&format!("https://keys.example:{port}/"), Err(UrlRefusal::Port));
        }
        let names = "localhost LOCALHOST. a.localhost local printer.local metadata.google.internal. loc%61lhost";
        let numbers =
            "127.0.0.1 127.0.0.1. 127.1 2130706433 0x7f.1 017700000001 １２７.0.0.1 10.0.0.1 169.254.169.254 0";
        let ipv6 = "[::] [::1] [::ffff:10.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [fd00::1] [fe80::1]";
        for host in [names, numbers, ipv6].into_iter().flat_map(|hosts| hosts.split(' ')) {
            check(&format!("https://{host}/"), Err(UrlRefusal::Host));
        }
    }

    #[test]
    fn development_may_call_its_own_machine_and_no_other() {
        let check = |text: &str, expected: Option<UrlRefusal>| {
            assert_eq!(check_url(text, RELAXED).err(), expected, "{text}");
        };
        for host in ["localhost", "keys.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"] {
            check(&format!("http://{host}:8000/"), None);
            check(&format!("https://{host}/"), None);
        }
        for text in ["https://keys.internal/", "https://keys.example/", "https://8.8.8.8/"] {
            check(text, None);
        }
        check("http://localhost/", Some(UrlRefusal::Port));
        for text in ["http://keys.example:8000/", "http://10.0.0.1:8000/", "http://localhost.example:8000/"] {
            check(text, Some(UrlRefusal::Scheme));
        }
        for text in ["https://10.0.0.1/", "https://169.254.169.254/", "https://[fd00::1]/", "https://0.0.0.0/"] {
            check(text, Some(UrlRefusal::Host));
        }
    }
    #[tokio::test]
    async fn whoever_runs_a_names_dns_does_not_decide_how_many_addresses_are_tried() {
        let ips = vec![IpAddr::from([8, 8, 8, 8]); ADDRESSES_MAX + 1];
        let lookup: Lookup = Arc::new(move |_| std::future::ready(Ok(ips.clone())).boxed());
        let found = Resolver { policy: STRICT, lookup }.resolve("keys.example".parse().unwrap()).await.unwrap();
        assert_eq!(found.count(), ADDRESSES_MAX);
    }
}
