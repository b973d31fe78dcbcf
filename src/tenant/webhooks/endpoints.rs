//! Endpoints: where events are sent, which, in what order, and signed by which secret.

pub mod graphql;
pub mod loaders;
pub mod model;
pub(super) mod repo;
pub mod sealed;
pub mod service;
