//! The edge: media types, methods, credentials, tenants, health.

mod credentials;
mod health;
mod page;
mod protocol;
