//! Keeping the book of endpoints that are not well.

use super::model::{Trouble, TroubleKey};
use super::repo;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{TenantId, WebhookEndpointId};
use crate::kernel::page::{Page, PageRequest};

/// The states of an endpoint that is not well.
pub const TROUBLE_STATES: [&str; 3] = ["open", "half_open", "suspended"];

/// Notes how an endpoint is doing: in this state with so much waiting, or well.
///
/// # Errors
/// The database failed.
pub async fn standing_set(
    control: &ControlDb,
    clock: &dyn Clock,
    (tenant, endpoint): (TenantId, WebhookEndpointId),
    trouble: Option<(&'static str, i64)>,
) -> Result<(), DbError> {
    control
        .write(async |tx: &mut ControlTx| match trouble {
            Some((state, backlog)) => repo::trouble_upsert(tx, (tenant, endpoint), state, backlog, clock.now()).await,
            None => repo::trouble_delete(tx, tenant, endpoint).await,
        })
        .await
}

/// How many endpoints are not well, and how much waits for them, by state.
///
/// # Errors
/// The database failed.
pub async fn trouble_counts(control: &ControlDb) -> Result<Vec<(String, i64, i64)>, DbError> {
    repo::trouble_counts(control).await
}

/// One page of endpoints that are not well, of all tenants, the newest first.
///
/// # Errors
/// The database failed.
pub async fn trouble_list(control: &ControlDb, page: PageRequest<TroubleKey>) -> Result<Page<Trouble>, DbError> {
    Ok(page.cut(repo::trouble_list(control, &page).await?))
}
