//! Making a tenant: its row, role, schema, tables, first data, owner and mails, in one transaction.
//!
//! All or nothing: a failure at any step leaves no trace, and the same request may be sent again. Two requests for one
//! slug meet at the unique index of the registry, before any schema is made. What takes long, the schema, is taken from
//! the stock of [`spares`](super::spares) where there is one.

pub mod bulk;
pub mod graphql;
pub mod model;
pub(super) mod repo;
pub mod service;
pub mod steps;

pub use model::{NewTenant, name_valid, slug_valid};
pub use service::{Desk, Provisioned, WELCOME, tenant_provision, warm};
