//! The only place that names a connection, a pool or the search path.
//!
//! There are three doors. [`tenant`] opens a transaction in one tenant's schema, under that tenant's role; it takes a
//! `TenantCtx` and nothing less. [`control`] reaches the control schema and has no search path. [`owner`] is the login
//! that changes schemas, used by provisioning, migrations and offboarding.

mod backends;
pub mod batch;
pub mod bell;
mod cancel;
pub mod catalogue;
pub mod connection;
pub mod contents;
pub mod control;
pub mod copy;
pub mod error;
mod fair;
pub mod inspection;
pub mod keyset;
pub mod listen;
pub mod meter;
pub mod migrate;
pub mod news;
pub mod owner;
pub mod pool;
pub mod probe;
mod removal;
pub mod schema;
mod scope;
pub(crate) mod statement;
pub mod tenant;
pub mod tls;
mod trace;
pub mod vacuum;

pub use bell::Bell;
pub use control::{ControlDb, ControlTx};
pub use error::DbError;
pub use news::{Moment, Moments, News};
pub use owner::{OwnerDb, OwnerTx};
pub use tenant::{TenantDb, TenantRead, TenantSession, TenantTx};
