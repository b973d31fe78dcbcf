//! The edge: media types, methods, credentials, tenants, health.

mod compression;
mod conditional;
mod credentials;
mod csrf;
mod deprecation;
pub mod documents;
mod health;
mod jwks;
mod page;
mod profiling;
mod protocol;
mod proxies;
mod rolling;
mod slow_clients;
mod suggestions;
mod trusted_documents;
