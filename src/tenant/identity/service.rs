//! Decisions about the shop's people.

use super::model::User;
use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::Role;
use crate::kernel::clock::Clock;
use crate::kernel::email::Email;
use crate::kernel::ids::{TenantId, UserId};

/// Stamps a new schema with its tenant.
///
/// # Errors
/// The database failed.
pub async fn head_create(tx: &mut TenantTx, tenant: TenantId) -> Result<(), DbError> {
    repo::head_insert(tx, tenant).await
}

/// Adds the first owner of a new shop.
///
/// # Errors
/// The database failed.
pub async fn owner_create(tx: &mut TenantTx, clock: &dyn Clock, email: &Email) -> Result<UserId, DbError> {
    let id = UserId(clock.new_id());
    repo::user_insert(tx, id, email, Role::Owner, clock.now()).await?;
    Ok(id)
}

/// The first owner of the shop: for whom an operator's token is made out.
///
/// # Errors
/// The database failed.
pub async fn owner_first(read: &TenantRead) -> Result<Option<User>, DbError> {
    repo::user_first_by_role(read, Role::Owner).await
}
