//! Which addresses deliveries never reach, be they written in the URL or be a name's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use shelfwise::outbound::{Lookup, Outbound, OutboundError, Policy, UrlRefusal};

use super::host::{RELAXED, STRICT, assert_untouched, host, listener, lookup, ok};

/// An address of each network that is not of the open internet.
const REFUSED: &[(&str, &str)] = &[
    ("this network", "0.0.0.0 0.1.2.3"),
    ("loopback", "127.0.0.1 127.255.255.254 ::1"),
    ("unspecified", "::"),
    ("private", "10.0.0.1 172.16.0.1 172.31.255.254 192.168.0.1"),
    ("unique local", "fc00::1 fd12:3456:789a::1"),
    ("link-local", "169.254.0.1 fe80::1"),
    ("site-local", "fec0::1"),
    ("shared, behind carriers' NAT", "100.64.0.1 100.127.255.254"),
    (
        "clouds' metadata",
        "169.254.169.254 169.254.170.2 100.100.100.200 192.0.0.192 168.63.129.16 fd00:ec2::254 fd20:ce::254",
    ),
    ("protocol assignments", "192.0.0.1 2001:1::1"),
    ("documentation", "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1"),
    ("benchmarks", "198.18.0.1 198.19.255.254 2001:2::1"),
    ("relays of 6to4", "192.88.99.1"),
    ("multicast", "224.0.0.1 239.255.255.250 ff02::1 ff0e::1"),
    ("reserved and broadcast", "240.0.0.1 255.255.255.255"),
    ("IPv4-mapped", "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254"),
    ("IPv4-compatible and translated", "::127.0.0.1 ::ffff:0:127.0.0.1"),
    ("NAT64", "64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1"),
    ("6to4", "2002:7f00:1::1 2002:a9fe:a9fe::1"),
    ("Teredo", "2001:0:7f00:1::1 2001::1"),
    ("ORCHID", "2001:10::1 2001:20::1"),
    ("discarded", "100::1 100:0:0:1::1"),
    ("segment routing", "5f00::1"),
    ("not given to anybody", "4000::1 8000::1 e000::1"),
];

fn refused() -> impl Iterator<Item = (&'static str, IpAddr)> {
    REFUSED.iter().flat_map(|(name, ips)| ips.split(' ').map(move |ip| (*name, ip.parse().unwrap())))
}

async fn failure(policy: Policy, lookup: Lookup, url: &str) -> OutboundError {
    let outbound = Outbound::for_deliveries_with_lookup(policy, Duration::from_secs(30), lookup).unwrap();
    outbound.post(url, HeaderMap::new(), Bytes::new()).await.unwrap_err()
}

#[tokio::test]
async fn an_address_that_is_not_public_is_refused_in_a_url() {
    for (name, ip) in refused() {
        let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        for policy in [STRICT, RELAXED] {
            if policy == RELAXED && ip.to_canonical().is_loopback() {
                continue;
            }
            let error = failure(policy, lookup(&[ip]), &format!("https://{host}/")).await;
            assert!(matches!(error, OutboundError::Url(UrlRefusal::Host)), "{name}, {ip}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_not_public_is_refused_of_a_name() {
    for (name, ip) in refused() {
        let error = failure(STRICT, lookup(&[ip]), "https://hooks.example/").await;
        assert!(matches!(error, OutboundError::NoAddress), "{name}, {ip}: {error:?}");
        assert_eq!(error.to_string(), "the host's name has no public address");
    }
    let all: Vec<IpAddr> = refused().map(|(_, ip)| ip).collect();
    assert!(matches!(failure(STRICT, lookup(&all), "https://hooks.example/").await, OutboundError::NoAddress));
}

#[tokio::test]
async fn a_name_that_is_unknown_and_one_that_is_ours_are_one_failure() {
    let unknown: Lookup = Arc::new(|_| Box::pin(std::future::ready(Err(std::io::Error::other("NXDOMAIN")))));
    let unknown = failure(STRICT, unknown, "https://hooks.example/").await;
    let ours = failure(STRICT, lookup(&[[10, 0, 0, 1]]), "https://hooks.example/").await;
    assert_eq!(unknown.to_string(), ours.to_string());
}

#[tokio::test]
async fn of_mixed_addresses_the_refused_are_not_tried() {
    // The host is at the last of them, and would be waited for at those before.
    let (address, _thread) = host(ok("1"));
    let mixed = lookup(&[[10, 0, 0, 1], [169, 254, 169, 254], [100, 64, 0, 1], [127, 0, 0, 1]]);
    let outbound = Outbound::for_deliveries_with_lookup(RELAXED, Duration::from_secs(30), mixed).unwrap();
    let url = format!("http://hooks.localhost:{}/", address.port());
    assert_eq!(outbound.post(&url, HeaderMap::new(), Bytes::new()).await.unwrap().excerpt, "1");
}

#[tokio::test]
async fn only_https_to_a_port_of_the_web_leaves_the_house() {
    let (listener, address) = listener();
    let port = address.port();
    for (url, expected) in [
        (format!("http://127.0.0.1:{port}/"), UrlRefusal::Scheme),
        (format!("http://hooks.example:{port}/"), UrlRefusal::Scheme),
        ("http://hooks.example/".to_owned(), UrlRefusal::Scheme),
        ("gopher://hooks.example/".to_owned(), UrlRefusal::Scheme),
        ("https://hooks.example:22/".to_owned(), UrlRefusal::Port),
        (format!("https://localhost:{port}/"), UrlRefusal::Host),
        (format!("https://hooks.localhost.:{port}/"), UrlRefusal::Host),
        (format!("https://0x7f000001:{port}/"), UrlRefusal::Host),
        ("https://hooks.internal/".to_owned(), UrlRefusal::Host),
        (format!("https://a:b@hooks.example:{port}/"), UrlRefusal::UserInfo),
    ] {
        let error = failure(STRICT, lookup(&[[127, 0, 0, 1]]), &url).await;
        assert!(matches!(error, OutboundError::Url(refusal) if refusal == expected), "{url}: {error:?}");
    }
    assert_untouched(&listener);
}
