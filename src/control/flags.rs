//! How far features are switched on. Which flags there are is said in `kernel::flags`.

pub mod graphql;
pub mod model;
mod repo;
pub mod service;
