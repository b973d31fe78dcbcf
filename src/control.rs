//! The control plane: tenants are rows. Operators act here; no tenant's code can see it.

pub mod admins;
pub mod anchors;
pub mod archives;
pub mod audit;
pub mod deprecations;
pub mod drift;
pub mod error;
pub mod flags;
pub mod graphql;
pub mod health;
pub mod isolation;
pub mod jobs;
pub mod migrations;
pub mod notices;
pub mod offboarding;
pub mod plans;
pub mod provisioning;
pub mod sandboxes;
pub mod settings;
pub mod spares;
pub mod tenants;
pub mod webhooks;
