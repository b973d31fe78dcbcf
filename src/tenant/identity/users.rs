//! The shop's people.

pub mod graphql;
pub mod loaders;
pub mod model;
pub(in crate::tenant::identity) mod repo;
pub mod service;
