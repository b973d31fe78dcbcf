//! What a tenant may use: the limits of its plan, with what was agreed for it alone.

/// How much of everything a tenant may use. Rates are for the tenant as a whole, over all replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Limits {
    /// What a plan gives. A plan that this release does not know gives what the smallest does.
    #[must_use]
    pub fn of_plan(code: &str) -> Self {
        let of = |factor: u32, books, webhook_endpoints, weight| Self {
            points_per_minute: 60_000 * factor,
            requests_per_minute: 600 * factor,
            mutations_per_minute: 120 * factor,
            concurrent_operations: 8 * weight,
            books,
            webhook_endpoints,
            jobs: 2 * weight,
            page_size: 100,
            weight,
        };
        match code {
            "enterprise" => of(50, 2_000_000, 100, 8),
            "business" => of(10, 200_000, 20, 4),
            "starter" => of(2, 20_000, 5, 2),
            _ => of(1, 5_000, 2, 1),
        }
    }
}
