//! The operators' API and what stands behind it.

mod provision;
mod status;
mod tenants;
