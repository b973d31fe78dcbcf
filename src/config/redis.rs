//! Where the Redis is that replicas share.
//!
//! - `REDIS_URL`: the Redis that replicas share, `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss:` for TLS. Unset: limits,
//!   cache and what replicas tell each other are this process's own, but for what goes through PostgreSQL.
//! - `REDIS_TIMEOUT_MS` (50): how long an answer of it is waited for before a call goes on without.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::Reader;

/// The Redis that replicas share, if there is one. Its URL may hold a password.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Where it is.
    pub url: Option<SecretString>,
    /// How long an answer is waited for.
    pub answer_timeout: Duration,
}

impl RedisConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let url = reader.text("REDIS_URL").filter(|text| {
            let is_url = |url: Url| matches!(url.scheme(), "redis" | "rediss") && url.has_host();
            let is_redis = text.parse().is_ok_and(is_url);
            if !is_redis {
                // The text may hold a password, so it is not told.
                reader.problem("REDIS_URL", "use redis://HOST:PORT, or rediss:// for TLS");
            }
            is_redis
        });
        Self { url: url.map(SecretString::from), answer_timeout: reader.millis("REDIS_TIMEOUT_MS", 50) }
    }
}
