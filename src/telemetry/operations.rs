//! Metrics of GraphQL operations, by the field of the root that they ask for first.
//!
//! Labels are names of the schema and never a client's, so there are as many as the schema has fields. Series are made when a
//! field is first asked for, and looked up once an operation.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::families::Families;
use super::metrics::DURATION_BUCKETS;

/// What was not understood as far as its first field.
const UNKNOWN: usize = 0;

/// What asks about the schema alone.
const INTROSPECTION: usize = 1;

/// The families of operations. Clones count together.
#[derive(Clone)]
pub struct OperationMetrics {
    /// Operations by plane, field and outcome.
    pub count: IntCounterVec,
    /// Seconds of an operation by plane and field.
    pub duration: HistogramVec,
}

/// Which API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// The tenants'.
    Tenant,
    /// The operators'.
    Admin,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Without an error.
    Well,
    /// With an error of ours: a defect, no room, or no time.
    Failed,
    /// With errors, all of which are the caller's to mend.
    Refused,
}

/// What an operation asks for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A field of a root.
    Field(&'a str),
    /// The schema, and nothing else.
    Introspection,
}

/// Where the operations of both planes are counted.
pub struct Operations {
    tenant: Arc<Table>,
    admin: Arc<Table>,
}

/// Where the operations of one plane are counted.
struct Table {
    families: OperationMetrics,
    plane: &'static str,
    /// The places of the root's fields.
    places: HashMap<String, usize>,
    /// The name of each place, and its series once there are any.
    series: Vec<(String, OnceLock<Series>)>,
}

struct Series {
    well: IntCounter,
    failed: IntCounter,
    refused: IntCounter,
    duration: Histogram,
}

/// An operation that is counted when this is dropped: as failed, unless it was told how it ended.
pub struct Tally {
    table: Arc<Table>,
    started: Instant,
    place: usize,
    outcome: Option<Outcome>,
}

impl OperationMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            count: families.counters(
                "shelfwise_operations_total",
                "GraphQL operations by plane, first field of the root, and outcome.",
                &["plane", "operation", "outcome"],
            )?,
            duration: families.histograms(
                "shelfwise_operation_duration_seconds",
                "Duration of GraphQL operations by plane and first field of the root.",
                (&["plane", "operation"], DURATION_BUCKETS),
            )?,
        })
    }
}

impl Operations {
    /// Counts in these families, by the fields that the roots of the tenants' and of the operators' schema have.
    #[must_use]
    pub fn new(families: &OperationMetrics, tenant: Vec<String>, admin: Vec<String>) -> Self {
        let table = |plane, fields| Arc::new(Table::new(families.clone(), plane, fields));
        Self { tenant: table("tenant", tenant), admin: table("admin", admin) }
    }

    /// An operation that begins now.
    #[must_use]
    pub fn begin(&self, plane: Plane) -> Tally {
        let table = match plane {
            Plane::Tenant => &self.tenant,
            Plane::Admin => &self.admin,
        };
        Tally { table: Arc::clone(table), started: Instant::now(), place: UNKNOWN, outcome: Some(Outcome::Failed) }
    }
}

impl Table {
    fn new(families: OperationMetrics, plane: &'static str, fields: Vec<String>) -> Self {
        let names = ["unknown".to_owned(), "introspection".to_owned()].into_iter().chain(fields);
        let series: Vec<_> = names.map(|name| (name, OnceLock::new())).collect();
        let named = series.iter().enumerate().skip(INTROSPECTION + 1);
        let places = named.map(|(place, (name, _))| (name.clone(), place)).collect();
        Self { families, plane, places, series }
    }

    fn count(&self, place: usize, outcome: Outcome, seconds: f64) {
        let Some((name, series)) = self.series.get(place) else { return };
        let series = series.get_or_init(|| {
            let count = |outcome| self.families.count.with_label_values(&[self.plane, name.as_str(), outcome]);
            let duration = self.families.duration.with_label_values(&[self.plane, name.as_str()]);
            Series { well: count("ok"), failed: count("error"), refused: count("refused"), duration }
        });
        match outcome {
            Outcome::Well => series.well.inc(),
            Outcome::Failed => series.failed.inc(),
            Outcome::Refused => series.refused.inc(),
        }
        series.duration.observe(seconds);
    }
}

impl Tally {
    /// Says what the operation asks for. A field that the schema does not have is none.
    pub fn asks(&mut self, asked: Option<Asked<'_>>) {
        self.place = match asked {
            Some(Asked::Field(name)) => self.table.places.get(name).copied().unwrap_or(UNKNOWN),
            Some(Asked::Introspection) => INTROSPECTION,
            None => UNKNOWN,
        };
    }

    /// Says how the operation has ended, and counts it.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Leaves the operation to be counted by another.
    pub fn hand_on(mut self) {
        self.outcome = None;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.table.count(self.place, outcome, self.started.elapsed().as_secs_f64());
        }
    }
}
