//! A stock of schemas that wait for a tenant, so that a sign-up makes none.
//!
//! A spare has everything that does not depend on whose it will be: its role and its grants, its final name, its tables at
//! the newest version, its stamp and the default rows. Its id is the id of the tenant that takes it. Spares are made in
//! batches, because after each GRANT of a role every backend of the runtime login finds out anew of which roles it is a
//! member, which takes the longer the more tenants there are.

mod repo;
pub mod service;

pub use service::{BATCH_MAX, REFILL, Stock, refill, spare_take, spares_make};
