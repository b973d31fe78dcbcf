//! - `JOBS_SLOTS` (32): jobs that a worker runs at a time.
//! - `JOBS_PER_TENANT_MAX` (32): running jobs of one tenant at most, on all workers together, whatever its plan gives.
//! - `JOBS_RETENTION_DAYS` (7): how long completed and cancelled jobs are kept.
//! - `JOBS_DEAD_RETENTION_DAYS` (90): how long dead letters are kept.

use std::time::Duration;

use super::Reader;

/// How many jobs run at a time, and how long they are kept.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    /// Jobs that a worker runs at a time.
    pub slots: u16,
    /// Running jobs of one tenant at most.
    pub per_tenant_max: u16,
    /// How long completed and cancelled jobs are kept.
    pub retention: Duration,
    /// How long dead letters are kept.
    pub dead_retention: Duration,
}

impl JobsConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let mut days =
            |name, default: u16| Duration::from_secs(u64::from(reader.at_least_one(name, default)) * 24 * 3600);
        let (retention, dead_retention) = (days("JOBS_RETENTION_DAYS", 7), days("JOBS_DEAD_RETENTION_DAYS", 90));
        Self {
            slots: reader.at_least_one("JOBS_SLOTS", 32),
            per_tenant_max: reader.at_least_one("JOBS_PER_TENANT_MAX", 32),
            retention,
            dead_retention,
        }
    }
}
