//! Making a tenant: its row, role, schema, tables, first data, owner and welcome mail, in one transaction.
//!
//! All or nothing: a failure at any step leaves no trace, and the same request may be sent again. Two requests for one
//! slug meet at the unique index of the registry, before any schema is made.

pub mod model;
mod repo;
pub mod service;

pub use model::NewTenant;
pub use service::tenant_provision;
