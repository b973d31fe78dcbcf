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

/// For one account from one network: the guesser waits, the account's owner elsewhere does not.
pub const ACCOUNT_HERE: Throttle = Throttle { free: 5, wait_max_s: 900 };

/// For one account from everywhere: what many networks together may try.
pub const ACCOUNT: Throttle = Throttle { free: 100, wait_max_s: 60 };

/// For mails to one account: whoever asks for them fills somebody's mailbox.
pub const MAIL: Throttle = Throttle { free: 3, wait_max_s: 3_600 };

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
    Sha256::digest(format!("{action} address {}", network(address))).to_vec()
}

/// The network that an address is counted as.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
    }
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

/// What one attempt is counted by: the account that is tried, where from, and both together.
#[derive(Debug, Clone)]
pub struct AttemptKeys {
    /// In one order for everybody: two attempts never wait for each other.
    keys: Vec<(Vec<u8>, Throttle)>,
    address: Vec<u8>,
}

/// A key, and until when it is blocked.
pub type Blocked<'a> = (&'a [u8], DateTime<Utc>);

impl AttemptKeys {
    /// The keys of an attempt to get in by a password.
    #[must_use]
    pub fn password(action: &str, email_key: &str, address: IpAddr) -> Self {
        let here = account_key(&format!("{action} from {}", network(address)), email_key);
        let account = account_key(action, email_key);
        Self::of(address_key(action, address), vec![(here, ACCOUNT_HERE), (account, ACCOUNT)])
    }

    /// The keys of a request for a mail.
    #[must_use]
    pub fn mail(email_key: &str, address: IpAddr) -> Self {
        Self::of(address_key("mail", address), vec![(account_key("mail", email_key), MAIL)])
    }

    fn of(address: Vec<u8>, mut keys: Vec<(Vec<u8>, Throttle)>) -> Self {
        keys.push((address.clone(), ADDRESS));
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self { keys, address }
    }

    /// The keys in the order in which they are locked.
    #[must_use]
    pub fn sorted(&self) -> Vec<Vec<u8>> {
        self.keys.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Whether a good attempt makes a key's attempts forgotten: all but the address's, which others share.
    #[must_use]
    pub fn is_forgotten(&self, key: &[u8]) -> bool {
        key != self.address
    }

    /// Until when each key is blocked once this attempt is counted, in their order.
    ///
    /// # Errors
    /// In how many seconds the next attempt will be read: this one is not.
    pub fn admit<'a>(&'a self, known: &[Attempts], now: DateTime<Utc>) -> Result<Vec<Blocked<'a>>, i64> {
        if let Some(until) = known.iter().map(|attempts| attempts.blocked_until).filter(|until| *until > now).max() {
            return Err((until - now).num_seconds() + 1);
        }
        let next = self.keys.iter().map(|(key, throttle)| {
            let recent = known.iter().find(|attempts| attempts.key == *key && attempts.updated_at > now - FORGET_AFTER);
            let count = recent.map_or(0, |attempts| attempts.count).saturating_add(1);
            (key.as_slice(), throttle.blocked_until(count, now))
        });
        Ok(next.collect())
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
            let throttle = Throttle { free: 5, wait_max_s: 60 };
            assert_eq!((throttle.blocked_until(count, now) - now).num_seconds(), seconds, "{count}");
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
        let keys = AttemptKeys::password("login", "ann@acme.example", "192.0.2.1".parse().unwrap());
        let account = account_key("login", "ann@acme.example");
        let known = |key: &[u8], count, blocked_s, age_s| Attempts {
            key: key.to_vec(),
            count,
            blocked_until: now + TimeDelta::seconds(blocked_s),
            updated_at: now - TimeDelta::seconds(age_s),
        };
        assert!(keys.admit(&[], now).unwrap().iter().all(|(_, until)| *until == now));
        assert_eq!(keys.admit(&[known(&account, 9, 7, 1)], now), Err(8));
        let many = keys.admit(&[known(&account, 101, 0, 1)], now).unwrap();
        assert_eq!(many.iter().map(|(_, until)| (*until - now).num_seconds()).max(), Some(2));
        let forgotten = keys.admit(&[known(&account, 600, 0, 3_601)], now).unwrap();
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
