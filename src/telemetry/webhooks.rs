//! Metrics of webhooks. No family has the tenant as a label.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Upper bounds of an attempt's duration in seconds.
const DURATION_BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0];

/// The families of webhooks. Clones count together.
#[derive(Clone)]
pub struct WebhookMetrics {
    /// Attempts by outcome: `accepted`, `refused` for an answer that is no 2xx, `unanswered`.
    pub attempts: IntCounterVec,
    /// Seconds of an attempt.
    pub duration: Histogram,
    /// Endpoints that were suspended because they failed.
    pub suspensions: IntCounter,
    /// Endpoints that are not well, by state: `open`, `half_open` and `suspended`.
    pub troubled: IntGaugeVec,
    /// Events that wait for endpoints that are not well.
    pub backlog: IntGauge,
}

impl WebhookMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            attempts: IntCounterVec::new(
                Opts::new("shelfwise_webhook_attempts_total", "Attempts to deliver by outcome."),
                &["outcome"],
            )?,
            duration: Histogram::with_opts(
                HistogramOpts::new("shelfwise_webhook_attempt_duration_seconds", "Duration of attempts to deliver.")
                    .buckets(DURATION_BUCKETS.to_vec()),
            )?,
            suspensions: IntCounter::new(
                "shelfwise_webhook_suspensions_total",
                "Endpoints that were suspended because they failed.",
            )?,
            troubled: IntGaugeVec::new(
                Opts::new("shelfwise_webhook_endpoints_troubled", "Endpoints that are not well, by state."),
                &["state"],
            )?,
            backlog: IntGauge::new("shelfwise_webhook_backlog", "Events that wait for endpoints that are not well.")?,
        };
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.suspensions.clone()))?;
        registry.register(Box::new(metrics.troubled.clone()))?;
        registry.register(Box::new(metrics.backlog.clone()))?;
        Ok(metrics)
    }
}
