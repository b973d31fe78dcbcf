//! Which URLs are called at all, judged by their text: [`check_url`].
//!
//! What a host's name means is not known here. Its addresses are judged when they are connected to, by
//! [`super::resolver`].

use std::net::IpAddr;

use url::{Host, Url};

use super::address::is_public;

/// The longest URL, in bytes.
const URL_LEN_MAX: usize = 2_000;

/// Names that mean this machine: RFC 6761, section 6.3.
const LOOPBACK_NAME: &str = "localhost";

/// Names that mean a neighbour: RFC 6762, and ICANN's resolution 2024.07.29.06 for private use.
const NEIGHBOUR_NAMES: [&str; 2] = ["local", "internal"];

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

impl Policy {
    /// Whether an address may be connected to.
    pub(super) fn permits(self, ip: IpAddr) -> bool {
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
}
