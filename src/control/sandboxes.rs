//! Sandboxes: a copy of a shop to try things out in, without its people.
//!
//! One transaction makes the schema from the baseline and fills it within PostgreSQL, as
//! [`TABLES`](crate::tenant::tables::TABLES) says of each table. The shop goes on working meanwhile: it is read as it was
//! at one moment. The copy has keys, a trail and people of its own; nothing in it calls, mails or pays for the shop.

pub mod graphql;
mod repo;
pub mod service;

pub use service::tenant_clone;
