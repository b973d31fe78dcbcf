//! Decisions of the import.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::mem;

use uuid::Uuid;

use super::error::RowErrorCode;
use super::model::{Identity, Import, ImportOptions, OnConflict, Row, RowError};
use super::parse::{FileError, Rows};
use super::repo::{self, Known, Placed};
use crate::db::{TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::Clock;
use crate::kernel::ids::ImportId;
use crate::kernel::journal::Change;
use crate::kernel::news::{Fact, Topic};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::catalog::authors::repo::author_ids_by_name;
use crate::tenant::catalog::books::repo::{identity_lock, stored_count};
use crate::tenant::catalog::error::{CatalogError, CatalogErrorCode};

/// Rows that go to the database together.
const CHUNK_ROWS: usize = 1_000;

/// What an import has done so far, and what is left for its end.
#[derive(Debug, Default)]
struct Report {
    rows: i32,
    created: i32,
    updated: i32,
    unchanged: i32,
    errors: Vec<RowError>,
    /// Books that may still be added.
    room: i64,
    /// Books that are to be changed, in the order of their ids. They are locked and changed when all else is done: those who
    /// sell them wait no longer than that takes, and in no circle with those who lock books in the same order.
    changed: BTreeMap<Uuid, Placed>,
}

/// Imports a file, row by row, and keeps the report. `on_progress` hears after each chunk how many rows are done.
///
/// # Errors
/// The file cannot be read as CSV with a title column, the actor may not import, or the database failed. Then nothing
/// was imported. Rows for which the plan has no room are in the report.
pub async fn book_import(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    tenant: &TenantCtx,
    file: impl Read + Send,
    options: ImportOptions,
    on_progress: impl Fn(i32) + Send + Sync,
) -> Result<Import, CatalogError> {
    actor.require(Permission::CatalogImport)?;
    let started_at = clock.now();
    let mut rows = Rows::new(file, tenant.currency, options.on_invalid_isbn).map_err(unreadable)?;
    identity_lock(tx).await?;
    let categories = category_names(tx).await?;
    // Nobody else adds any meanwhile.
    let room = i64::from(tenant.limits.books) - stored_count(tx).await?;
    let mut report = Report { room, ..Report::default() };
    let mut chunk = Vec::new();
    // Of several rows for one book the first counts, wherever in the file the others are.
    let mut seen: HashSet<Identity> = HashSet::new();
    loop {
        let row = rows.next_row().map_err(unreadable)?;
        let is_end = row.is_none();
        if let Some(row) = row {
            report.rows += 1;
            match row.and_then(|row| with_category(row, &categories)) {
                Ok((row, _)) if !seen.insert(row.identity()) => report.unchanged += 1,
                Ok(row) => chunk.push(row),
                Err(error) => report.errors.push(error),
            }
        }
        if chunk.len() == CHUNK_ROWS || is_end {
            import_chunk(tx, clock, options.on_conflict, mem::take(&mut chunk), &mut report).await?;
            on_progress(report.rows);
        }
        if is_end {
            break;
        }
    }
    change_books(tx, clock, mem::take(&mut report.changed)).await?;
    // Those that were found chunk by chunk stand behind those that were found at once.
    report.errors.sort_by_key(|error| error.line);
    let import = Import {
        id: options.id.unwrap_or_else(|| ImportId(clock.new_id())),
        status: "completed".to_owned(),
        row_count: report.rows,
        created_count: report.created,
        updated_count: report.updated,
        unchanged_count: report.unchanged,
        rejected_count: i32::try_from(report.errors.len()).unwrap_or(i32::MAX),
        started_at,
        finished_at: Some(clock.now()),
    };
    let import = repo::import_insert(tx, import, &report.errors).await?;
    tx.note(Change::created(import.id, import.trail()));
    Ok(import)
}

/// An import by its id.
///
/// # Errors
/// The actor may not import, or the database failed.
pub async fn import_by_id(read: &TenantRead, actor: &Actor, id: ImportId) -> Result<Option<Import>, CatalogError> {
    actor.require(Permission::CatalogImport)?;
    Ok(repo::import_by_id(read, id).await?)
}

/// The import that began last.
///
/// # Errors
/// The actor may not import, or the database failed.
pub async fn import_latest(read: &TenantRead, actor: &Actor) -> Result<Option<Import>, CatalogError> {
    actor.require(Permission::CatalogImport)?;
    Ok(repo::import_latest(read).await?)
}

/// One page of the rows that an import rejected, in the order of the file.
///
/// # Errors
/// The actor may not import, or the database failed.
pub async fn row_error_list(
    read: &TenantRead,
    actor: &Actor,
    id: ImportId,
    page: PageRequest<i32>,
) -> Result<Page<(i32, RowError)>, CatalogError> {
    actor.require(Permission::CatalogImport)?;
    Ok(page.cut(repo::row_error_list(read, id, &page).await?))
}

fn no_room(line: i64) -> RowError {
    RowError {
        line,
        column_name: None,
        code: RowErrorCode::BookLimitReached.as_str().to_owned(),
        message: "The shop has as many books as its plan allows.".to_owned(),
    }
}

fn unreadable(error: FileError) -> CatalogError {
    CatalogError::refused(CatalogErrorCode::CsvInvalid, format!("{error}."), &["input", "csv"])
}

/// Categories by their folded names; of several with one name, the one nearest to a root.
async fn category_names(read: &TenantRead) -> Result<HashMap<String, Uuid>, CatalogError> {
    let mut categories = repo::category_names(read).await?;
    categories.sort_by_key(|(_, path)| std::cmp::Reverse(path.len()));
    Ok(categories.into_iter().filter_map(|(name_key, path)| Some((name_key, *path.last()?))).collect())
}

type RowAndCategory = (Row, Option<Uuid>);

fn with_category(row: Row, categories: &HashMap<String, Uuid>) -> Result<RowAndCategory, RowError> {
    let Some(key) = &row.category_key else { return Ok((row, None)) };
    match categories.get(key) {
        Some(&category) => Ok((row, Some(category))),
        None => Err(RowError {
            line: row.line,
            column_name: Some("category".to_owned()),
            code: RowErrorCode::CategoryNotFound.as_str().to_owned(),
            message: format!("No category is named `{key}`."),
        }),
    }
}

/// The books that rows of a chunk may be about.
struct KnownBooks {
    by_isbn: HashMap<String, Known>,
    by_title_and_authors: HashMap<(String, String), Vec<Known>>,
}

impl KnownBooks {
    /// The book that a row is about. An ISBN decides; a book or row that has none is known by title and authors, unless
    /// several books have these. A book that an earlier row gives an ISBN is not another ISBN's.
    fn of(&self, row: &Row, changed: &BTreeMap<Uuid, Placed>) -> Option<&Known> {
        let alike = self.by_title_and_authors.get(&(row.title_key.clone(), row.authors_key()));
        let alike = alike.map_or(&[][..], Vec::as_slice);
        let without_isbn = alike.iter().find(|book| book.isbn13.is_none());
        let gains_isbn = |book: &Known| changed.get(&book.id).is_some_and(|(_, _, row)| row.isbn13.is_some());
        match &row.isbn13 {
            Some(isbn13) => self.by_isbn.get(isbn13.as_str()).or(without_isbn.filter(|book| !gains_isbn(book))),
            None => without_isbn.or(if let [only] = alike { Some(only) } else { None }),
        }
    }
}

async fn import_chunk(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    on_conflict: OnConflict,
    chunk: Vec<RowAndCategory>,
    report: &mut Report,
) -> Result<(), CatalogError> {
    let known = known(tx, &chunk).await?;
    let mut new: Vec<Placed> = Vec::new();
    for (row, category) in chunk {
        match known.of(&row, &report.changed) {
            None if report.room > 0 => {
                report.room -= 1;
                new.push((clock.new_id(), category, row));
            }
            None => report.errors.push(no_room(row.line)),
            // A book that an earlier row changes is changed by that one.
            Some(book) if report.changed.contains_key(&book.id) => report.unchanged += 1,
            Some(book) if on_conflict == OnConflict::Update && differs(book, &row, category) => {
                report.changed.insert(book.id, (book.id, category, row));
                report.updated += 1;
            }
            Some(_) => report.unchanged += 1,
        }
    }
    report.created += i32::try_from(new.len()).unwrap_or(i32::MAX);
    if new.is_empty() {
        return Ok(());
    }
    tell(tx, &new);
    repo::books_insert(tx, &new, clock.now()).await?;
    write_authors(tx, clock, &new).await
}

/// Changes books, in the order of their ids.
async fn change_books(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    changed: BTreeMap<Uuid, Placed>,
) -> Result<(), CatalogError> {
    let changed: Vec<Placed> = changed.into_values().collect();
    for changed in changed.chunks(CHUNK_ROWS) {
        tell(tx, changed);
        repo::books_lock(tx, changed.iter().map(|(book, _, _)| *book).collect()).await?;
        repo::books_update(tx, changed, clock.now()).await?;
        write_authors(tx, clock, changed).await?;
    }
    Ok(())
}

fn tell(tx: &mut TenantTx, placed: &[Placed]) {
    for (book, _, row) in placed {
        tx.tell(Fact::new(Topic::Book, *book));
        if row.stock.is_some() {
            tx.tell(Fact::new(Topic::Stock, *book));
        }
    }
}

/// The books of the catalogue that rows of the chunk may be about.
async fn known(tx: &mut TenantTx, chunk: &[RowAndCategory]) -> Result<KnownBooks, CatalogError> {
    let isbns = chunk.iter().filter_map(|(row, _)| row.isbn13.as_ref().map(ToString::to_string)).collect();
    let title_keys = chunk.iter().map(|(row, _)| row.title_key.clone()).collect();
    let mut books = KnownBooks { by_isbn: HashMap::new(), by_title_and_authors: HashMap::new() };
    for book in repo::known_books(tx, isbns, title_keys).await? {
        if let Some(isbn13) = &book.isbn13 {
            books.by_isbn.insert(isbn13.clone(), book.clone());
        }
        let alike = books.by_title_and_authors.entry((book.title_key.clone(), book.authors_key.clone())).or_default();
        if !alike.iter().any(|known| known.id == book.id) {
            alike.push(book);
        }
    }
    Ok(books)
}

/// Whether the row would change the book; an empty cell changes nothing.
fn differs(book: &Known, row: &Row, category: Option<Uuid>) -> bool {
    fn is_new<T: PartialEq>(new: Option<T>, old: Option<T>) -> bool {
        new.is_some() && new != old
    }
    row.isbn13.as_ref().is_some_and(|isbn| book.isbn13.as_deref() != Some(isbn.as_str()))
        || book.title != row.title
        || (!row.authors.is_empty() && book.authors_key != row.authors_key())
        || is_new(category, book.category_id)
        || is_new(row.price.map(|price| price.minor()), book.price_minor)
        || is_new(row.language.as_ref().map(ToString::to_string), book.language.clone())
        || is_new(row.published_on.map(|date| date.year()), book.published_year)
        || row.stock.is_some_and(|stock| stock != book.stock)
}

/// Gives every placed row's book its authors, adding those that the catalogue lacks. A row without authors leaves those
/// that the book has.
async fn write_authors(tx: &mut TenantTx, clock: &dyn Clock, placed: &[Placed]) -> Result<(), CatalogError> {
    let placed: Vec<&Placed> = placed.iter().filter(|(_, _, row)| !row.authors.is_empty()).collect();
    if placed.is_empty() {
        return Ok(());
    }
    // In one order everywhere, so that two who add the same authors wait for each other and not in a circle.
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, key) in placed.iter().flat_map(|(_, _, row)| &row.authors) {
        names.entry(key).or_insert(name);
    }
    let (name_keys, names): (Vec<String>, Vec<String>) =
        names.into_iter().map(|(key, name)| (key.to_owned(), name.to_owned())).unzip();
    let ids = name_keys.iter().map(|_| clock.new_id()).collect();
    let ids: HashMap<String, Uuid> =
        author_ids_by_name(tx, ids, names, name_keys, clock.now()).await?.into_iter().collect();
    let mut links = Vec::new();
    for (book, _, row) in &placed {
        for ((_, key), position) in row.authors.iter().zip(1_i16..) {
            if let Some(author) = ids.get(key) {
                links.push((*book, position, *author));
            }
        }
    }
    let books = placed.iter().map(|(book, _, _)| *book).collect();
    Ok(repo::book_authors_replace(tx, books, &links).await?)
}
