//! Batch loads of authors.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Author;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::BookId;

/// The authors of a book, in the order of its title page.
pub struct AuthorsByBook(pub Arc<TenantSession>);

/// What [`AuthorsByBook`] answers for a book; empty where nobody is named.
pub type BookAuthors = Result<Arc<[Author]>, DbError>;

impl BatchFn<BookId, BookAuthors> for AuthorsByBook {
    async fn load(&mut self, books: &[BookId]) -> HashMap<BookId, BookAuthors> {
        let rows = async { repo::author_list_by_book(&self.0.read().await?, books).await }.await;
        batch::grouped(books, rows, |(book, author)| (BookId(book), author))
    }
}
