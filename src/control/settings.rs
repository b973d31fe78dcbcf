//! What operators set for plans and for tenants. Which settings there are is said in `kernel::settings`.

pub mod graphql;
pub mod model;
mod repo;
pub mod service;
