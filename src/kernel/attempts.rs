//! How failed attempts to get in slow down the next ones.
//!
//! The first few are free; then each doubles the wait, up to a bound, so that an attacker cannot shut an account's
//! owner out for long. A quiet time forgets. As RFC 6819, section 5.1.4.2.3, advises.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

/// How one kind of key is slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Attempts that cost no waiting.
    pub free: i32,
    /// The longest wait in seconds.
    pub wait_max_s: i64,
}

/// For one account, from wherever: 1,440 guesses a day at most, and its owner waits for a minute at most.
pub const ACCOUNT: Throttle = Throttle { free: 5, wait_max_s: 60 };

/// For one address, at whatever account: people behind one address share it, so more is free, and it lasts longer.
pub const ADDRESS: Throttle = Throttle { free: 30, wait_max_s: 900 };

/// After this long without an attempt all is forgotten.
pub const FORGET_AFTER: TimeDelta = TimeDelta::hours(1);

/// What an account's attempts are counted by: a hash, so that no list of tried addresses comes into being.
#[must_use]
pub fn account_key(action: &str, email_key: &str) -> Vec<u8> {
    Sha256::digest(format!("{action} account {email_key}")).to_vec()
}

/// What an address's attempts are counted by. One customer of a provider has a whole /64 of IPv6 addresses.
#[must_use]
pub fn address_key(action: &str, address: IpAddr) -> Vec<u8> {
    let network = match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
    };
    Sha256::digest(format!("{action} address {network}")).to_vec()
}

impl Throttle {
    /// Until when attempts are refused once so many were made.
    #[must_use]
    pub fn blocked_until(&self, count: i32, now: DateTime<Utc>) -> DateTime<Utc> {
        let excess = count - self.free;
        if excess <= 0 {
            return now;
        }
        let doubled = 1_i64.checked_shl(u32::try_from(excess - 1).unwrap_or(0).min(62)).unwrap_or(i64::MAX);
        now + TimeDelta::seconds(doubled.min(self.wait_max_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let now = DateTime::UNIX_EPOCH;
        let check = |count: i32, seconds: i64| {
            assert_eq!((ACCOUNT.blocked_until(count, now) - now).num_seconds(), seconds, "{count}");
        };
        check(1, 0);
        check(5, 0);
        check(6, 1);
        check(7, 2);
        check(9, 8);
        check(12, 60);
        check(1_000, 60);
        check(i32::MAX, 60);
    }

    #[test]
    fn one_network_is_one_key() {
        let key = |address: &str| address_key("login", address.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
