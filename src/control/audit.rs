//! The trail of what operators did: written with each act, in its transaction, and never changed.

pub mod graphql;
pub mod model;
mod repo;
pub mod service;

pub use model::{AuditEntry, Operator};
