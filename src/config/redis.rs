//! Where the Redis is that replicas share.
//!
//! - `REDIS_URL`: the Redis that replicas share, `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss:` for TLS. Unset: limits,
//!   cache and what replicas tell each other are this process's own, but for what goes through PostgreSQL.

use secrecy::SecretString;
use url::Url;

use super::Reader;

/// The Redis that replicas share, if there is one. Its URL may hold a password.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Where it is.
    pub url: Option<SecretString>,
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
        Self { url: url.map(SecretString::from) }
    }
}
