//! What a shop's programs use of the API that goes away: counted in memory, written down in batches, listed.

pub mod counter;
pub mod graphql;
pub mod model;
mod repo;
pub mod service;

pub use service::UsageError;

/// The kind of the job that tells the control plane what was written down.
pub const REPORT: &str = "deprecation.report";
