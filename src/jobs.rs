//! The job engine: work that is done after the transaction that asked for it, once at least, by whichever worker is free.
//!
//! Jobs are rows of `control.jobs`. A worker claims what it has free slots for and not a job more, so nobody waits behind
//! what another worker has put aside. No transaction is open while a job works: a claim is a lease, which heartbeats
//! prolong, and a fence, which each claim raises. Whatever is written about a job names the fence of its claim.
//!
//! - [`queue`] is the SQL, one statement for each thing that happens to a job.
//! - [`runner`] claims and runs; [`scribe`] writes down how jobs ended, many at a time, and prolongs claims; [`tender`]
//!   makes jobs available whose time has come, takes claims back whose worker is gone, and enqueues periodic jobs.
//! - [`retry`] says when a failed job is tried again.
//!
//! The engine knows no domain: what jobs do is a [`Handler`] for each kind.

pub mod handler;
pub mod model;
pub mod prune;
pub mod queue;
pub mod retry;
pub mod runner;
mod scribe;
mod tender;

pub use crate::db::Bell;
pub use handler::{Answer, Handler, Handlers, Setback};
pub use model::{Job, JobState};
pub use runner::{Pace, Periodic, Runner};
