//! Who may read the trail.

use std::convert::Infallible;

use super::model::{Entry, EntryFilter};
use super::repo;
use crate::db::TenantRead;
use crate::failure::Failure;
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::storable;
use crate::kernel::page::{Page, PageRequest};

/// How a reading of the trail fails: there is nothing that other input would mend.
pub type AuditError = Failure<Infallible>;

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
