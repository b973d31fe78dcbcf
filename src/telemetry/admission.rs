//! Metrics of who waits for a connection. No family has the tenant as a label.

use prometheus::{Histogram, IntCounterVec, IntGauge};

use super::families::Families;

/// Upper bounds of waits in seconds: most operations find a connection at once.
const WAIT_BUCKETS: &[f64] = &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

/// Why operations are turned away.
const REASONS: &[&str] = &["queue_full", "tenant_queue_full", "too_long", "waited_out"];

/// The families of admission to the tenants' pool. Clones count together.
#[derive(Clone)]
pub struct AdmissionMetrics {
    /// Seconds that an operation waited which got a connection.
    pub waits: Histogram,
    /// Operations that were turned away by reason: `queue_full`, `tenant_queue_full`, `too_long`, `waited_out`.
    pub shed: IntCounterVec,
    /// Operations that wait.
    pub waiting: IntGauge,
    /// Tenants whose operations wait.
    pub tenants_waiting: IntGauge,
}

impl AdmissionMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            waits: families.histogram(
                "shelfwise_pool_wait_seconds",
                "Seconds that operations waited for a connection.",
                WAIT_BUCKETS,
            )?,
            shed: families.counters_of(
                "shelfwise_pool_shed_total",
                "Operations that got no connection, by reason.",
                ("reason", REASONS),
            )?,
            waiting: families.gauge("shelfwise_pool_waiting", "Operations that wait for a connection.")?,
            tenants_waiting: families.gauge("shelfwise_pool_tenants_waiting", "Tenants whose operations wait.")?,
        })
    }
}
