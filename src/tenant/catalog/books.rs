//! What the shop sells, or means to.

mod cached;
pub mod graphql;
pub mod loaders;
pub mod model;
pub(in crate::tenant::catalog) mod repo;
pub mod search;
pub mod service;
pub mod validate;
