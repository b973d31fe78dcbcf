//! The rows that both shops have under the same ids. Each row's text starts with the slug of its shop.

use std::fmt::Write as _;

use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::{AuthorId, BookId, CategoryId};
use shelfwise::kernel::tenant::TenantCtx;
use uuid::Uuid;

/// How many books either shop starts with.
pub const BOOKS: usize = 12;

/// How many authors either shop has. The last one is never renamed, and writes all new books.
pub const AUTHORS: usize = 4;

/// How many categories of ours either shop has.
pub const CATEGORIES: usize = 2;

/// The ISBN of the first book.
pub const ISBN: &str = "9780306406157";

/// A row that is changed, by its place among its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    Book(usize),
    Author(usize),
}

/// The ids, which are the same in both shops, in the order of entry.
pub struct Shelf {
    books: Vec<Uuid>,
    authors: Vec<Uuid>,
    categories: Vec<Uuid>,
}

impl Row {
    /// The text that the row starts with.
    pub fn first_text(self, slug: &str) -> String {
        match self {
            Self::Book(index) => format!("{slug} book {index:02}"),
            Self::Author(index) => format!("{slug} author {index:02}"),
        }
    }
}

/// The name of a category, which stays.
pub fn category_name(slug: &str, index: usize) -> String {
    format!("{slug} category {index:02}")
}

/// The places of a book's authors.
pub fn authors_of(book: usize) -> [usize; 2] {
    [book % AUTHORS, (book + 1) % AUTHORS]
}

/// The place of a book's category.
pub fn category_of(book: usize) -> usize {
    book % CATEGORIES
}

impl Shelf {
    /// Ids for a run.
    pub fn new() -> Self {
        let ids = |count: usize| {
            let mut ids: Vec<Uuid> = (0..count).map(|_| SystemClock.new_id()).collect();
            // Within a millisecond they may come in any order; lists go by it.
            ids.sort();
            ids
        };
        Self { books: ids(BOOKS), authors: ids(AUTHORS), categories: ids(CATEGORIES) }
    }

    /// The row's id in the API.
    pub fn id(&self, row: Row) -> String {
        match row {
            Row::Book(index) => BookId(self.books[index]).to_string(),
            Row::Author(index) => AuthorId(self.authors[index]).to_string(),
        }
    }

    /// The category's id in the API.
    pub fn category_id(&self, index: usize) -> String {
        CategoryId(self.categories[index]).to_string()
    }

    /// The statements that put the rows into a shop, below the API.
    pub fn insert(&self, shop: &TenantCtx) -> String {
        let (schema, slug) = (&shop.schema, shop.slug.as_str());
        let mut sql = String::new();
        for (index, id) in self.authors.iter().enumerate() {
            let name = Row::Author(index).first_text(slug);
            let columns = "(id, name, name_key, created_at, updated_at)";
            let values = format!("('{id}', '{name}', '{name}', now(), now())");
            writeln!(sql, r#"INSERT INTO "{schema}".authors {columns} VALUES {values};"#).unwrap();
        }
        for (index, id) in self.categories.iter().enumerate() {
            let name = category_name(slug, index);
            let columns = "(id, name, name_key, path, created_at, updated_at)";
            let values = format!("('{id}', '{name}', '{name}', ARRAY['{id}'::uuid], now(), now())");
            writeln!(sql, r#"INSERT INTO "{schema}".categories {columns} VALUES {values};"#).unwrap();
        }
        for (index, id) in self.books.iter().enumerate() {
            let title = Row::Book(index).first_text(slug);
            let authors = authors_of(index);
            let authors_key = authors.map(|author| Row::Author(author).first_text(slug)).join(", ");
            let isbn = if index == 0 { format!("'{ISBN}'") } else { "NULL".to_owned() };
            let category = self.categories[category_of(index)];
            let columns = "(id, title, title_key, authors_key, isbn13, category_id, created_at, updated_at)";
            let values = format!("('{id}', '{title}', '{title}', '{authors_key}', {isbn}, '{category}', now(), now())");
            writeln!(sql, r#"INSERT INTO "{schema}".books {columns} VALUES {values};"#).unwrap();
            for (place, author) in authors.into_iter().enumerate() {
                let values = format!("('{id}', {}, '{}')", place + 1, self.authors[author]);
                let columns = "(book_id, position, author_id)";
                writeln!(sql, r#"INSERT INTO "{schema}".book_authors {columns} VALUES {values};"#).unwrap();
            }
        }
        sql
    }
}
