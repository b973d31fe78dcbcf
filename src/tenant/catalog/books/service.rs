//! Decisions about books.

use futures_util::future::join;

use super::model::{
    AUTHORS_MAX, Book, BookFields, BookFilter, BookOrder, BookPatch, BookPosition, BookSort, Listed, NewBook,
};
use super::{cached, repo, validate};
use crate::cache::Reads;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{AuthorId, BookId, CategoryId};
use crate::kernel::isbn::Isbn13;
use crate::kernel::journal::Change;
use crate::kernel::money::Currency;
use crate::kernel::news::{Fact, Topic};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::catalog::authors::repo::author_list_share;
use crate::tenant::catalog::categories::category_list_by_id;
use crate::tenant::catalog::error::{CatalogError, CatalogErrorCode, CatalogRefusal};
use crate::tenant::events::{DomainEvent, StockFacts, publish};

/// More than can be adding a book to one shop at a time: each has a connection.
const CREATORS_MAX: i64 = 1_000;

/// A book by its id.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn book_by_id(reads: &Reads<'_>, actor: &Actor, id: BookId) -> Result<Option<Book>, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(Option::clone(&*cached::book_by_id(reads, id).await?))
}

/// A book by its ISBN, of either length. A text that is no ISBN names no book.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn book_by_isbn(reads: &Reads<'_>, actor: &Actor, isbn: &str) -> Result<Option<Book>, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    match isbn.parse::<Isbn13>() {
        Ok(isbn13) => Ok(Option::clone(&*cached::book_by_isbn(reads, &isbn13).await?)),
        Err(_) => Ok(None),
    }
}

/// One page of books. Without a sort, a search is ordered by relevance and anything else by entry.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn book_list(
    read: &TenantRead,
    actor: &Actor,
    filter: &BookFilter,
    sort: BookSort,
    page: PageRequest<BookPosition>,
) -> Result<Page<Listed>, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(page.cut(repo::book_list(read, filter, sort, &page).await?))
}

/// The sort of a list that asks for none: the best match first, or the order of entry.
#[must_use]
pub fn default_sort(filter: &BookFilter) -> BookSort {
    match filter.search {
        Some(_) => BookSort { order: BookOrder::Relevance, descending: true },
        None => BookSort { order: BookOrder::CreatedAt, descending: false },
    }
}

/// How many books pass the filter.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn book_count(read: &TenantRead, actor: &Actor, filter: &BookFilter) -> Result<i64, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(repo::book_count(read, filter).await?)
}

/// Adds a book.
///
/// # Errors
/// A reason for each field that is wrong, for authors or a category that do not exist, for a book that does, and where the
/// shop has as many books as its plan allows.
pub async fn book_create(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    tenant: &TenantCtx,
    new: &NewBook,
) -> Result<Book, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    let fields = validate::new_book(new, tenant.currency).map_err(CatalogError::Refused)?;
    // In one trip, and in this order.
    let (shared, authors_key) = join(repo::identity_share(tx), authors_key(tx, &new.author_ids)).await;
    shared?;
    let authors_key = authors_key?;
    check_category(tx, fields.category_id).await?;
    let id = BookId(clock.new_id());
    let book = repo::book_insert(tx, id, &fields, &authors_key, clock.now()).await.map_err(taken)?;
    repo::book_authors_replace(tx, id, &new.author_ids).await?;
    check_room(tx, tenant.limits.books).await?;
    tx.note(Change::created(id, book.trail()));
    tx.tell(Fact::new(Topic::Stock, id));
    Ok(book)
}

/// How many books the shop has, archived ones among them.
///
/// # Errors
/// The actor may not read the catalogue, or the database failed.
pub async fn stored_count(read: &TenantRead, actor: &Actor) -> Result<i64, CatalogError> {
    actor.require(Permission::CatalogRead)?;
    Ok(repo::stored_count(read).await?)
}

/// Refuses a book that was added beyond what the plan allows. It is asked when the book is there: an import that was under
/// way before, and kept it waiting, is counted too.
async fn check_room(tx: &mut TenantTx, most: u32) -> Result<(), CatalogError> {
    let most = i64::from(most);
    if repo::stored_estimate(tx, most - CREATORS_MAX).await? + CREATORS_MAX <= most {
        return Ok(());
    }
    // Near the end those who add come one after the other, and each counts those before it.
    repo::stored_lock(tx).await?;
    if repo::stored_count(tx).await? <= most {
        return Ok(());
    }
    let message = format!("This shop's plan allows {most} books, archived ones among them.");
    Err(CatalogError::refused_for_now(CatalogErrorCode::BookLimitReached, message, &[]))
}

/// What a change of a book goes by.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// What the shop trades in.
    pub currency: Currency,
    /// Copies below which the shop is told that few are left; nothing where it is not told of changes by hand.
    pub stock_low: Option<i64>,
}

/// Changes a book.
///
/// # Errors
/// There is no such book, the version is stale, or as [`book_create`].
pub async fn book_update(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    terms: Terms,
    (id, version): (BookId, i32),
    patch: &BookPatch,
) -> Result<Book, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    if patch.title.is_some() || patch.isbn.is_some() || patch.author_ids.is_some() {
        repo::identity_share(tx).await?;
    }
    // Authors before the book, as a rename of an author has it, so that neither waits for the other.
    let new_authors_key = match &patch.author_ids {
        Some(authors) => Some(authors_key(tx, authors).await?),
        None => None,
    };
    let (book, old_authors_key) = locked(tx, id, Some(version)).await?;
    let fields = patched(&book, patch, terms.currency).map_err(CatalogError::Refused)?;
    if fields.category_id.map(uuid::Uuid::from) != book.category_id {
        check_category(tx, fields.category_id).await?;
    }
    let authors_key = new_authors_key.unwrap_or(old_authors_key);
    let (before, stock_before) = (book.trail(), book.stock);
    let book = repo::book_update(tx, id, &fields, &authors_key, clock.now()).await.map_err(taken)?;
    tx.note(Change::changed(id, before, book.trail()));
    if book.stock != stock_before {
        tx.tell(Fact::new(Topic::Stock, id));
    }
    let is_below = |stock: i32| terms.stock_low.is_some_and(|low| i64::from(stock) < low);
    if is_below(book.stock) && !is_below(stock_before) {
        publish(tx, clock, DomainEvent::BookStockLow(id, StockFacts { stock: book.stock }));
    }
    if let Some(authors) = &patch.author_ids {
        repo::book_authors_replace(tx, id, authors).await?;
    }
    Ok(book)
}

/// Archives a book, or takes it back. Doing it twice changes nothing.
///
/// # Errors
/// There is no such book, or the version is stale.
pub async fn book_set_archived(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: BookId,
    version: Option<i32>,
    archived: bool,
) -> Result<Book, CatalogError> {
    actor.require(Permission::CatalogWrite)?;
    let (book, _) = locked(tx, id, version).await?;
    if book.archived_at.is_some() == archived {
        return Ok(book);
    }
    let now = clock.now();
    let before = book.trail();
    let book = repo::book_update_archived(tx, id, archived.then_some(now), now).await?;
    tx.note(Change::changed(id, before, book.trail()));
    Ok(book)
}

/// A book's fields with the patch applied. What is stored was valid when it was written; a rule that becomes stricter comes
/// with a migration of what is stored.
fn patched(book: &Book, patch: &BookPatch, currency: Currency) -> Result<BookFields, Vec<CatalogRefusal>> {
    let mut refusals = Vec::new();
    let mut keep = validate::Keep(&mut refusals);
    let (title, title_key) = keep
        .optional(patch.title.as_deref().map(validate::title))
        .unwrap_or_else(|| (book.title.clone(), book.title_key.clone()));
    let isbn13 = match &patch.isbn {
        Some(isbn) => keep.optional(isbn.as_deref().map(validate::isbn)),
        None => book.isbn13.as_ref().and_then(|isbn| isbn.parse().ok()),
    };
    let price = match &patch.price {
        Some(price) => keep.optional(price.as_ref().map(|price| validate::price(price, currency))),
        None => book.price(),
    };
    let language = match &patch.language {
        Some(language) => keep.optional(language.as_deref().map(validate::language)),
        None => book.language.as_ref().and_then(|language| language.parse().ok()),
    };
    let published_on = match patch.published_on {
        Some(date) => keep.optional(date.map(validate::published_on)),
        None => book.published_on(),
    };
    let stock = keep.optional(patch.stock.map(validate::stock)).unwrap_or(book.stock);
    let category_id = patch.category_id.unwrap_or(book.category_id.map(CategoryId));
    if refusals.is_empty() {
        Ok(BookFields { title, title_key, isbn13, category_id, price, language, published_on, stock })
    } else {
        Err(refusals)
    }
}

/// The folded names of authors in their order; all must exist, and each once.
async fn authors_key(tx: &TenantTx, ids: &[AuthorId]) -> Result<String, CatalogError> {
    const PATH: &[&str] = &["input", "authorIds"];
    let is_repeated = ids.iter().enumerate().any(|(index, id)| ids[..index].contains(id));
    if ids.len() > AUTHORS_MAX || is_repeated {
        let message = format!("A book has at most {AUTHORS_MAX} authors, each named once.");
        return Err(CatalogError::refused(CatalogErrorCode::AuthorsInvalid, message, PATH));
    }
    let authors = if ids.is_empty() { Vec::new() } else { author_list_share(tx, ids).await? };
    let mut keys = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(author) = authors.iter().find(|author| author.id == *id) else {
            let message = format!("There is no author `{id}`.");
            return Err(CatalogError::refused(CatalogErrorCode::AuthorNotFound, message, PATH));
        };
        keys.push(author.name_key.as_str());
    }
    Ok(keys.join(", "))
}

async fn check_category(read: &TenantRead, category: Option<CategoryId>) -> Result<(), CatalogError> {
    let Some(id) = category else { return Ok(()) };
    let found = category_list_by_id(read, &[id]).await?;
    if found.iter().any(|category| category.archived_at.is_none()) {
        return Ok(());
    }
    let message = format!("There is no category `{id}`.");
    Err(CatalogError::refused(CatalogErrorCode::CategoryNotFound, message, &["input", "categoryId"]))
}

async fn locked(tx: &mut TenantTx, id: BookId, version: Option<i32>) -> Result<(Book, String), CatalogError> {
    let (book, authors_key) = repo::book_lock(tx, id).await?.ok_or_else(|| {
        CatalogRefusal::new(CatalogErrorCode::BookNotFound, format!("There is no book `{id}`."), &["id"])
    })?;
    if version.is_some_and(|version| version != book.version) {
        return Err(CatalogRefusal::stale(CatalogErrorCode::VersionConflict, book.version).into());
    }
    Ok((book, authors_key))
}

fn taken(error: DbError) -> CatalogError {
    match error {
        DbError::Unique(constraint) if constraint == "books_isbn13_key" => {
            CatalogError::refused(CatalogErrorCode::IsbnTaken, "Another book has this ISBN.", &["input", "isbn"])
        }
        DbError::Unique(constraint) if constraint == "books_match_key" => CatalogError::refused(
            CatalogErrorCode::BookExists,
            "Another book without an ISBN has this title and these authors.",
            &["input", "title"],
        ),
        error => error.into(),
    }
}
