//! The job engine, against a queue of each test's own: workers on one queue would steal each other's jobs.

mod claims;
mod desk;
mod ends;
mod fairness;
mod lives;
mod plan;
mod prune;
pub mod queue;
mod wake;
