//! Batch loads of books.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Book;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::BookId;

/// A book by id.
pub struct BookById(pub Arc<TenantSession>);

/// What [`BookById`] answers for an id.
pub type MaybeBook = Result<Option<Arc<Book>>, DbError>;

impl BatchFn<BookId, MaybeBook> for BookById {
    async fn load(&mut self, ids: &[BookId]) -> HashMap<BookId, MaybeBook> {
        let rows = async { repo::book_list_by_id(&self.0.read().await?, ids).await }.await;
        batch::by_key(ids, rows, |book| (book.id, Some(Arc::new(book))))
    }
}
