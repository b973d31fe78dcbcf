//! Batch loads of authors.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Author;
use super::repo;
use crate::db::{DbError, TenantSession};
use crate::kernel::ids::BookId;

/// The authors of a book, in the order of its title page.
pub struct AuthorsByBook(pub Arc<TenantSession>);

/// What [`AuthorsByBook`] answers for a book; empty where nobody is named.
pub type BookAuthors = Result<Arc<[Author]>, DbError>;

impl BatchFn<BookId, BookAuthors> for AuthorsByBook {
    async fn load(&mut self, books: &[BookId]) -> HashMap<BookId, BookAuthors> {
        let rows = async { repo::author_list_by_book(&self.0.read().await?, books).await }.await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return books.iter().map(|&book| (book, Err(error.clone()))).collect(),
        };
        // Every key gets an entry: the loader takes a missing one for a failure.
        let mut by_book: HashMap<BookId, Vec<Author>> = books.iter().map(|&book| (book, Vec::new())).collect();
        for (book, author) in rows {
            by_book.entry(BookId(book)).or_default().push(author);
        }
        by_book.into_iter().map(|(book, authors)| (book, Ok(authors.into()))).collect()
    }
}
