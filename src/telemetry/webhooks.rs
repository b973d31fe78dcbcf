//! Metrics of webhooks. No family has the tenant as a label.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::families::Families;

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
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            attempts: families.counters_of(
                "shelfwise_webhook_attempts_total",
                "Attempts to deliver by outcome.",
                ("outcome", &["accepted", "refused", "unanswered"]),
            )?,
            duration: families.histogram(
                "shelfwise_webhook_attempt_duration_seconds",
                "Duration of attempts to deliver.",
                DURATION_BUCKETS,
            )?,
            suspensions: families
                .counter("shelfwise_webhook_suspensions_total", "Endpoints that were suspended because they failed.")?,
            troubled: families.gauges(
                "shelfwise_webhook_endpoints_troubled",
                "Endpoints that are not well, by state.",
                &["state"],
            )?,
            backlog: families
                .gauge("shelfwise_webhook_backlog", "Events that wait for endpoints that are not well.")?,
        })
    }
}
