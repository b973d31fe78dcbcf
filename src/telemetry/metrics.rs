//! Metrics in the format of Prometheus. No family has every tenant as a label: their number has no bound. Two of jobs name the
//! ten tenants who have the most.

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::admission::AdmissionMetrics;
use super::cache::CacheMetrics;
use super::jobs::JobMetrics;
use super::live::LiveMetrics;
use super::webhooks::WebhookMetrics;

/// Upper bounds of durations in seconds, from half a millisecond to the deadline.
const DURATION_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of counts of statements and round trips.
const COUNT_BUCKETS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 25.0, 50.0];

/// Every family that the server keeps.
pub struct Metrics {
    registry: Registry,
    /// Requests by route and HTTP status.
    pub http_requests: IntCounterVec,
    /// Seconds from the first byte of a request to the last of its answer's head, by route.
    pub http_duration: HistogramVec,
    /// Errors in GraphQL answers by code.
    pub graphql_errors: IntCounterVec,
    /// Operations that were refused by the limit that was reached.
    pub rate_limited: IntCounterVec,
    /// Operations whose rates were decided, by who did: `redis`, or the `replica` itself.
    pub rate_decisions: IntCounterVec,
    /// SQL statements of an operation.
    pub sql_statements: Histogram,
    /// Round trips to PostgreSQL of an operation.
    pub sql_round_trips: Histogram,
    /// Connections of the tenants' pool by state: `idle`, `in_use` and `max`.
    pub pool_connections: IntGaugeVec,
    /// Operations that may borrow a connection right now.
    pub pool_permits: IntGauge,
    /// Who waits for a connection, and who is turned away.
    pub admission: AdmissionMetrics,
    /// Attempts of the patrol to break the wall, by outcome: `denied` and `breach`; a breach is an incident.
    pub isolation_probes: IntCounterVec,
    /// What is counted of what is kept.
    pub cache: CacheMetrics,
    /// What is counted of jobs.
    pub jobs: JobMetrics,
    /// What is counted of sockets and streams.
    pub live: LiveMetrics,
    /// What is counted of webhooks.
    pub webhooks: WebhookMetrics,
    /// Tenants on their way out by how far they have come, and, as `failed`, those of them that something has failed for.
    pub offboardings: IntGaugeVec,
    /// Whether the process can do its work and was not told to stop: 1 or 0.
    pub ready: IntGauge,
    /// Passwords that were hashed.
    pub password_hashes: IntGauge,
    /// Transactions that stood in another schema than they were opened for; anything but zero is an incident.
    pub isolation_violations: IntGauge,
}

impl Metrics {
    /// Fresh families, all at zero.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            http_requests: counted(
                "shelfwise_http_requests_total",
                "Requests by route and status.",
                &["route", "status"],
            )?,
            http_duration: timed("shelfwise_http_request_duration_seconds", "Duration of requests by route.", "route")?,
            graphql_errors: counted("shelfwise_graphql_errors_total", "Errors in GraphQL answers by code.", &["code"])?,
            rate_limited: counted(
                "shelfwise_rate_limited_total",
                "Operations that were refused, by the limit that was reached.",
                &["limit"],
            )?,
            rate_decisions: counted(
                "shelfwise_rate_decisions_total",
                "Operations whose rates were decided, by who decided: redis, or the replica itself.",
                &["by"],
            )?,
            sql_statements: few("shelfwise_sql_statements_per_operation", "SQL statements of an operation.")?,
            sql_round_trips: few(
                "shelfwise_sql_round_trips_per_operation",
                "Round trips to PostgreSQL of an operation.",
            )?,
            pool_connections: by_state("shelfwise_pool_connections", "Connections of the tenants' pool by state.")?,
            pool_permits: IntGauge::new("shelfwise_pool_permits_free", "Operations that may borrow a connection now.")?,
            admission: AdmissionMetrics::new(&registry)?,
            isolation_probes: counted(
                "shelfwise_isolation_probes_total",
                "Attempts to break the wall, by outcome.",
                &["outcome"],
            )?,
            cache: CacheMetrics::new(&registry)?,
            jobs: JobMetrics::new(&registry)?,
            live: LiveMetrics::new(&registry)?,
            webhooks: WebhookMetrics::new(&registry)?,
            offboardings: by_state(
                "shelfwise_offboardings",
                "Offboardings that have not ended by state, and those that something failed for.",
            )?,
            ready: IntGauge::new("shelfwise_ready", "Whether the process can do its work and was not told to stop.")?,
            password_hashes: IntGauge::new("shelfwise_password_hashes", "Passwords that were hashed since the start.")?,
            isolation_violations: IntGauge::new(
                "shelfwise_isolation_violations",
                "Transactions that stood in another schema than they were opened for.",
            )?,
            registry,
        };
        let families: [Box<dyn Collector>; 14] = [
            Box::new(metrics.http_requests.clone()),
            Box::new(metrics.http_duration.clone()),
            Box::new(metrics.graphql_errors.clone()),
            Box::new(metrics.rate_limited.clone()),
            Box::new(metrics.rate_decisions.clone()),
            Box::new(metrics.sql_statements.clone()),
            Box::new(metrics.sql_round_trips.clone()),
            Box::new(metrics.pool_connections.clone()),
            Box::new(metrics.pool_permits.clone()),
            Box::new(metrics.isolation_probes.clone()),
            Box::new(metrics.offboardings.clone()),
            Box::new(metrics.ready.clone()),
            Box::new(metrics.password_hashes.clone()),
            Box::new(metrics.isolation_violations.clone()),
        ];
        for family in families {
            metrics.registry.register(family)?;
        }
        // The process has one, whatever else there is of it.
        metrics.registry.register(Box::new(super::traces::dropped().clone()))?;
        Ok(metrics)
    }

    /// All families as text.
    ///
    /// # Errors
    /// A family cannot be encoded, which is a defect.
    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// A family of durations, one for each value of a label.
fn timed(name: &str, help: &str, label: &str) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(DURATION_BUCKETS.to_vec()), &[label])
}

/// How many there are of what operations have a few of.
fn few(name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(COUNT_BUCKETS.to_vec()))
}

/// A family of counters, one for each combination of labels.
fn counted(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

/// A family of gauges, one for each state.
fn by_state(name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), &["state"])
}
