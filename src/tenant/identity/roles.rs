//! Roles: four that every shop has, and those that a shop makes of its own.

pub mod graphql;
pub mod model;
pub(in crate::tenant::identity) mod repo;
pub mod service;
