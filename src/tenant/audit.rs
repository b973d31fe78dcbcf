//! The trail: who changed what in the shop, in a chain that shows when a row was changed or removed later.
//!
//! The journal writes it; here it is read and verified.

pub mod chain;
pub mod graphql;
pub mod head;
pub mod model;
pub mod personal;
mod repo;
pub mod service;
pub mod verify;
