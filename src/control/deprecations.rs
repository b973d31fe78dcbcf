//! What goes away of the tenants' API: who still uses it, who is told, and who is given more time.

pub mod graphql;
pub mod model;
pub mod notices;
mod repo;
pub mod service;

/// The kind of the job by which a tenant is told.
pub const ANNOUNCE: &str = "deprecation.announce";
