//! - `REPLICAS` (1): servers that share the load. Without Redis, or while it is away, each grants its share of a tenant's rates.

use super::Reader;

/// Who shares tenants' rates.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Servers that share the load.
    pub replicas: u32,
}

impl LimitsConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self { replicas: reader.at_least_one("REPLICAS", 1) }
    }
}
