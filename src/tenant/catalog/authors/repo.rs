//! SQL of authors.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{Author, AuthorFilter};
use crate::db::schema::tenant::{authors, book_authors};
use crate::db::statement::kept;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::{AuthorId, BookId};
use crate::kernel::page::PageRequest;
use crate::tenant::catalog::named::{NamedPosition, NamedSort, named_page};
use crate::tenant::idempotency::Recall;

impl Recall for Author {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        Ok(author_list_by_id(read, &[AuthorId(id)]).await?.pop())
    }
}

/// Authors by their ids, in no order.
pub async fn author_list_by_id(read: &TenantRead, ids: &[AuthorId]) -> Result<Vec<Author>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    read.load(authors::table.filter(authors::id.eq_any(ids)).select(Author::as_select())).await
}

/// Authors by their ids, kept from being renamed until the transaction ends.
pub async fn author_list_share(tx: &TenantTx, ids: &[AuthorId]) -> Result<Vec<Author>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let query = authors::table.filter(authors::id.eq_any(ids)).order(authors::id).select(Author::as_select());
    tx.load(query.for_share()).await
}

/// The authors of several books, each with its book, in the order of each title page.
pub async fn author_list_by_book(read: &TenantRead, books: &[BookId]) -> Result<Vec<(Uuid, Author)>, DbError> {
    let books: Vec<Uuid> = books.iter().map(|id| id.0).collect();
    let query = book_authors::table
        .inner_join(authors::table)
        .filter(book_authors::book_id.eq_any(books))
        .order((book_authors::book_id, book_authors::position))
        .select((book_authors::book_id, Author::as_select()));
    read.load(query).await
}

/// One page's rows of a sorted list, read in the page's direction.
pub async fn author_list(
    read: &TenantRead,
    filter: &AuthorFilter,
    sort: NamedSort,
    page: &PageRequest<NamedPosition>,
) -> Result<Vec<Author>, DbError> {
    let query = named_page!(filtered(filter), sort, page, authors);
    read.load(query.select(Author::as_select())).await
}

/// How many authors pass the filter.
pub async fn author_count(read: &TenantRead, filter: &AuthorFilter) -> Result<i64, DbError> {
    read.one(filtered(filter).count()).await
}

fn filtered(filter: &AuthorFilter) -> authors::BoxedQuery<'static, Pg> {
    let query = authors::table.into_boxed();
    let query = if filter.archived {
        query.filter(authors::archived_at.is_not_null())
    } else {
        query.filter(authors::archived_at.is_null())
    };
    match &filter.name_contains {
        // A folded text has letters, digits and spaces alone, so it holds no wildcard.
        Some(text) => query.filter(authors::name_key.like(format!("%{text}%"))),
        None => query,
    }
}

/// Adds an author.
pub async fn author_insert(
    tx: &mut TenantTx,
    id: AuthorId,
    name: &str,
    name_key: &str,
    now: DateTime<Utc>,
) -> Result<Author, DbError> {
    let insert = diesel::insert_into(authors::table)
        .values((
            authors::id.eq(id.0),
            authors::name.eq(name.to_owned()),
            authors::name_key.eq(name_key.to_owned()),
            authors::created_at.eq(now),
            authors::updated_at.eq(now),
        ))
        .returning(Author::as_returning());
    tx.one(insert).await
}

/// An author, locked until the transaction ends.
pub async fn author_lock(tx: &mut TenantTx, id: AuthorId) -> Result<Option<Author>, DbError> {
    tx.first(authors::table.filter(authors::id.eq(id.0)).select(Author::as_select()).for_update()).await
}

/// Writes an author's fields and counts the version up.
pub async fn author_update(tx: &mut TenantTx, author: &Author, now: DateTime<Utc>) -> Result<Author, DbError> {
    let update = diesel::update(authors::table.filter(authors::id.eq(author.id.0)))
        .set((
            authors::name.eq(author.name.clone()),
            authors::name_key.eq(author.name_key.clone()),
            authors::archived_at.eq(author.archived_at),
            authors::version.eq(authors::version + 1),
            authors::updated_at.eq(now),
        ))
        .returning(Author::as_returning());
    tx.one(kept(update)).await
}

/// Brings the folded names that an author's books carry up to date.
pub async fn book_authors_key_refresh(tx: &mut TenantTx, author: AuthorId) -> Result<usize, DbError> {
    // In the order of their ids, as orders lock them.
    let lock = "SELECT id FROM books WHERE id IN (SELECT book_id FROM book_authors WHERE author_id = $1)
         ORDER BY id FOR NO KEY UPDATE";
    tx.execute(diesel::sql_query(lock).bind::<SqlUuid, _>(author.0)).await?;
    let statement = "UPDATE books SET authors_key = (
             SELECT string_agg(authors.name_key, ', ' ORDER BY book_authors.position)
             FROM book_authors JOIN authors ON authors.id = book_authors.author_id
             WHERE book_authors.book_id = books.id)
         WHERE id IN (SELECT book_id FROM book_authors WHERE author_id = $1)";
    tx.execute(diesel::sql_query(statement).bind::<SqlUuid, _>(author.0)).await
}

/// Adds the authors that are missing, and answers the ids of all, by folded name.
pub async fn author_ids_by_name(
    tx: &mut TenantTx,
    ids: Vec<Uuid>,
    names: Vec<String>,
    name_keys: Vec<String>,
    now: DateTime<Utc>,
) -> Result<Vec<(String, Uuid)>, DbError> {
    use diesel::sql_types::{Array, Timestamptz};
    let statement = "INSERT INTO authors (id, name, name_key, created_at, updated_at)
         SELECT id, name, name_key, $4, $4 FROM unnest($1, $2, $3) AS new (id, name, name_key)
         ON CONFLICT (name_key) DO NOTHING";
    let insert = diesel::sql_query(statement)
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Text>, _>(names)
        .bind::<Array<Text>, _>(name_keys.clone())
        .bind::<Timestamptz, _>(now);
    tx.execute(insert).await?;
    tx.load(authors::table.filter(authors::name_key.eq_any(name_keys)).select((authors::name_key, authors::id))).await
}
