//! Time, new ids and secrets, passed in so that a test can decide them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::seal::NONCE_LEN;

/// Where the time, new identifiers and secrets come from.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> DateTime<Utc>;

    /// A fresh UUIDv7 (RFC 9562): its order is the order of creation.
    fn new_id(&self) -> Uuid;

    /// 256 random bits that nobody can guess.
    fn secret(&self) -> [u8; 32];

    /// 96 random bits, for one value under one key.
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&self.secret()[..NONCE_LEN]);
        nonce
    }
}

/// The last second that times are compared with: PostgreSQL knows none that are much later.
const LATEST_S: i64 = 253_402_300_799;

/// The nearest time that PostgreSQL can be asked for. Nothing of ours is older or younger.
#[must_use]
pub fn storable(at: DateTime<Utc>) -> DateTime<Utc> {
    at.clamp(DateTime::UNIX_EPOCH, DateTime::from_timestamp(LATEST_S, 0).unwrap_or(DateTime::UNIX_EPOCH))
}

/// The machine's clock and the system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // A system that has no randomness cannot serve anybody safely.
        if let Err(error) = getrandom::fill(&mut bytes) {
            panic!("the system gives no randomness: {error}");
        }
        bytes
    }
}
