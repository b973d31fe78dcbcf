//! SQL of books.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use uuid::Uuid;

use super::model::{Book, BookFields, BookFilter, BookKey, BookOrder, BookPosition, BookSort, Listed};
use super::search::{Matches, Rank, Words};
use crate::db::keyset::keyset;
use crate::db::schema::tenant::{book_authors, books, categories};
use crate::db::statement::{kept, statement};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::{AuthorId, BookId};
use crate::kernel::page::{Direction, PageRequest};
use crate::tenant::idempotency::Recall;

/// A book by its id.
pub async fn book_by_id(read: &TenantRead, id: BookId) -> Result<Option<Book>, DbError> {
    read.first(books::table.filter(books::id.eq(id.0)).select(Book::as_select())).await
}

impl Recall for Book {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        book_by_id(read, BookId(id)).await
    }
}

/// Books by their ids, in no order.
pub async fn book_list_by_id(read: &TenantRead, ids: &[BookId]) -> Result<Vec<Book>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    read.load(books::table.filter(books::id.eq_any(ids)).select(Book::as_select())).await
}

/// A book by its ISBN.
pub async fn book_by_isbn(read: &TenantRead, isbn13: &str) -> Result<Option<Book>, DbError> {
    read.first(books::table.filter(books::isbn13.eq(isbn13.to_owned())).select(Book::as_select())).await
}

/// One page's rows of books, read in the page's direction.
pub async fn book_list(
    read: &TenantRead,
    filter: &BookFilter,
    sort: BookSort,
    page: &PageRequest<BookPosition>,
) -> Result<Vec<Listed>, DbError> {
    let ascending = sort.descending == (page.direction == Direction::Backward);
    let query = filtered(filter).limit(page.rows());
    let id = page.from.as_ref().map(|from| from.id.0);
    let key = page.from.clone().map(|from| from.key);
    // A position of another order never gets here: the cursor names its order.
    let query = match sort.order {
        BookOrder::CreatedAt => {
            let query = match (id, ascending) {
                (None, _) => query,
                (Some(id), true) => query.filter(books::id.gt(id)),
                (Some(id), false) => query.filter(books::id.lt(id)),
            };
            if ascending { query.order(books::id.asc()) } else { query.order(books::id.desc()) }
        }
        BookOrder::Title => {
            let from = key.and_then(|key| if let BookKey::Title(key) = key { Some(key) } else { None }).zip(id);
            keyset!(query, ascending: ascending, from: from, books::title_key, books::id)
        }
        BookOrder::Price => {
            let from = key.and_then(|key| if let BookKey::Price(key) = key { Some(key) } else { None }).zip(id);
            keyset!(query, ascending: ascending, from: from, books::price_key, books::id)
        }
        BookOrder::PublishedOn => {
            let from = key.and_then(|key| if let BookKey::PublishedOn(key) = key { Some(key) } else { None }).zip(id);
            keyset!(query, ascending: ascending, from: from, books::published_key, books::id)
        }
        BookOrder::Relevance => {
            let Some(words) = filter.search.clone() else { return Ok(Vec::new()) };
            let from = key.and_then(|key| if let BookKey::Relevance(key) = key { Some(key) } else { None }).zip(id);
            return ranked(read, query, words, ascending, from).await;
        }
    };
    let rows = read.load(query.select(Book::as_select())).await?;
    Ok(rows.into_iter().map(|book| listed(book, sort.order)).collect())
}

async fn ranked(
    read: &TenantRead,
    query: books::BoxedQuery<'static, Pg>,
    words: Words,
    ascending: bool,
    from: Option<(f32, Uuid)>,
) -> Result<Vec<Listed>, DbError> {
    let rank = || Rank(words.clone());
    let query = keyset!(query, ascending: ascending, from: from, rank(), books::id);
    let rows: Vec<(Book, f32)> = read.load(query.select((Book::as_select(), rank()))).await?;
    let with_rank = |(book, rank): (Book, f32)| {
        let position = BookPosition { key: BookKey::Relevance(rank), id: book.id };
        Listed { book, position }
    };
    Ok(rows.into_iter().map(with_rank).collect())
}

fn listed(book: Book, order: BookOrder) -> Listed {
    let key = match order {
        BookOrder::Title => BookKey::Title(book.title_key.clone()),
        BookOrder::Price => BookKey::Price(book.price_key),
        BookOrder::PublishedOn => BookKey::PublishedOn(book.published_key),
        BookOrder::CreatedAt | BookOrder::Relevance => BookKey::CreatedAt,
    };
    Listed { position: BookPosition { key, id: book.id }, book }
}

/// How many books pass the filter.
pub async fn book_count(read: &TenantRead, filter: &BookFilter) -> Result<i64, DbError> {
    read.one(filtered(filter).count()).await
}

fn filtered(filter: &BookFilter) -> books::BoxedQuery<'static, Pg> {
    let mut query = books::table.into_boxed();
    query = if filter.archived {
        query.filter(books::archived_at.is_not_null())
    } else {
        query.filter(books::archived_at.is_null())
    };
    if let Some(category) = filter.category {
        let subtree =
            categories::table.filter(categories::path.contains(vec![category.0])).select(categories::id.nullable());
        query = query.filter(books::category_id.eq_any(subtree));
    }
    if let Some(author) = filter.author {
        let by_author = book_authors::table.filter(book_authors::author_id.eq(author.0)).select(book_authors::book_id);
        query = query.filter(books::id.eq_any(by_author));
    }
    if let Some(language) = &filter.language {
        let tag = language.as_str().to_owned();
        // A tag is letters and a hyphen, so it holds no wildcard.
        let regions = format!("{tag}-%");
        query = query.filter(books::language.eq(tag).or(books::language.like(regions)));
    }
    if let Some(minor) = filter.price_min {
        query = query.filter(books::price_minor.ge(minor));
    }
    if let Some(minor) = filter.price_max {
        query = query.filter(books::price_minor.le(minor));
    }
    match filter.in_stock {
        Some(true) => query = query.filter(books::stock.gt(0)),
        Some(false) => query = query.filter(books::stock.eq(0)),
        None => {}
    }
    match &filter.search {
        Some(words) => query.filter(Matches(words.clone())),
        None => query,
    }
}

statement!(
    /// How many books there are, or a number above that where it is small enough: a row has a hundred and forty bytes at the
    /// least, so a table of few bytes is not counted.
    StoredEstimate {
        /// Up to where an estimate will do.
        enough: i64 => BigInt,
    } -> BigInt = "
SELECT CASE WHEN most.rows <= {} THEN most.rows ELSE (SELECT count(*) FROM books) END
FROM (SELECT pg_catalog.pg_relation_size('books') / 8192 * 60 AS rows) AS most"
);

/// How many books there are, archived ones among them; or a number above it that is not above `enough`.
pub async fn stored_estimate(read: &TenantRead, enough: i64) -> Result<i64, DbError> {
    read.one(StoredEstimate { enough }).await
}

/// How many books there are, archived ones among them.
pub async fn stored_count(read: &TenantRead) -> Result<i64, DbError> {
    read.one(books::table.count()).await
}

/// Has those who add books near the plan's limit come one after the other, until the transaction ends.
pub async fn stored_lock(tx: &mut TenantTx) -> Result<(), DbError> {
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended(pg_catalog.current_schema() || '.books', 0))";
    tx.execute(diesel::sql_query(lock)).await.map(drop)
}

statement!(
    /// Has whoever adds a book, or changes what books are known by, wait for an import, until the transaction ends.
    IdentityShare {} -> Bool = "SELECT pg_catalog.pg_advisory_xact_lock_shared(
        pg_catalog.hashtextextended(pg_catalog.current_schema() || '.books.identity', 0)) IS NULL"
);

/// Keeps imports away until the transaction ends. Whoever adds a book or changes what one is known by (its ISBN, its title,
/// its authors and their names) begins with this; nothing else has to.
pub async fn identity_share(tx: &TenantTx) -> Result<(), DbError> {
    tx.one::<_, bool, _>(IdentityShare {}).await.map(drop)
}

/// Keeps everybody else from adding books, and from changing what they are known by, until the transaction ends: an import
/// finds what is there, and counts on it.
pub async fn identity_lock(tx: &mut TenantTx) -> Result<(), DbError> {
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended(pg_catalog.current_schema() || '.books.identity', 0))";
    tx.execute(diesel::sql_query(lock)).await.map(drop)
}

/// Adds a book.
pub async fn book_insert(
    tx: &mut TenantTx,
    id: BookId,
    fields: &BookFields,
    authors_key: &str,
    now: DateTime<Utc>,
) -> Result<Book, DbError> {
    let insert = diesel::insert_into(books::table)
        .values((
            books::id.eq(id.0),
            columns(fields, authors_key),
            books::created_at.eq(now),
            books::updated_at.eq(now),
        ))
        .returning(Book::as_returning());
    tx.one(insert).await
}

/// A book and the folded names of its authors, locked until the transaction ends.
pub async fn book_lock(tx: &mut TenantTx, id: BookId) -> Result<Option<(Book, String)>, DbError> {
    let query =
        books::table.filter(books::id.eq(id.0)).select((Book::as_select(), books::authors_key)).for_no_key_update();
    tx.first(query).await
}

/// Writes a book's fields and counts the version up.
pub async fn book_update(
    tx: &mut TenantTx,
    id: BookId,
    fields: &BookFields,
    authors_key: &str,
    now: DateTime<Utc>,
) -> Result<Book, DbError> {
    let update = diesel::update(books::table.filter(books::id.eq(id.0)))
        .set((columns(fields, authors_key), books::version.eq(books::version + 1), books::updated_at.eq(now)))
        .returning(Book::as_returning());
    tx.one(kept(update)).await
}

/// Archives a book or takes it back, and counts the version up.
pub async fn book_update_archived(
    tx: &mut TenantTx,
    id: BookId,
    archived_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Book, DbError> {
    let update = diesel::update(books::table.filter(books::id.eq(id.0)))
        .set((books::archived_at.eq(archived_at), books::version.eq(books::version + 1), books::updated_at.eq(now)))
        .returning(Book::as_returning());
    tx.one(kept(update)).await
}

/// Gives a book its authors in their order, in place of those it had.
pub async fn book_authors_replace(tx: &mut TenantTx, book: BookId, authors: &[AuthorId]) -> Result<(), DbError> {
    tx.execute(diesel::delete(book_authors::table.filter(book_authors::book_id.eq(book.0)))).await?;
    let rows: Vec<_> = authors
        .iter()
        .zip(1_i16..)
        .map(|(author, position)| {
            (
                book_authors::book_id.eq(book.0),
                book_authors::position.eq(position),
                book_authors::author_id.eq(author.0),
            )
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute(diesel::insert_into(book_authors::table).values(rows)).await.map(drop)
}

/// The columns of a book's own fields, `None` written as NULL.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = books, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Columns {
    title: String,
    title_key: String,
    authors_key: String,
    isbn13: Option<String>,
    category_id: Option<Uuid>,
    price_minor: Option<i64>,
    price_currency: Option<String>,
    language: Option<String>,
    published_year: Option<i32>,
    published_month: Option<i16>,
    published_day: Option<i16>,
    stock: i32,
}

fn columns(fields: &BookFields, authors_key: &str) -> Columns {
    let date = fields.published_on;
    Columns {
        title: fields.title.clone(),
        title_key: fields.title_key.clone(),
        authors_key: authors_key.to_owned(),
        isbn13: fields.isbn13.as_ref().map(|isbn| isbn.as_str().to_owned()),
        category_id: fields.category_id.map(Uuid::from),
        price_minor: fields.price.map(|price| price.minor()),
        price_currency: fields.price.map(|price| price.currency().code().to_owned()),
        language: fields.language.as_ref().map(|language| language.as_str().to_owned()),
        published_year: date.map(|date| date.year()),
        published_month: date.and_then(|date| date.month()).map(i16::from),
        published_day: date.and_then(|date| date.day()).map(i16::from),
        stock: fields.stock,
    }
}
