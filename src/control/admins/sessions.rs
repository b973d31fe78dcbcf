//! Administrators' log-ins: getting in, staying in, getting out.

pub mod attempts;
pub mod graphql;
pub(in crate::control::admins) mod repo;
pub mod service;
