//! SQL of categories.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{Category, CategoryFilter};
use crate::db::schema::tenant::categories;
use crate::db::statement::kept;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::CategoryId;
use crate::kernel::page::PageRequest;
use crate::tenant::catalog::named::{NamedPosition, NamedSort, named_page};
use crate::tenant::idempotency::Recall;

impl Recall for Category {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        Ok(category_list_by_id(read, &[CategoryId(id)]).await?.pop())
    }
}

/// Categories by their ids, in no order.
pub async fn category_list_by_id(read: &TenantRead, ids: &[CategoryId]) -> Result<Vec<Category>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    read.load(categories::table.filter(categories::id.eq_any(ids)).select(Category::as_select())).await
}

/// So many categories at most, archived ones included, in the order of their names.
pub async fn category_list_some(read: &TenantRead, count: usize) -> Result<Vec<Category>, DbError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let query = categories::table.order((categories::name_key, categories::id)).limit(count);
    read.load(query.select(Category::as_select())).await
}

/// The categories directly within several others, each with the one that it is in, in the order of their names; archived
/// ones are left out.
pub async fn category_list_by_parent(
    read: &TenantRead,
    parents: &[CategoryId],
) -> Result<Vec<(Uuid, Category)>, DbError> {
    let parents: Vec<Uuid> = parents.iter().map(|id| id.0).collect();
    let query = categories::table
        .filter(categories::parent_id.eq_any(parents))
        .filter(categories::archived_at.is_null())
        .order((categories::name_key, categories::id))
        .select((categories::parent_id.assume_not_null(), Category::as_select()));
    read.load(query).await
}

/// One page's rows of a sorted list, read in the page's direction.
pub async fn category_list(
    read: &TenantRead,
    filter: &CategoryFilter,
    sort: NamedSort,
    page: &PageRequest<NamedPosition>,
) -> Result<Vec<Category>, DbError> {
    let query = named_page!(filtered(filter), sort, page, categories);
    read.load(query.select(Category::as_select())).await
}

/// How many categories pass the filter.
pub async fn category_count(read: &TenantRead, filter: &CategoryFilter) -> Result<i64, DbError> {
    read.one(filtered(filter).count()).await
}

fn filtered(filter: &CategoryFilter) -> categories::BoxedQuery<'static, Pg> {
    let mut query = categories::table.into_boxed();
    query = if filter.archived {
        query.filter(categories::archived_at.is_not_null())
    } else {
        query.filter(categories::archived_at.is_null())
    };
    if let Some(root) = filter.within {
        query = query.filter(categories::path.contains(vec![root.0]));
    }
    if filter.is_root {
        query = query.filter(categories::parent_id.is_null());
    }
    query
}

/// Keeps everybody else from changing the tree until the transaction ends: moves that pass each other could make a
/// circle. Readers are not kept.
pub async fn tree_lock(tx: &mut TenantTx) -> Result<(), DbError> {
    tx.execute(diesel::sql_query("LOCK TABLE categories IN SHARE ROW EXCLUSIVE MODE")).await.map(drop)
}

/// Adds categories that are within none, by id, name and folded name.
pub async fn roots_insert(
    tx: &mut TenantTx,
    roots: Vec<(CategoryId, &'static str, String)>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let rows: Vec<_> = roots
        .into_iter()
        .map(|(id, name, name_key)| {
            (
                categories::id.eq(id.0),
                categories::name.eq(name),
                categories::name_key.eq(name_key),
                categories::path.eq(vec![id.0]),
                categories::created_at.eq(now),
                categories::updated_at.eq(now),
            )
        })
        .collect();
    tx.execute(diesel::insert_into(categories::table).values(rows)).await.map(drop)
}

/// Adds a category.
pub async fn category_insert(
    tx: &mut TenantTx,
    id: CategoryId,
    name: &str,
    name_key: &str,
    path: Vec<Uuid>,
    now: DateTime<Utc>,
) -> Result<Category, DbError> {
    let insert = diesel::insert_into(categories::table)
        .values((
            categories::id.eq(id.0),
            categories::name.eq(name.to_owned()),
            categories::name_key.eq(name_key.to_owned()),
            categories::parent_id.eq(path.iter().rev().nth(1).copied()),
            categories::path.eq(path),
            categories::created_at.eq(now),
            categories::updated_at.eq(now),
        ))
        .returning(Category::as_returning());
    tx.one(insert).await
}

/// A category, locked until the transaction ends.
pub async fn category_lock(tx: &mut TenantTx, id: CategoryId) -> Result<Option<Category>, DbError> {
    tx.first(categories::table.filter(categories::id.eq(id.0)).select(Category::as_select()).for_update()).await
}

/// Writes a category's fields and counts the version up.
pub async fn category_update(tx: &mut TenantTx, category: &Category, now: DateTime<Utc>) -> Result<Category, DbError> {
    let update = diesel::update(categories::table.filter(categories::id.eq(category.id.0)))
        .set((
            categories::name.eq(category.name.clone()),
            categories::name_key.eq(category.name_key.clone()),
            categories::parent_id.eq(category.parent_id),
            categories::path.eq(category.path.clone()),
            categories::archived_at.eq(category.archived_at),
            categories::version.eq(categories::version + 1),
            categories::updated_at.eq(now),
        ))
        .returning(Category::as_returning());
    tx.one(kept(update)).await
}

/// How many categories beside one are directly within another.
pub async fn child_count(read: &TenantRead, parent: CategoryId, except: CategoryId) -> Result<i64, DbError> {
    read.one(categories::table.filter(categories::parent_id.eq(parent.0)).filter(categories::id.ne(except.0)).count())
        .await
}

/// The most levels below a category, itself counted as one.
pub async fn subtree_depth(read: &TenantRead, category: &Category) -> Result<usize, DbError> {
    let paths: Vec<Vec<Uuid>> = read
        .load(categories::table.filter(categories::path.contains(vec![category.id.0])).select(categories::path))
        .await?;
    let above = category.path.len() - 1;
    Ok(paths.iter().map(|path| path.len() - above).max().unwrap_or(1))
}

/// Gives everything below a category its new way from the root, after the category itself was moved.
pub async fn descendants_move(
    tx: &mut TenantTx,
    id: CategoryId,
    old_len: usize,
    new_path: Vec<Uuid>,
) -> Result<(), DbError> {
    let old_len = i32::try_from(old_len).unwrap_or(i32::MAX);
    let statement = "UPDATE categories SET path = $1 || path[$2 + 1:] WHERE path @> ARRAY[$3] AND id <> $3";
    let update = diesel::sql_query(statement)
        .bind::<Array<SqlUuid>, _>(new_path)
        .bind::<Integer, _>(old_len)
        .bind::<SqlUuid, _>(id.0);
    tx.execute(kept(update)).await.map(drop)
}
