//! The operators' API and what stands behind it.

mod admins;
mod jobs;
mod keys;
mod notices;
mod provision;
mod provision_failures;
mod sandboxes;
mod spares;
mod status;
mod tenants;
pub mod webhooks;
