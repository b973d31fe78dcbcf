//! Metrics in the format of Prometheus. No family has every tenant as a label: their number has no bound. Two of jobs name the
//! ten tenants who have the most.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::admission::AdmissionMetrics;
use super::backends::BackendMetrics;
use super::cache::CacheMetrics;
use super::families::Families;
use super::jobs::JobMetrics;
use super::live::LiveMetrics;
use super::migrations::MigrationMetrics;
use super::operations::OperationMetrics;
use super::process::ProcessMetrics;
use super::runtime::RuntimeMetrics;
use super::webhooks::WebhookMetrics;
use crate::graphql::ErrorCode;
use crate::kernel::limits::LimitKind;
use crate::limits::Decider;

/// Upper bounds of durations in seconds, from half a millisecond to the deadline.
pub(super) const DURATION_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Upper bounds of counts of statements and round trips.
const COUNT_BUCKETS: &[f64] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 25.0, 50.0];

/// The commit that the binary was built from, where who built it has said so.
const COMMIT: &str = match option_env!("SHELFWISE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Every family that the server keeps.
pub struct Metrics {
    families: Families,
    /// Requests by route and HTTP status, which is 499 where the client has gone before it was answered.
    pub http_requests: IntCounterVec,
    /// Seconds from the first byte of a request to the last of its answer's head, or until its client has gone, by route.
    pub http_duration: HistogramVec,
    /// What is counted of operations.
    pub operations: OperationMetrics,
    /// Errors in GraphQL answers by code.
    pub graphql_errors: IntCounterVec,
    /// Uses of what goes away of the tenants' API, by part.
    pub deprecated_uses: IntCounterVec,
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
    /// What is measured of PostgreSQL's processes.
    pub backends: BackendMetrics,
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
    /// What is counted of runs over the fleet.
    pub migrations: MigrationMetrics,
    /// Tenants on their way out by how far they have come, and, as `failed`, those of them that something has failed for.
    pub offboardings: IntGaugeVec,
    /// Whether the process can do its work and was not told to stop: 1 or 0.
    pub ready: IntGauge,
    /// Passwords that were hashed.
    pub password_hashes: IntGauge,
    /// Transactions that stood in another schema than they were opened for; anything but zero is an incident.
    pub isolation_violations: IntGauge,
    /// Spans that found no room on their way out.
    pub spans_dropped: IntCounter,
    /// What the kernel tells of the process.
    pub process: ProcessMetrics,
    /// What the asynchronous runtime tells of itself.
    pub runtime: RuntimeMetrics,
}

impl Metrics {
    /// Fresh families, all at zero.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new() -> Result<Self, prometheus::Error> {
        let mut families = Families::default();
        let of = &mut families;
        build_info(of)?;
        Ok(Self {
            http_requests: of.counters(
                "shelfwise_http_requests_total",
                "Requests by route and status; 499 are those whose client has gone before the answer.",
                &["route", "status"],
            )?,
            http_duration: of.histograms(
                "shelfwise_http_request_duration_seconds",
                "Duration of requests by route.",
                (&["route"], DURATION_BUCKETS),
            )?,
            operations: OperationMetrics::new(of)?,
            graphql_errors: graphql_errors(of)?,
            deprecated_uses: of.counters(
                "shelfwise_deprecated_uses_total",
                "Uses of what goes away of the tenants' API, by part.",
                &["part"],
            )?,
            rate_limited: rate_limited(of)?,
            rate_decisions: rate_decisions(of)?,
            sql_statements: of.histogram(
                "shelfwise_sql_statements_per_operation",
                "SQL statements of an operation.",
                COUNT_BUCKETS,
            )?,
            sql_round_trips: of.histogram(
                "shelfwise_sql_round_trips_per_operation",
                "Round trips to PostgreSQL of an operation.",
                COUNT_BUCKETS,
            )?,
            pool_connections: pool_connections(of)?,
            pool_permits: of.gauge("shelfwise_pool_permits_free", "Operations that may borrow a connection now.")?,
            admission: AdmissionMetrics::new(of)?,
            backends: BackendMetrics::new(of)?,
            isolation_probes: isolation_probes(of)?,
            cache: CacheMetrics::new(of)?,
            jobs: JobMetrics::new(of)?,
            live: LiveMetrics::new(of)?,
            webhooks: WebhookMetrics::new(of)?,
            migrations: MigrationMetrics::new(of)?,
            offboardings: offboardings(of)?,
            password_hashes: of.gauge("shelfwise_password_hashes", "Passwords that were hashed since the start.")?,
            isolation_violations: of.gauge(
                "shelfwise_isolation_violations",
                "Transactions that stood in another schema than they were opened for.",
            )?,
            ready: of.gauge("shelfwise_ready", "Whether the process can do its work and was not told to stop.")?,
            // The process has one, whatever else there is of it.
            spans_dropped: of.add(super::traces::dropped().clone(), "counter")?,
            process: ProcessMetrics::new(of)?,
            runtime: RuntimeMetrics::new(of)?,
            families,
        })
    }

    /// All families as text.
    ///
    /// # Errors
    /// A family cannot be encoded, which is a defect.
    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.process.read();
        self.runtime.read();
        self.families.encode()
    }
}

/// Which release this is.
fn build_info(families: &mut Families) -> Result<(), prometheus::Error> {
    let info = families.gauges("shelfwise_build_info", "The release that runs.", &["version", "commit"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION"), COMMIT]).set(1);
    Ok(())
}

fn graphql_errors(families: &mut Families) -> Result<IntCounterVec, prometheus::Error> {
    families.counters_of(
        "shelfwise_graphql_errors_total",
        "Errors in GraphQL answers by code.",
        ("code", &ErrorCode::ALL.map(ErrorCode::as_str)),
    )
}

fn rate_limited(families: &mut Families) -> Result<IntCounterVec, prometheus::Error> {
    use LimitKind::{ConcurrentOperations, MutationsPerMinute, PointsPerMinute, RequestsPerMinute};
    let kinds = [ConcurrentOperations, MutationsPerMinute, PointsPerMinute, RequestsPerMinute];
    families.counters_of(
        "shelfwise_rate_limited_total",
        "Operations that were refused, by the limit that was reached.",
        ("limit", &kinds.map(LimitKind::as_str)),
    )
}

fn rate_decisions(families: &mut Families) -> Result<IntCounterVec, prometheus::Error> {
    families.counters_of(
        "shelfwise_rate_decisions_total",
        "Operations whose rates were decided, by who decided: redis, or the replica itself.",
        ("by", &[Decider::Redis.as_str(), Decider::Replica.as_str()]),
    )
}

fn pool_connections(families: &mut Families) -> Result<IntGaugeVec, prometheus::Error> {
    families.gauges("shelfwise_pool_connections", "Connections of the tenants' pool by state.", &["state"])
}

fn isolation_probes(families: &mut Families) -> Result<IntCounterVec, prometheus::Error> {
    families.counters_of(
        "shelfwise_isolation_probes_total",
        "Attempts to break the wall, by outcome.",
        ("outcome", &["breach", "denied"]),
    )
}

fn offboardings(families: &mut Families) -> Result<IntGaugeVec, prometheus::Error> {
    families.gauges(
        "shelfwise_offboardings",
        "Offboardings that have not ended by state, and those that something failed for.",
        &["state"],
    )
}
