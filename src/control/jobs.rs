//! The queue as operators see it: what waits, what died, and what to do about it. The engine is [`crate::jobs`].
//!
//! Payloads are not shown: they may hold personal data of a shop's customers.

pub mod enqueue;
pub mod graphql;
pub mod model;
mod repo;
pub mod service;

pub use enqueue::{NewJob, job_enqueue};
