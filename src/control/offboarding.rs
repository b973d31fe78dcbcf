//! Tenants on their way out: closed at once, exported, deleted after a grace period, and certified to be gone.
//!
//! An offboarding is a row, and what is next is told by the row alone: a job looks at it, does one step in one transaction,
//! and looks again. Whoever dies between two steps leaves nothing half done, and whoever comes next finds what is left.
//!
//! ```text
//! exporting   closed; its archives are being written         ─ cancel: all as before
//! waiting     archived, and read back; the grace period       ─ cancel: all as before
//! deleting    keys destroyed, tables going, one a transaction ─ no way back
//! completed   nothing left but the tombstone, the trail, the archives and a signed certificate
//! ```
//!
//! Nothing is destroyed before the archives were read back, and the keys are destroyed first of all: what is left of the
//! shop after that is noise, wherever a copy of it lies, but for what [`certificate`] says is not covered.

pub mod advance;
pub mod certificate;
mod deletion;
pub mod graphql;
pub mod model;
mod repo;
pub mod service;

pub use model::{Offboarding, OffboardingStatus};
