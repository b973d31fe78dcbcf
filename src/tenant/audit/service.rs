//! Who may read the trail.

use std::convert::Infallible;

use chrono::{DateTime, Utc};

use super::model::{Entry, EntryFilter};
use super::repo;
use crate::db::TenantRead;
use crate::failure::Failure;
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::page::{Page, PageRequest};

/// How a reading of the trail fails: there is nothing that other input would mend.
pub type AuditError = Failure<Infallible>;

/// The last second that times are compared with: PostgreSQL knows none that are much later.
const LATEST_S: i64 = 253_402_300_799;

/// One page of the trail, the newest first.
///
/// # Errors
/// The actor may not see it, or the database failed.
pub async fn entry_list(
    read: &TenantRead,
    actor: &Actor,
    filter: EntryFilter,
    page: PageRequest<i64>,
) -> Result<Page<Entry>, AuditError> {
    actor.require(Permission::AuditRead)?;
    let filter = EntryFilter { from: filter.from.map(storable), to: filter.to.map(storable), ..filter };
    Ok(page.cut(repo::entry_list(read, filter, &page).await?))
}

/// The nearest time that the table can be asked for. No entry is older or younger.
fn storable(at: DateTime<Utc>) -> DateTime<Utc> {
    at.clamp(DateTime::UNIX_EPOCH, DateTime::from_timestamp(LATEST_S, 0).unwrap_or(DateTime::UNIX_EPOCH))
}
