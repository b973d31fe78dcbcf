//! Log-ins: getting in, staying in, getting out.

mod attempts;
pub mod graphql;
pub mod model;
pub(in crate::tenant::identity) mod repo;
pub mod service;
