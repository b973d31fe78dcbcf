//! People who buy. What is known of one is sealed, and found by a keyed hash of the address.

pub mod graphql;
pub mod loaders;
pub mod model;
pub mod repo;
pub mod service;
