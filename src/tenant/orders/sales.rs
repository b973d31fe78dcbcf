//! What was sold: sums over paid orders, computed by the database.

pub mod graphql;
pub mod model;
pub mod repo;
pub mod service;
