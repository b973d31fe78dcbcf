//! Metrics of jobs. Two families have the tenant as a label, and tell of ten tenants at a time.

use prometheus::{Gauge, GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::families::Families;

/// Upper bounds of a job's duration in seconds.
const DURATION_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The families of jobs. Clones count together.
#[derive(Clone)]
pub struct JobMetrics {
    /// Ended attempts by kind and outcome.
    pub attempts: IntCounterVec,
    /// Seconds of an attempt by kind.
    pub duration: HistogramVec,
    /// Jobs in the queue by state.
    pub depth: IntGaugeVec,
    /// Seconds for which the oldest job that may be claimed has waited.
    pub oldest_due: Gauge,
    /// Unfinished jobs of the tenants who have the most, by slug.
    pub tenant_depth: IntGaugeVec,
    /// Seconds for which the oldest job that may be claimed has waited, of the same tenants.
    pub tenant_oldest_due: GaugeVec,
}

impl JobMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            attempts: families.counters(
                "shelfwise_job_attempts_total",
                "Ended attempts of jobs by kind and outcome.",
                &["kind", "outcome"],
            )?,
            duration: families.histograms(
                "shelfwise_job_duration_seconds",
                "Duration of attempts by kind.",
                (&["kind"], DURATION_BUCKETS),
            )?,
            depth: families.gauges(
                "shelfwise_jobs",
                "Jobs that have not ended, and dead letters, by state.",
                &["state"],
            )?,
            oldest_due: families.measure(
                "shelfwise_jobs_oldest_due_seconds",
                "How long the oldest job that may be claimed has waited.",
            )?,
            tenant_depth: families.gauges(
                "shelfwise_jobs_tenant",
                "Unfinished jobs of the ten tenants who have the most.",
                &["tenant"],
            )?,
            tenant_oldest_due: families.measures(
                "shelfwise_jobs_tenant_oldest_due_seconds",
                "How long the oldest job that may be claimed has waited, of the ten tenants who have the most jobs.",
                &["tenant"],
            )?,
        })
    }
}
