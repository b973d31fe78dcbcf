//! The tenant plane: the tenant is the connection.
//!
//! Code here receives a `TenantCtx` and a transaction that is already in the right schema. It has no tenant column, no
//! tenant argument and no way to the control plane.

pub mod audit;
mod brief;
pub mod catalog;
pub mod deprecations;
pub mod documents;
pub mod events;
pub mod idempotency;
pub mod identity;
pub mod journal;
pub mod opened;
pub mod orders;
pub mod plan;
pub mod sandbox;
pub mod seed;
pub mod settings;
pub mod tables;
pub mod webhooks;
