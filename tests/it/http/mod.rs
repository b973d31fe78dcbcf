//! The edge: media types, methods, credentials, tenants, health.

mod credentials;
mod health;
mod outbound;
mod page;
mod protocol;
mod slow_clients;
