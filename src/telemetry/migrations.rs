//! Metrics of runs over the fleet. No family has the tenant as a label.

use prometheus::{Gauge, IntGaugeVec};

use super::families::Families;

/// The families of runs.
pub struct MigrationMetrics {
    /// Runs by state.
    pub runs: IntGaugeVec,
    /// Schemas of the run that has not ended by what has become of them.
    pub tenants: IntGaugeVec,
    /// Seconds since the last step of the run that has not ended; 0 without one.
    pub idle_seconds: Gauge,
}

impl MigrationMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            runs: families.gauges("shelfwise_migration_runs", "Runs over the fleet by state.", &["state"])?,
            tenants: families.gauges(
                "shelfwise_migration_tenants",
                "Schemas of the run that has not ended, by what has become of them.",
                &["state"],
            )?,
            idle_seconds: families.measure(
                "shelfwise_migration_idle_seconds",
                "How long ago the last step of the run that has not ended was done; 0 without such a run.",
            )?,
        })
    }
}
