//! SQL of the import: a statement for a thousand rows, whose text does not depend on their number.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel::upsert::excluded;
use uuid::Uuid;

use super::model::{Import, Row, RowError};
use crate::db::schema::tenant::{books, categories, import_row_errors, imports};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::ImportId;
use crate::kernel::page::{Direction, PageRequest};
use crate::tenant::idempotency::Recall;

/// What the import must know of a book that exists.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = books)]
pub struct Known {
    /// The book.
    pub id: Uuid,
    /// The title as printed.
    pub title: String,
    /// The folded title.
    pub title_key: String,
    /// The folded names of the authors.
    pub authors_key: String,
    /// The ISBN.
    pub isbn13: Option<String>,
    /// The category.
    pub category_id: Option<Uuid>,
    /// The price in minor units.
    pub price_minor: Option<i64>,
    /// The language.
    pub language: Option<String>,
    /// The year of publication.
    pub published_year: Option<i32>,
    /// Copies in stock.
    pub stock: i32,
}

/// Books by ISBN, and books by folded title; one that is both comes twice.
pub async fn known_books(
    read: &TenantRead,
    isbns: Vec<String>,
    title_keys: Vec<String>,
) -> Result<Vec<Known>, DbError> {
    let by_isbn = books::table.filter(books::isbn13.eq_any(isbns)).select(Known::as_select());
    let by_title = books::table.filter(books::title_key.eq_any(title_keys)).select(Known::as_select());
    let (mut known, others) = futures_util::future::try_join(read.load(by_isbn), read.load(by_title)).await?;
    known.extend(others);
    Ok(known)
}

/// The folded name of every category in use, and the way to it from its root.
pub async fn category_names(read: &TenantRead) -> Result<Vec<(String, Vec<Uuid>)>, DbError> {
    let query =
        categories::table.filter(categories::archived_at.is_null()).select((categories::name_key, categories::path));
    read.load(query).await
}

/// A row on its way into a table: its book, its category and itself.
pub type Placed = (Uuid, Option<Uuid>, Row);

/// One array for each column: what `unnest` makes rows of.
macro_rules! bind_columns {
    ($statement:expr, $rows:expr, $now:expr) => {{
        let rows = $rows;
        diesel::sql_query($statement)
            .bind::<Array<SqlUuid>, _>(rows.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
            .bind::<Array<Nullable<SqlUuid>>, _>(rows.iter().map(|(_, category, _)| *category).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(rows.iter().map(|(_, _, row)| row.title.clone()).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(rows.iter().map(|(_, _, row)| row.title_key.clone()).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(rows.iter().map(|(_, _, row)| row.authors_key()).collect::<Vec<_>>())
            .bind::<Array<Nullable<Text>>, _>(
                rows.iter().map(|(_, _, row)| row.isbn13.as_ref().map(ToString::to_string)).collect::<Vec<_>>(),
            )
            .bind::<Array<Nullable<BigInt>>, _>(
                rows.iter().map(|(_, _, row)| row.price.map(|price| price.minor())).collect::<Vec<_>>(),
            )
            .bind::<Array<Nullable<Text>>, _>(
                rows.iter().map(|(_, _, row)| row.price.map(|price| price.currency().code())).collect::<Vec<_>>(),
            )
            .bind::<Array<Nullable<Text>>, _>(
                rows.iter().map(|(_, _, row)| row.language.as_ref().map(ToString::to_string)).collect::<Vec<_>>(),
            )
            .bind::<Array<Nullable<Integer>>, _>(
                rows.iter().map(|(_, _, row)| row.published_on.map(|date| date.year())).collect::<Vec<_>>(),
            )
            .bind::<Array<Nullable<Integer>>, _>(rows.iter().map(|(_, _, row)| row.stock).collect::<Vec<_>>())
            .bind::<Timestamptz, _>($now)
    }};
}

/// Adds books.
pub async fn books_insert(tx: &mut TenantTx, rows: &[Placed], now: DateTime<Utc>) -> Result<(), DbError> {
    let statement = "INSERT INTO books (id, category_id, title, title_key, authors_key, isbn13, price_minor,
                            price_currency, language, published_year, stock, created_at, updated_at)
         SELECT id, category_id, title, title_key, authors_key, isbn13, price_minor,
                price_currency, language, published_year, coalesce(stock, 0), $12, $12
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
              AS new (id, category_id, title, title_key, authors_key, isbn13, price_minor,
                      price_currency, language, published_year, stock)";
    tx.execute(bind_columns!(statement, rows, now)).await.map(drop)
}

/// Locks books in the order of their ids, as orders do, until the transaction ends.
pub async fn books_lock(tx: &mut TenantTx, ids: Vec<Uuid>) -> Result<(), DbError> {
    let lock = diesel::sql_query("SELECT id FROM books WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE");
    tx.execute(lock.bind::<Array<SqlUuid>, _>(ids)).await.map(drop)
}

/// Changes books: a NULL of the new row leaves the old value. A date keeps its month while the year stays.
pub async fn books_update(tx: &mut TenantTx, rows: &[Placed], now: DateTime<Utc>) -> Result<(), DbError> {
    let statement = "UPDATE books SET
             category_id = coalesce(new.category_id, books.category_id),
             title = new.title, title_key = new.title_key,
             authors_key = CASE WHEN new.authors_key = '' THEN books.authors_key ELSE new.authors_key END,
             isbn13 = coalesce(new.isbn13, books.isbn13),
             price_minor = coalesce(new.price_minor, books.price_minor),
             price_currency = coalesce(new.price_currency, books.price_currency),
             language = coalesce(new.language, books.language),
             published_month = CASE WHEN new.published_year <> books.published_year THEN NULL
                                    ELSE books.published_month END,
             published_day = CASE WHEN new.published_year <> books.published_year THEN NULL
                                  ELSE books.published_day END,
             published_year = coalesce(new.published_year, books.published_year),
             stock = coalesce(new.stock, books.stock),
             version = books.version + 1, updated_at = $12
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
              AS new (id, category_id, title, title_key, authors_key, isbn13, price_minor,
                      price_currency, language, published_year, stock)
         WHERE books.id = new.id";
    tx.execute(bind_columns!(statement, rows, now)).await.map(drop)
}

/// Gives books their authors, in place of those they had: `(book, position, author)`.
pub async fn book_authors_replace(
    tx: &mut TenantTx,
    books: Vec<Uuid>,
    authors: &[(Uuid, i16, Uuid)],
) -> Result<(), DbError> {
    let delete = diesel::sql_query("DELETE FROM book_authors WHERE book_id = ANY($1)");
    tx.execute(delete.bind::<Array<SqlUuid>, _>(books)).await?;
    let insert =
        diesel::sql_query("INSERT INTO book_authors (book_id, position, author_id) SELECT * FROM unnest($1, $2, $3)")
            .bind::<Array<SqlUuid>, _>(authors.iter().map(|(book, _, _)| *book).collect::<Vec<_>>())
            .bind::<Array<SmallInt>, _>(authors.iter().map(|(_, position, _)| *position).collect::<Vec<_>>())
            .bind::<Array<SqlUuid>, _>(authors.iter().map(|(_, _, author)| *author).collect::<Vec<_>>());
    tx.execute(insert).await.map(drop)
}

/// Writes down how far an import is, unless it has ended. Answers whether it was written.
pub async fn import_note(
    tx: &mut TenantTx,
    id: ImportId,
    rows: i32,
    started_at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let statement = "INSERT INTO imports (id, status, row_count, started_at) VALUES ($1, 'running', $2, $3)
         ON CONFLICT (id) DO UPDATE SET row_count = excluded.row_count WHERE imports.status = 'running'";
    let note = diesel::sql_query(statement).bind::<SqlUuid, _>(id.0).bind::<Integer, _>(rows);
    Ok(tx.execute(note.bind::<Timestamptz, _>(started_at)).await? == 1)
}

/// Writes down that an import was broken off, unless it is done. Answers whether it was written.
pub async fn import_give_up(tx: &mut TenantTx, id: ImportId, now: DateTime<Utc>) -> Result<bool, DbError> {
    let statement = "UPDATE imports SET status = 'failed', finished_at = $2 WHERE id = $1 AND status = 'running'";
    let update = diesel::sql_query(statement).bind::<SqlUuid, _>(id.0).bind::<Timestamptz, _>(now);
    Ok(tx.execute(update).await? == 1)
}

/// Keeps the report of an import, in place of what was written down of it on the way.
pub async fn import_insert(tx: &mut TenantTx, import: Import, errors: &[RowError]) -> Result<Import, DbError> {
    let id = import.id;
    let insert = diesel::insert_into(imports::table)
        .values(import)
        .on_conflict(imports::id)
        .do_update()
        .set((
            imports::status.eq(excluded(imports::status)),
            imports::row_count.eq(excluded(imports::row_count)),
            imports::created_count.eq(excluded(imports::created_count)),
            imports::updated_count.eq(excluded(imports::updated_count)),
            imports::unchanged_count.eq(excluded(imports::unchanged_count)),
            imports::rejected_count.eq(excluded(imports::rejected_count)),
            imports::started_at.eq(excluded(imports::started_at)),
            imports::finished_at.eq(excluded(imports::finished_at)),
        ))
        .returning(Import::as_returning());
    let import = tx.one(insert).await?;
    let statement = "INSERT INTO import_row_errors (import_id, position, line, column_name, code, message)
         SELECT $1, position, line, column_name, code, message
         FROM unnest($2, $3, $4, $5) WITH ORDINALITY AS new (line, column_name, code, message, position)";
    let insert = diesel::sql_query(statement)
        .bind::<SqlUuid, _>(id.0)
        .bind::<Array<BigInt>, _>(errors.iter().map(|error| error.line).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(errors.iter().map(|error| error.column_name.clone()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(errors.iter().map(|error| error.code.clone()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>());
    tx.execute(insert).await?;
    Ok(import)
}

impl Recall for Import {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        import_by_id(read, ImportId(id)).await
    }
}

/// An import by its id.
pub async fn import_by_id(read: &TenantRead, id: ImportId) -> Result<Option<Import>, DbError> {
    read.first(imports::table.filter(imports::id.eq(id.0)).select(Import::as_select())).await
}

/// The import that began last.
pub async fn import_latest(read: &TenantRead) -> Result<Option<Import>, DbError> {
    read.first(imports::table.order(imports::id.desc()).limit(1).select(Import::as_select())).await
}

/// One page's row errors of an import with their positions, read in the page's direction.
pub async fn row_error_list(
    read: &TenantRead,
    import: ImportId,
    page: &PageRequest<i32>,
) -> Result<Vec<(i32, RowError)>, DbError> {
    let query = import_row_errors::table
        .filter(import_row_errors::import_id.eq(import.0))
        .select((import_row_errors::position, RowError::as_select()))
        .limit(page.rows())
        .into_boxed();
    let query = match (page.direction, page.from) {
        (Direction::Forward, from) => {
            query.filter(import_row_errors::position.gt(from.unwrap_or(0))).order(import_row_errors::position.asc())
        }
        (Direction::Backward, from) => query
            .filter(import_row_errors::position.lt(from.unwrap_or(i32::MAX)))
            .order(import_row_errors::position.desc()),
    };
    read.load(query).await
}
