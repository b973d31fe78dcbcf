//! Who may read the trail.

use std::convert::Infallible;

use serde_json::Value;

use super::model::{Entry, EntryFilter};
use super::{personal, repo};
use crate::db::TenantRead;
use crate::failure::Failure;
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::storable;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::tenant::TenantCtx;
use crate::vault::{KeyError, Vault};

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

/// What an entry of a page tells of people; nothing for who may not see the shop's people, and where its key is destroyed.
///
/// # Errors
/// The tenant's key cannot be used, or what is stored is not what was sealed for this entry.
pub fn entry_personal(
    vault: &Vault,
    tenant: &TenantCtx,
    actor: &Actor,
    entry: &Entry,
) -> Result<Option<Value>, KeyError> {
    if actor.may(Permission::UsersRead) { personal::open(vault, tenant, entry) } else { Ok(None) }
}
