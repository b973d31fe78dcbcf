//! The registry of tenants: who exists, in what state, and how a name becomes a context.

pub mod keys;
pub mod model;
pub mod registry;
mod repo;
pub mod service;

pub use model::{Tenant, TenantStatus};
pub use registry::{Lookup, Registry};
