//! The operators' API and what stands behind it.

mod admins;
mod jobs;
mod keys;
mod provision;
mod status;
mod tenants;
pub mod webhooks;
