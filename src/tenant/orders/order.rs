//! Orders themselves and their lines.

pub mod graphql;
pub mod loaders;
pub mod model;
pub mod repo;
pub mod service;
