//! Decisions about authors.

use chrono::{DateTime, Utc};

use super::model::{Author, AuthorFilter, NAME_LEN_MAX};
use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::Clock;
use crate::kernel::ids::AuthorId;
use crate::kernel::journal::Change;
use crate::kernel::page::{Page, PageRequest};
use crate::tenant::catalog::books::repo::identity_share;
use crate::tenant::catalog::error::{CatalogError, CatalogErrorCode, CatalogRefusal};
use crate::tenant::catalog::named::{NamedPosition, NamedSort};
use crate::tenant::catalog::names::valid_name;

/// An author by id.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn author_by_id(read: &TenantRead, actor: &Actor, id: AuthorId) -> Result<Option<Author>, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(repo::author_list_by_id(read, &[id]).await?.pop())
}

/// One page of authors.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn author_list(
    read: &TenantRead,
    actor: &Actor,
    filter: &AuthorFilter,
    sort: NamedSort,
    page: PageRequest<NamedPosition>,
) -> Result<Page<Author>, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(page.cut(repo::author_list(read, filter, sort, &page).await?))
}

/// How many authors pass the filter.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn author_count(read: &TenantRead, actor: &Actor, filter: &AuthorFilter) -> Result<i64, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(repo::author_count(read, filter).await?)
}

/// Adds an author.
///
/// # Errors
/// The name is blank, too long or taken.
pub async fn author_create(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    name: &str,
) -> Result<Author, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    let (name, name_key) = valid_name(name, NAME_LEN_MAX)?;
    let id = AuthorId(clock.new_id());
    let author = repo::author_insert(tx, id, &name, &name_key, clock.now()).await.map_err(name_taken)?;
    tx.note(Change::created(id, author.trail()));
    Ok(author)
}

/// Changes an author's name, in all books at once.
///
/// # Errors
/// There is no such author, the version is stale, or the name is blank, too long or taken.
pub async fn author_update(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: AuthorId,
    version: i32,
    name: Option<&str>,
) -> Result<Author, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    let name = name.map(|name| valid_name(name, NAME_LEN_MAX)).transpose()?;
    if name.is_some() {
        identity_share(tx).await?;
    }
    let mut author = locked(tx, id, Some(version)).await?;
    let Some((name, name_key)) = name else { return Ok(author) };
    let before = author.trail();
    let is_renamed = author.name_key != name_key;
    (author.name, author.name_key) = (name, name_key);
    let author = repo::author_update(tx, &author, clock.now()).await.map_err(name_taken)?;
    tx.note(Change::changed(id, before, author.trail()));
    if is_renamed {
        repo::book_authors_key_refresh(tx, id).await.map_err(|error| match error {
            DbError::Unique(_) => CatalogError::refused(
                CatalogErrorCode::BookExists,
                "With this name two books without an ISBN would have the same title and authors.",
                &["input", "name"],
            ),
            error => error.into(),
        })?;
    }
    Ok(author)
}

/// Archives an author, or takes the author back. Doing it twice changes nothing.
///
/// # Errors
/// There is no such author, or the version is stale.
pub async fn author_set_archived(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: AuthorId,
    version: Option<i32>,
    archived: bool,
) -> Result<Author, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    let mut author = locked(tx, id, version).await?;
    if author.archived_at.is_some() == archived {
        return Ok(author);
    }
    let now: DateTime<Utc> = clock.now();
    let before = author.trail();
    author.archived_at = archived.then_some(now);
    let author = repo::author_update(tx, &author, now).await?;
    tx.note(Change::changed(id, before, author.trail()));
    Ok(author)
}

async fn locked(tx: &mut TenantTx, id: AuthorId, version: Option<i32>) -> Result<Author, CatalogError> {
    let author = repo::author_lock(tx, id).await?.ok_or_else(|| {
        CatalogRefusal::new(CatalogErrorCode::AuthorNotFound, format!("There is no author `{id}`."), &["id"])
    })?;
    if version.is_some_and(|version| version != author.version) {
        return Err(CatalogRefusal::stale(CatalogErrorCode::VersionConflict, author.version).into());
    }
    Ok(author)
}

fn name_taken(error: DbError) -> CatalogError {
    match error {
        DbError::Unique(constraint) if constraint == "authors_name_key" => CatalogError::refused(
            CatalogErrorCode::AuthorNameTaken,
            "Another author has this name.",
            &["input", "name"],
        ),
        error => error.into(),
    }
}
