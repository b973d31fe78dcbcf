//! What tenants pay for: the limits of plans, and what was agreed for single tenants beside, which ends by itself.
//!
//! Nothing here enforces anything. Limits travel in the tenant's entry ([`super::tenants`]) to whoever does.

pub mod graphql;
pub mod model;
mod repo;
pub mod service;

pub use model::{Override, Plan};
