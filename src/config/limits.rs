//! - `REPLICAS` (1): servers that share the load. Without Redis, or while it is away, each grants its share of a tenant's rates.
//! - `RATE_HEADROOM` (1; 10 in staging): how many times its plan's rates a tenant gets, so that a rehearsal's load is not refused
//!   and all else is as in production.

use super::{Environment, Reader};

/// The most that rates are multiplied by.
const HEADROOM_MAX: u32 = 1_000;

/// Who shares tenants' rates, and how they are meant.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Servers that share the load.
    pub replicas: u32,
    /// How many times its plan's rates a tenant gets.
    pub headroom: u32,
}

impl LimitsConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>, environment: Environment) -> Self {
        let headroom = match environment {
            Environment::Staging => 10,
            Environment::Development | Environment::Production => 1,
        };
        let mut config = Self {
            replicas: reader.at_least_one("REPLICAS", 1),
            headroom: reader.at_least_one("RATE_HEADROOM", headroom),
        };
        if config.headroom > HEADROOM_MAX {
            reader.problem("RATE_HEADROOM", "must be at most 1000");
            config.headroom = headroom;
        }
        config
    }
}
