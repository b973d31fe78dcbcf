//! The first rows of a new tenant.

use futures_util::future::try_join;

use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::clock::Clock;
use crate::kernel::email::Email;
use crate::kernel::ids::TenantId;
use crate::tenant::{catalog, identity};

/// Writes what every shop starts with, whosever it is going to be: the stamp of its schema and the default categories.
///
/// # Errors
/// The database failed.
pub async fn defaults(tx: &mut TenantTx, clock: &dyn Clock, tenant: TenantId) -> Result<(), DbError> {
    stamp(tx, tenant).await?;
    catalog::categories::service::defaults_create(tx, clock).await
}

/// Writes whose schema it is, and nothing else: the rest is brought along.
///
/// # Errors
/// The database failed.
pub async fn stamp(tx: &mut TenantTx, tenant: TenantId) -> Result<(), DbError> {
    identity::users::service::head_create(tx, tenant).await
}

/// Writes who it belongs to.
///
/// # Errors
/// The database failed.
pub async fn owner(tx: &mut TenantTx, clock: &dyn Clock, email: &Email) -> Result<(), DbError> {
    identity::users::service::owner_create(tx, clock, email).await.map(drop)
}

/// Whether whoever has an address owns the shop, or is invited to: whether it was made for them.
///
/// # Errors
/// The database failed.
pub async fn is_owned_by(read: &TenantRead, email: &Email) -> Result<bool, DbError> {
    identity::users::service::is_owner(read, email).await
}

/// Looks at what the shop's first visitor will see, so that PostgreSQL has read what it must know of the tables.
///
/// # Errors
/// The database failed.
pub async fn look(read: &TenantRead) -> Result<(), DbError> {
    let owner = identity::users::service::owner_first(read);
    let categories = catalog::categories::service::defaults_look(read);
    try_join(owner, categories).await.map(drop)
}
