//! Deliveries: what became of each event that an endpoint wanted, and doing it once more.

pub mod graphql;
pub mod loaders;
pub mod model;
pub(super) mod repo;
pub mod service;
