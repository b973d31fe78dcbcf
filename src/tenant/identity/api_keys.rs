//! Keys of programs that act for a user: shown once, kept as hashes, narrower than their maker.

pub mod graphql;
pub mod loaders;
pub mod model;
pub(in crate::tenant::identity) mod repo;
pub mod service;
