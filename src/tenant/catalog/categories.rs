//! The tree of categories. Each row knows the way to it from its root, so that a subtree is one look-up.

pub mod cached;
pub mod graphql;
pub mod loaders;
pub mod model;
mod repo;
pub mod service;

pub(in crate::tenant::catalog) use repo::category_list_by_id;
