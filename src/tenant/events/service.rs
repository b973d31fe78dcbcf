//! Who reads events, and for how long they are kept.

use std::convert::Infallible;

use chrono::{DateTime, Utc};

use super::model::{EventFilter, StoredEvent};
use super::{KINDS, repo};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::failure::Failure;
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::page::{Page, PageRequest};

/// One page of events, in the order of commits.
///
/// # Errors
/// The actor may not see them, or the database failed.
pub async fn event_list(
    read: &TenantRead,
    actor: &Actor,
    filter: EventFilter,
    page: PageRequest<i64>,
) -> Result<Page<StoredEvent>, Failure<Infallible>> {
    actor.require(Permission::EventsRead)?;
    Ok(page.cut(repo::event_list(read, filter, &page).await?))
}

/// What events are called, and when each happens.
///
/// # Errors
/// The actor may not see events.
pub fn event_types(actor: &Actor) -> Result<&'static [(&'static str, &'static str)], Failure<Infallible>> {
    actor.require(Permission::EventsRead)?;
    Ok(&KINDS)
}

/// Removes events that happened before a time, and answers whether others are left.
///
/// # Errors
/// The database failed.
pub async fn sweep(tx: &mut TenantTx, kept_from: DateTime<Utc>) -> Result<bool, DbError> {
    repo::events_sweep(tx, kept_from).await
}
