//! The shop's own log-in: an OpenID Connect issuer whose tokens are accepted.

pub mod graphql;
pub mod model;
pub(in crate::tenant::identity) mod repo;
pub mod service;
