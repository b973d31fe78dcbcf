//! Drift: where a tenant's schema is not what its migrations make, object by object.
//!
//! What is expected is made anew from the migrations up to the tenant's version, looked at and taken back; so a tenant that
//! is a version behind drifts no more than one that is not. Nothing here mends anything: somebody changed a schema by hand
//! or broke something off, and what to do about it is a person's to say (`runbooks/schema-drift.md`).

pub mod graphql;
pub mod service;

pub use service::Comparison;
