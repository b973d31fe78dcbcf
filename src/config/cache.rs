//! - `CACHE_TTL_SECONDS` (1 in development, 60 in staging, 300 in production): how long answers are kept; 0 keeps none.
//! - `CACHE_MEGABYTES_MAX` (64): the most memory of a process for them; what is used least goes first.
//!
//! What a server changes is told, and outdated at once: the first bounds how long one sees what was changed by hand.

use std::time::Duration;

use super::{Environment, Reader};

/// How long it is waited for what another caller is just reading.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long answers are kept, and how much of them.
#[derive(Debug, Clone, Copy)]
pub struct CacheConfig {
    /// How long an answer is kept at most; none where it is zero.
    pub ttl: Duration,
    /// The most bytes that are kept in this process.
    pub bytes_max: u64,
    /// How long it is waited for what another caller is just reading. A test has more or less of it.
    pub patience: Duration,
}

impl CacheConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let ttl = match environment {
            // What a developer changes by hand is there a second later.
            Environment::Development => 1,
            Environment::Staging => 60,
            Environment::Production => 300,
        };
        Self {
            ttl: Duration::from_secs(reader.or::<u32>("CACHE_TTL_SECONDS", ttl).into()),
            bytes_max: reader.at_least_one::<u64>("CACHE_MEGABYTES_MAX", 64).saturating_mul(1024 * 1024),
            patience: PATIENCE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_how_long_answers_are_kept() {
        let check = |environment, seconds| {
            let config = CacheConfig::read(&mut Reader::new(&|_| None), environment);
            assert_eq!(config.ttl, Duration::from_secs(seconds), "{environment}");
            assert_eq!(config.bytes_max, 64 * 1024 * 1024);
        };
        check(Environment::Development, 1);
        check(Environment::Staging, 60);
        check(Environment::Production, 300);
        let zero = |name: &str| (name == "CACHE_TTL_SECONDS").then(|| "0".to_owned());
        assert_eq!(CacheConfig::read(&mut Reader::new(&zero), Environment::Production).ttl, Duration::ZERO);
    }
}
