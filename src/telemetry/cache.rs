//! Metrics of what is kept. No family has the tenant as a label.

use std::sync::Arc;

use prometheus::{IntCounter, IntGauge};

use super::families::Families;
use crate::cache::keys::Name;

/// How the requests for one family ended.
#[derive(Clone)]
pub struct Counts {
    /// They were known in this process, or another request was just reading it.
    pub hits: IntCounter,
    /// Redis knew.
    pub shared: IntCounter,
    /// The database was asked.
    pub misses: IntCounter,
}

/// The families of caches. Clones count together.
#[derive(Clone)]
pub struct CacheMetrics {
    cached: Arc<[Counts; Name::ALL.len()]>,
    /// Of credentials.
    pub principals: Counts,
    /// Of the registry of tenants.
    pub registry: Counts,
    /// Of what shops have set themselves.
    pub settings: Counts,
    /// Answers that are kept in this process.
    pub entries: IntGauge,
    /// About how many bytes they take.
    pub bytes: IntGauge,
}

impl CacheMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        let requests = families.counters(
            "shelfwise_cache_requests_total",
            "Requests for what may be kept, by family and result.",
            &["family", "result"],
        )?;
        let counts = |family: &str| {
            let of = |result| requests.with_label_values(&[family, result]);
            Counts { hits: of("hit"), shared: of("shared"), misses: of("miss") }
        };
        Ok(Self {
            cached: Arc::new(Name::ALL.map(|name| counts(name.as_str()))),
            principals: counts("principals"),
            registry: counts("registry"),
            settings: counts("settings"),
            entries: families.gauge("shelfwise_cache_entries", "Answers that are kept in this process.")?,
            bytes: families.gauge("shelfwise_cache_bytes", "About how many bytes are kept in this process.")?,
        })
    }

    /// How the requests for one family ended.
    #[must_use]
    pub fn of(&self, name: Name) -> &Counts {
        &self.cached[name as usize]
    }
}
