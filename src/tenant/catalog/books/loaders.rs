//! Batch loads of books.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Book;
use super::repo;
use crate::db::{DbError, TenantSession};
use crate::kernel::ids::BookId;

/// A book by id.
pub struct BookById(pub Arc<TenantSession>);

/// What [`BookById`] answers for an id.
pub type MaybeBook = Result<Option<Arc<Book>>, DbError>;

impl BatchFn<BookId, MaybeBook> for BookById {
    async fn load(&mut self, ids: &[BookId]) -> HashMap<BookId, MaybeBook> {
        let rows = async { repo::book_list_by_id(&self.0.read().await?, ids).await }.await;
        match rows {
            Ok(rows) => {
                let mut found: HashMap<BookId, MaybeBook> = ids.iter().map(|&id| (id, Ok(None))).collect();
                found.extend(rows.into_iter().map(|book| (book.id, Ok(Some(Arc::new(book))))));
                found
            }
            Err(error) => ids.iter().map(|&id| (id, Err(error.clone()))).collect(),
        }
    }
}
