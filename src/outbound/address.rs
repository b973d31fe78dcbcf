//! Which IP addresses belong to the open internet. All others may be ours, so no tenant has us call them.
//!
//! After IANA's registries "IPv4 Special-Purpose Address Space", "IPv6 Special-Purpose Address Space" and "IPv6 Global
//! Unicast Address Space" (RFC 6890, RFC 8190). This is not about names or ports: see [`super::check_url`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network as its first address and the bits that its addresses share.
type Network<A> = (A, u32);

/// The IPv4 networks that are refused.
const V4_REFUSED: &[Network<Ipv4Addr>] = &[
    // "This network", RFC 791; Linux takes 0.0.0.0 for itself.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private, RFC 1918.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared behind carriers' NAT, RFC 6598.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback, RFC 1122.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Azure's way to its host, which hands out settings: a public address that means something else from within.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Link-local, RFC 3927, and with it the clouds' metadata.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Private, RFC 1918.
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // Protocol assignments, RFC 6890.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation, RFC 5737.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // Relays of 6to4, given up by RFC 7526.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Private, RFC 1918.
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Benchmarks, RFC 2544.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documentation, RFC 5737.
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    // Documentation, RFC 5737.
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, RFC 5771.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, RFC 1112, and 255.255.255.255 for broadcast, RFC 919.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The one IPv6 network that addresses of the internet are given from: RFC 4291.
const V6_GLOBAL: Network<Ipv6Addr> = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The parts of it that are refused. What lies outside needs no mention: `::`, `::1`, the IPv4-compatible (RFC 4291),
/// NAT64 (RFC 6052, RFC 8215), discard-only (RFC 6666), unique local (RFC 4193), link-local (RFC 4291), site-local
/// (RFC 3879) and multicast (RFC 4291).
const V6_REFUSED: &[Network<Ipv6Addr>] = &[
    // Protocol assignments, RFC 2928, Teredo (RFC 4380) among them.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation, RFC 3849.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4, which wraps an IPv4 address, RFC 3056.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // Documentation, RFC 9637.
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether the address belongs to the open internet.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    // The kernel connects an IPv4-mapped address by IPv4, so it is judged as such.
    match ip.to_canonical() {
        IpAddr::V4(ip) => !V4_REFUSED.iter().any(|network| v4_contains(*network, ip)),
        IpAddr::V6(ip) => v6_contains(V6_GLOBAL, ip) && !V6_REFUSED.iter().any(|network| v6_contains(*network, ip)),
    }
}

fn v4_contains((first, bits): Network<Ipv4Addr>, ip: Ipv4Addr) -> bool {
    (first.to_bits() ^ ip.to_bits()).leading_zeros() >= bits
}

fn v6_contains((first, bits): Network<Ipv6Addr>, ip: Ipv6Addr) -> bool {
    (first.to_bits() ^ ip.to_bits()).leading_zeros() >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists of addresses, which are public and which are not.
    fn check(public: &str, refused: &str) {
        for (texts, expected) in [(public, true), (refused, false)] {
            texts.split(' ').filter(|text| !text.is_empty()).for_each(|text| {
                assert_eq!(is_public(text.parse().unwrap()), expected, "{text}");
            });
        }
    }

    #[test]
    fn refused_networks_of_ipv4_end_where_their_rfc_has_it() {
        // The neighbours before and after, where they are public, and the first and the last address.
        check("1.0.0.0", "0.0.0.0 0.255.255.255");
        check("9.255.255.255 11.0.0.0", "10.0.0.0 10.255.255.255");
        check("100.63.255.255 100.128.0.0", "100.64.0.0 100.127.255.255");
        check("126.255.255.255 128.0.0.0", "127.0.0.0 127.255.255.255");
        check("168.63.129.15 168.63.129.17", "168.63.129.16");
        check("169.253.255.255 169.255.0.0", "169.254.0.0 169.254.255.255");
        check("172.15.255.255 172.32.0.0", "172.16.0.0 172.31.255.255");
        check("191.255.255.255 192.0.1.0", "192.0.0.0 192.0.0.255");
        check("192.0.1.255 192.0.3.0", "192.0.2.0 192.0.2.255");
        check("192.88.98.255 192.88.100.0", "192.88.99.0 192.88.99.255");
        check("192.167.255.255 192.169.0.0", "192.168.0.0 192.168.255.255");
        check("198.17.255.255 198.20.0.0", "198.18.0.0 198.19.255.255");
        check("198.51.99.255 198.51.101.0", "198.51.100.0 198.51.100.255");
        check("203.0.112.255 203.0.114.0", "203.0.113.0 203.0.113.255");
        check("223.255.255.255", "224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255");
        check("1.1.1.1 8.8.8.8", "169.254.169.254");
    }

    #[test]
    fn refused_networks_of_ipv6_end_where_their_rfc_has_it() {
        let end = ":ffff:ffff:ffff:ffff";
        check("2000::", &format!(":: ::1 100:: 100:{end} 1fff:ffff:ffff:ffff{end}"));
        check("2000:ffff:: 2001:200::", &format!("2001:: 2001::1 2001:20:: 2001:1ff:ffff:ffff{end}"));
        check("2001:db7:: 2001:db9::", &format!("2001:db8:: 2001:db8:ffff:ffff{end}"));
        check("2001:ffff:: 2003::", &format!("2002:: 2002:ffff:ffff:ffff{end}"));
        check("3ffe:: 3fff:1000::", &format!("3fff:: 3fff:fff:ffff:ffff{end}"));
        check(&format!("3fff:ffff:ffff:ffff{end}"), "4000:: 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1");
        check("2606:4700:4700::1111 2a00:1450::1", "");
    }

    #[test]
    fn an_address_within_an_address_hides_nothing() {
        // IPv4-mapped: as the address within.
        check("::ffff:8.8.8.8", "::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1 ::ffff:0.0.0.0");
        // IPv4-compatible, translated, NAT64, 6to4 and Teredo: never, whatever is within.
        check("", "::8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b:1::8.8.8.8 2002:808:808::1 2001::f7f7:f7f7");
    }
}
