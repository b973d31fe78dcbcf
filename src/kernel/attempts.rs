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

/// What is known of a key.
#[derive(Debug, Clone)]
pub struct Attempts {
    /// What is counted.
    pub key: Vec<u8>,
    /// How often it was tried.
    pub count: i32,
    /// Until when more are refused.
    pub blocked_until: DateTime<Utc>,
    /// When the last one was.
    pub updated_at: DateTime<Utc>,
}

/// What one attempt is counted by: the account that is tried, and where from.
#[derive(Debug, Clone)]
pub struct AttemptKeys {
    account: Vec<u8>,
    address: Vec<u8>,
}

/// A key, and until when it is blocked.
pub type Blocked<'a> = (&'a [u8], DateTime<Utc>);

impl AttemptKeys {
    /// The keys of an attempt at something.
    #[must_use]
    pub fn new(action: &str, email_key: &str, address: IpAddr) -> Self {
        Self { account: account_key(action, email_key), address: address_key(action, address) }
    }

    /// The account's key, whose attempts a good one makes forgotten.
    #[must_use]
    pub fn account(&self) -> &[u8] {
        &self.account
    }

    /// Both keys with their throttles, in one order for everybody: two attempts never wait for each other.
    #[must_use]
    pub fn sorted(&self) -> [(&[u8], Throttle); 2] {
        let mut throttles: [(&[u8], Throttle); 2] = [(&self.account, ACCOUNT), (&self.address, ADDRESS)];
        throttles.sort_by_key(|(key, _)| *key);
        throttles
    }

    /// Until when each key is blocked once this attempt is counted, in their order.
    ///
    /// # Errors
    /// In how many seconds the next attempt will be read: this one is not.
    pub fn admit<'a>(&'a self, known: &[Attempts], now: DateTime<Utc>) -> Result<[Blocked<'a>; 2], i64> {
        if let Some(until) = known.iter().map(|attempts| attempts.blocked_until).filter(|until| *until > now).max() {
            return Err((until - now).num_seconds() + 1);
        }
        Ok(self.sorted().map(|(key, throttle)| {
            let recent = known.iter().find(|attempts| attempts.key == key && attempts.updated_at > now - FORGET_AFTER);
            let count = recent.map_or(0, |attempts| attempts.count).saturating_add(1);
            (key, throttle.blocked_until(count, now))
        }))
    }
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
    fn an_attempt_is_refused_unread_while_either_key_is_blocked() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let keys = AttemptKeys::new("login", "ann@acme.example", "192.0.2.1".parse().unwrap());
        let known = |key: &[u8], count, blocked_s, age_s| Attempts {
            key: key.to_vec(),
            count,
            blocked_until: now + TimeDelta::seconds(blocked_s),
            updated_at: now - TimeDelta::seconds(age_s),
        };
        assert!(keys.admit(&[], now).unwrap().iter().all(|(_, until)| *until == now));
        assert_eq!(keys.admit(&[known(keys.account(), 9, 7, 1)], now), Err(8));
        let sixth = keys.admit(&[known(keys.account(), 6, 0, 1)], now).unwrap();
        assert_eq!(sixth.iter().map(|(_, until)| (*until - now).num_seconds()).max(), Some(2));
        let forgotten = keys.admit(&[known(keys.account(), 60, 0, 3_601)], now).unwrap();
        assert!(forgotten.iter().all(|(_, until)| *until == now));
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
