//! Metrics of PostgreSQL's processes behind the tenants' connections. No family has the tenant as a label.

use prometheus::Histogram;

use super::families::Families;

/// A mebibyte.
const MIB: f64 = 1024.0 * 1024.0;

/// Upper bounds of a backend's memory in bytes.
const MEMORY_BUCKETS: &[f64] = &[
    2.0 * MIB,
    4.0 * MIB,
    8.0 * MIB,
    16.0 * MIB,
    32.0 * MIB,
    64.0 * MIB,
    128.0 * MIB,
    256.0 * MIB,
    512.0 * MIB,
    1024.0 * MIB,
];

/// Upper bounds of how many tenants a connection has served.
const TENANT_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0];

/// The families of backends. Clones count together.
#[derive(Clone)]
pub struct BackendMetrics {
    /// Bytes that a backend had allocated when it was asked.
    pub memory: Histogram,
    /// Tenants that a connection had served when it was closed.
    pub tenants: Histogram,
}

impl BackendMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            memory: families.histogram(
                "shelfwise_backend_memory_bytes",
                "Memory of backends behind the tenants' connections, asked of one now and then.",
                MEMORY_BUCKETS,
            )?,
            tenants: families.histogram(
                "shelfwise_backend_tenants",
                "Tenants that connections had served when they were closed.",
                TENANT_BUCKETS,
            )?,
        })
    }
}
