//! Who wrote books. A name exists once, however it is spelt: imports find authors by it.

pub mod graphql;
pub mod loaders;
pub mod model;
pub(in crate::tenant::catalog) mod repo;
pub mod service;
