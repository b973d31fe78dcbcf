//! Bringing the fleet of tenants' schemas from one version to another, without anybody noticing.
//!
//! ```text
//! service::run_start            a run, and a step for each schema that is behind, in waves: spare schemas, canaries, the others
//!   drive::Driver               whoever has the lease leads the run; the lease is over when its process is
//!     step                      one transaction: scripts, ledger, version and the step's own row, or nothing of it
//! service::run_pause …          rows that the leader looks at before each step
//! ```
//!
//! A step waits for locks for a moment only, and is tried again later. A schema whose step fails keeps its version and is
//! worked in on; where too many fail, or a canary does, the run pauses itself. What is done and what is not is told by the
//! rows, so a run goes on where it was, whoever leads it next.
//!
//! - [`service`] is what operators do, [`drive`] leads, [`step`] is what happens to one schema.
//! - [`backfills`] is what migrations leave to be filled in, by jobs of the tenants.

pub mod backfills;
pub mod drive;
pub mod graphql;
pub mod model;
mod repo;
pub mod service;
mod step;
mod steps;

pub use model::{MigrationSet, Options, Run, RunStatus};
pub(super) use repo::alive;

/// The kind of the job that leads a run. Its payload is the run's id.
pub const FLEET_MIGRATE: &str = "fleet.migrate";
