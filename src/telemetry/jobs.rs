//! Metrics of jobs. Two families have the tenant as a label, and tell of ten tenants at a time.

use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

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
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            attempts: IntCounterVec::new(
                Opts::new("shelfwise_job_attempts_total", "Ended attempts of jobs by kind and outcome."),
                &["kind", "outcome"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new("shelfwise_job_duration_seconds", "Duration of attempts by kind.")
                    .buckets(DURATION_BUCKETS.to_vec()),
                &["kind"],
            )?,
            depth: IntGaugeVec::new(
                Opts::new("shelfwise_jobs", "Jobs that have not ended, and dead letters, by state."),
                &["state"],
            )?,
            oldest_due: Gauge::new(
                "shelfwise_jobs_oldest_due_seconds",
                "How long the oldest job that may be claimed has waited.",
            )?,
            tenant_depth: IntGaugeVec::new(
                Opts::new("shelfwise_jobs_tenant", "Unfinished jobs of the ten tenants who have the most."),
                &["tenant"],
            )?,
            tenant_oldest_due: GaugeVec::new(
                Opts::new(
                    "shelfwise_jobs_tenant_oldest_due_seconds",
                    "How long the oldest job that may be claimed has waited, of the ten tenants who have the most jobs.",
                ),
                &["tenant"],
            )?,
        };
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.depth.clone()))?;
        registry.register(Box::new(metrics.oldest_due.clone()))?;
        registry.register(Box::new(metrics.tenant_depth.clone()))?;
        registry.register(Box::new(metrics.tenant_oldest_due.clone()))?;
        Ok(metrics)
    }
}
