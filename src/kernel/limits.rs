//! What a tenant may use: the limits of its plan, with what was agreed for it alone.

use std::str::FromStr;

use serde::Deserialize;

/// How much of everything a tenant may use. Rates are for the tenant as a whole, over all replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Limits {
    /// Points of query cost a minute.
    pub points_per_minute: u32,
    /// Requests a minute, whatever they cost.
    pub requests_per_minute: u32,
    /// Fields of mutations a minute.
    pub mutations_per_minute: u32,
    /// Operations that run at a time, on each replica.
    pub concurrent_operations: u32,
    /// Books that are kept.
    pub books: u32,
    /// Endpoints of webhooks.
    pub webhook_endpoints: u32,
    /// Jobs that run at a time, over all workers.
    pub jobs: u32,
    /// Entries of one page.
    pub page_size: u32,
    /// The share of the database that it gets while others want it too, relative to theirs.
    pub weight: u32,
}

/// One of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Points of query cost a minute.
    PointsPerMinute,
    /// Requests a minute.
    RequestsPerMinute,
    /// Fields of mutations a minute.
    MutationsPerMinute,
    /// Operations at a time, on each replica.
    ConcurrentOperations,
    /// Books that are kept.
    Books,
    /// Endpoints of webhooks.
    WebhookEndpoints,
    /// Jobs at a time.
    Jobs,
    /// Entries of one page.
    PageSize,
    /// The share of the database.
    Weight,
}

/// The text names no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown limit; use points_per_minute, requests_per_minute, mutations_per_minute, concurrent_operations, books, \
     webhook_endpoints, jobs, page_size or weight"
)]
pub struct UnknownLimit;

impl LimitKind {
    /// Every limit.
    pub const ALL: [Self; 9] = [
        Self::PointsPerMinute,
        Self::RequestsPerMinute,
        Self::MutationsPerMinute,
        Self::ConcurrentOperations,
        Self::Books,
        Self::WebhookEndpoints,
        Self::Jobs,
        Self::PageSize,
        Self::Weight,
    ];

    /// The name in tables and at the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PointsPerMinute => "points_per_minute",
            Self::RequestsPerMinute => "requests_per_minute",
            Self::MutationsPerMinute => "mutations_per_minute",
            Self::ConcurrentOperations => "concurrent_operations",
            Self::Books => "books",
            Self::WebhookEndpoints => "webhook_endpoints",
            Self::Jobs => "jobs",
            Self::PageSize => "page_size",
            Self::Weight => "weight",
        }
    }

    /// The least and the greatest that it may be.
    #[must_use]
    pub fn bounds(self) -> (u32, u32) {
        match self {
            Self::PointsPerMinute | Self::RequestsPerMinute | Self::MutationsPerMinute => (1, 60_000_000),
            Self::ConcurrentOperations => (1, 10_000),
            Self::Books => (0, 1_000_000_000),
            Self::WebhookEndpoints => (0, 1_000),
            Self::Jobs => (1, 1_000),
            Self::PageSize => (20, 100),
            Self::Weight => (1, 100),
        }
    }
}

impl FromStr for LimitKind {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownLimit)
    }
}

impl Limits {
    /// The same with rates, and operations at a time, so many times as large. What is kept is not a matter of pace.
    #[must_use]
    pub fn with_headroom(self, times: u32) -> Self {
        Self {
            points_per_minute: self.points_per_minute.saturating_mul(times),
            requests_per_minute: self.requests_per_minute.saturating_mul(times),
            mutations_per_minute: self.mutations_per_minute.saturating_mul(times),
            concurrent_operations: self.concurrent_operations.saturating_mul(times),
            ..self
        }
    }

    /// What a limit is.
    #[must_use]
    pub fn get(&self, kind: LimitKind) -> u32 {
        match kind {
            LimitKind::PointsPerMinute => self.points_per_minute,
            LimitKind::RequestsPerMinute => self.requests_per_minute,
            LimitKind::MutationsPerMinute => self.mutations_per_minute,
            LimitKind::ConcurrentOperations => self.concurrent_operations,
            LimitKind::Books => self.books,
            LimitKind::WebhookEndpoints => self.webhook_endpoints,
            LimitKind::Jobs => self.jobs,
            LimitKind::PageSize => self.page_size,
            LimitKind::Weight => self.weight,
        }
    }

    /// Puts a limit in the place of what it was.
    pub fn set(&mut self, kind: LimitKind, value: u32) {
        let place = match kind {
            LimitKind::PointsPerMinute => &mut self.points_per_minute,
            LimitKind::RequestsPerMinute => &mut self.requests_per_minute,
            LimitKind::MutationsPerMinute => &mut self.mutations_per_minute,
            LimitKind::ConcurrentOperations => &mut self.concurrent_operations,
            LimitKind::Books => &mut self.books,
            LimitKind::WebhookEndpoints => &mut self.webhook_endpoints,
            LimitKind::Jobs => &mut self.jobs,
            LimitKind::PageSize => &mut self.page_size,
            LimitKind::Weight => &mut self.weight,
        };
        *place = value;
    }

    /// Limits that nobody reaches, for tests.
    #[cfg(test)]
    pub(crate) const AMPLE: Self = Self {
        points_per_minute: 60_000_000,
        requests_per_minute: 60_000_000,
        mutations_per_minute: 60_000_000,
        concurrent_operations: 10_000,
        books: 1_000_000,
        webhook_endpoints: 1_000,
        jobs: 1_000,
        page_size: 100,
        weight: 1,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_a_name_and_a_place() {
        let mut limits = Limits::AMPLE;
        for (kind, value) in LimitKind::ALL.into_iter().zip(1..) {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            limits.set(kind, value);
        }
        for (kind, value) in LimitKind::ALL.into_iter().zip(1..) {
            assert_eq!(limits.get(kind), value, "{}", kind.as_str());
        }
        assert_eq!("pages".parse::<LimitKind>(), Err(UnknownLimit));
    }

    #[test]
    fn limits_are_read_by_the_names_of_the_tables_columns() {
        let row = LimitKind::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), 7.into()));
        let row: serde_json::Map<String, serde_json::Value> = row.collect();
        let limits = Limits::deserialize(serde_json::Value::Object(row)).unwrap();
        assert!(LimitKind::ALL.into_iter().all(|kind| limits.get(kind) == 7));
    }
}
