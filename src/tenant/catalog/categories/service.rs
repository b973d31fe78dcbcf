//! Decisions about categories.

use uuid::Uuid;

use super::cached;
use super::model::{CHILDREN_MAX, Category, CategoryFilter, DEPTH_MAX, NAME_LEN_MAX};
use super::repo;
use crate::cache::Reads;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::Clock;
use crate::kernel::ids::CategoryId;
use crate::kernel::journal::Change;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text::fold;
use crate::tenant::catalog::error::{CatalogError, CatalogErrorCode, CatalogRefusal};
use crate::tenant::catalog::named::{NamedPosition, NamedSort};
use crate::tenant::catalog::names::valid_name;

/// What a new shop starts with.
const DEFAULTS: &[&str] = &["Fiction", "Non-fiction", "Children", "Young adult", "Comics", "Textbooks", "Audio"];

/// Adds the categories that a new shop starts with.
///
/// # Errors
/// The database failed.
pub async fn defaults_create(tx: &mut TenantTx, clock: &dyn Clock) -> Result<(), DbError> {
    let defaults = DEFAULTS.iter().map(|name| (CategoryId(clock.new_id()), *name, fold(name))).collect();
    repo::roots_insert(tx, defaults, clock.now()).await
}

/// Looks at what a new shop has of them.
///
/// # Errors
/// The database failed.
pub async fn defaults_look(read: &TenantRead) -> Result<i64, DbError> {
    repo::category_count(read, &CategoryFilter::default()).await
}

/// A category by id.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn category_by_id(
    reads: &Reads<'_>,
    actor: &Actor,
    id: CategoryId,
) -> Result<Option<Category>, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    match &*cached::tree(reads).await? {
        Some(tree) => Ok(tree.find(id).cloned()),
        None => Ok(repo::category_list_by_id(&reads.read().await?, &[id]).await?.pop()),
    }
}

/// One page of categories.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn category_list(
    read: &TenantRead,
    actor: &Actor,
    filter: &CategoryFilter,
    sort: NamedSort,
    page: PageRequest<NamedPosition>,
) -> Result<Page<Category>, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(page.cut(repo::category_list(read, filter, sort, &page).await?))
}

/// How many categories pass the filter.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn category_count(read: &TenantRead, actor: &Actor, filter: &CategoryFilter) -> Result<i64, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(repo::category_count(read, filter).await?)
}

/// Adds a category, within another or as a root.
///
/// # Errors
/// The name is blank, too long or taken beside it; the parent does not exist or is too deep.
pub async fn category_create(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    name: &str,
    parent: Option<CategoryId>,
) -> Result<Category, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    let (name, name_key) = valid_name(name, NAME_LEN_MAX)?;
    repo::tree_lock(tx).await?;
    let id = CategoryId(clock.new_id());
    let path = path_below(tx, parent, id, 1).await?;
    let category = repo::category_insert(tx, id, &name, &name_key, path, clock.now()).await.map_err(name_taken)?;
    tx.note(Change::created(id, category.trail()));
    Ok(category)
}

/// Renames a category, or moves it with all that is within it. `Some(None)` makes it a root.
///
/// # Errors
/// There is no such category or parent, the version is stale, the name is taken, or the move would make a circle or
/// too deep a tree.
pub async fn category_update(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: CategoryId,
    version: i32,
    name: Option<&str>,
    parent: Option<Option<CategoryId>>,
) -> Result<Category, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    let name = name.map(|name| valid_name(name, NAME_LEN_MAX)).transpose()?;
    repo::tree_lock(tx).await?;
    let mut category = locked(tx, id, Some(version)).await?;
    let before = category.trail();
    if let Some((name, name_key)) = name {
        (category.name, category.name_key) = (name, name_key);
    }
    let old_len = category.path.len();
    if let Some(parent) = parent {
        let depth = repo::subtree_depth(tx, &category).await?;
        category.path = path_below(tx, parent, id, depth).await?;
        category.parent_id = parent.map(Uuid::from);
    }
    let category = repo::category_update(tx, &category, clock.now()).await.map_err(name_taken)?;
    tx.note(Change::changed(id, before, category.trail()));
    if parent.is_some() {
        repo::descendants_move(tx, id, old_len, category.path.clone()).await?;
    }
    Ok(category)
}

/// Archives a category, or takes it back. Doing it twice changes nothing; books keep it either way.
///
/// # Errors
/// There is no such category, or the version is stale.
pub async fn category_set_archived(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: CategoryId,
    version: Option<i32>,
    archived: bool,
) -> Result<Category, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    // As a move does, and in the same order.
    repo::tree_lock(tx).await?;
    let mut category = locked(tx, id, version).await?;
    if category.archived_at.is_some() == archived {
        return Ok(category);
    }
    let now = clock.now();
    let before = category.trail();
    category.archived_at = archived.then_some(now);
    let category = repo::category_update(tx, &category, now).await?;
    tx.note(Change::changed(id, before, category.trail()));
    Ok(category)
}

/// The way from the root to a category below `parent`, if its subtree of `depth` levels fits there.
async fn path_below(
    tx: &mut TenantTx,
    parent: Option<CategoryId>,
    id: CategoryId,
    depth: usize,
) -> Result<Vec<Uuid>, CatalogError> {
    const PATH: &[&str] = &["input", "parentId"];
    let mut path = match parent {
        None => Vec::new(),
        Some(parent) => match repo::category_lock(tx, parent).await? {
            Some(category) if category.archived_at.is_none() => category.path,
            _ => {
                let message = format!("There is no category `{parent}`.");
                return Err(CatalogError::refused(CatalogErrorCode::CategoryNotFound, message, PATH));
            }
        },
    };
    if path.contains(&id.0) {
        let message = "A category cannot be moved below itself.";
        return Err(CatalogError::refused(CatalogErrorCode::CategoryCycle, message, PATH));
    }
    if path.len() + depth > DEPTH_MAX {
        let message = format!("The tree has at most {DEPTH_MAX} levels.");
        return Err(CatalogError::refused(CatalogErrorCode::CategoryTooDeep, message, PATH));
    }
    if let Some(parent) = parent
        && repo::child_count(tx, parent, id).await? >= CHILDREN_MAX
    {
        let message = format!("A category has at most {CHILDREN_MAX} categories directly within it.");
        return Err(CatalogError::refused(CatalogErrorCode::CategoryFull, message, PATH));
    }
    path.push(id.0);
    Ok(path)
}

async fn locked(tx: &mut TenantTx, id: CategoryId, version: Option<i32>) -> Result<Category, CatalogError> {
    let category = repo::category_lock(tx, id).await?.ok_or_else(|| {
        CatalogRefusal::new(CatalogErrorCode::CategoryNotFound, format!("There is no category `{id}`."), &["id"])
    })?;
    if version.is_some_and(|version| version != category.version) {
        return Err(CatalogRefusal::stale(CatalogErrorCode::VersionConflict, category.version).into());
    }
    Ok(category)
}

fn name_taken(error: DbError) -> CatalogError {
    match error {
        DbError::Unique(constraint) if constraint == "categories_name_key" => CatalogError::refused(
            CatalogErrorCode::CategoryNameTaken,
            "Another category beside it has this name.",
            &["input", "name"],
        ),
        error => error.into(),
    }
}
