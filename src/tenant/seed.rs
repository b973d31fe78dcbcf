//! The first rows of a new tenant.

use crate::db::{DbError, TenantTx};
use crate::kernel::clock::Clock;
use crate::kernel::email::Email;
use crate::kernel::ids::TenantId;
use crate::tenant::{catalog, identity};

/// Writes what every shop starts with: the stamp of its schema, its owner and the default categories.
///
/// # Errors
/// The database failed.
pub async fn seed(tx: &mut TenantTx, clock: &dyn Clock, tenant: TenantId, owner_email: &Email) -> Result<(), DbError> {
    identity::users::service::head_create(tx, tenant).await?;
    identity::users::service::owner_create(tx, clock, owner_email).await?;
    catalog::categories::service::defaults_create(tx, clock).await
}
