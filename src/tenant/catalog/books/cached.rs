//! Books that are kept: by id, and which book has an ISBN.

use std::sync::{Arc, OnceLock};

use super::model::Book;
use super::repo;
use crate::cache::Reads;
use crate::cache::keys::{Family, Name};
use crate::db::DbError;
use crate::kernel::ids::BookId;
use crate::kernel::isbn::Isbn13;

/// A book by its id.
struct ById;

impl Family for ById {
    type Key = BookId;
    type Value = Option<Book>;
    const NAME: Name = Name::Book;

    fn number(id: &BookId) -> u128 {
        id.0.as_u128()
    }

    fn is_nothing(book: &Option<Book>) -> bool {
        book.is_none()
    }

    fn bytes(book: &Option<Book>) -> usize {
        let texts = book.as_ref().map_or(0, |book| book.title.len() + book.title_key.len());
        size_of::<Option<Book>>() + texts
    }
}

/// The id of the book that has an ISBN. An ISBN has one book at most, so whether this one still has it is told by the book.
struct IdByIsbn;

impl Family for IdByIsbn {
    type Key = Isbn13;
    type Value = Option<BookId>;
    const NAME: Name = Name::BookByIsbn;

    fn number(isbn: &Isbn13) -> u128 {
        isbn.as_str().bytes().fold(0, |number, digit| number * 10 + u128::from(digit - b'0'))
    }

    fn is_nothing(id: &Option<BookId>) -> bool {
        id.is_none()
    }

    fn bytes(_: &Option<BookId>) -> usize {
        size_of::<Option<BookId>>()
    }
}

/// A book by its id.
pub(super) async fn book_by_id(reads: &Reads<'_>, id: BookId) -> Result<Arc<Option<Book>>, DbError> {
    reads.get::<ById, _>(&id, |read| async move { repo::book_by_id(&read, id).await }).await
}

/// A book by its ISBN.
pub(super) async fn book_by_isbn(reads: &Reads<'_>, isbn: &Isbn13) -> Result<Arc<Option<Book>>, DbError> {
    let found = OnceLock::new();
    let read_now = &found;
    let id = reads.get::<IdByIsbn, _>(isbn, |read| async move {
        let book = repo::book_by_isbn(&read, isbn.as_str()).await?;
        let id = book.as_ref().map(|book| book.id);
        let _ = read_now.set(book);
        Ok(id)
    });
    let id = *id.await?;
    if let Some(book) = found.into_inner() {
        return Ok(Arc::new(book));
    }
    let Some(id) = id else { return Ok(Arc::new(None)) };
    let book = book_by_id(reads, id).await?;
    if book.as_ref().as_ref().is_some_and(|book| book.isbn13.as_deref() == Some(isbn.as_str())) {
        return Ok(book);
    }
    // It has another one now.
    Ok(Arc::new(repo::book_by_isbn(&reads.read().await?, isbn.as_str()).await?))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_written_of_a_book_is_of_this_format() {
        let (then, id) = (DateTime::from_timestamp_millis(1_767_225_600_123).unwrap(), Uuid::from_u128(7));
        let book = Book {
            id: BookId(id),
            title: "Emma".to_owned(),
            title_key: "emma".to_owned(),
            isbn13: Some("9780141439587".to_owned()),
            category_id: Some(id),
            price_minor: Some(799),
            price_currency: Some("EUR".to_owned()),
            language: None,
            published_year: Some(-749),
            published_month: None,
            published_day: None,
            stock: 3,
            version: 2,
            archived_at: None,
            created_at: then,
            updated_at: then,
            price_key: 799,
            published_key: -749,
        };
        let text = serde_json::to_string(&book).unwrap();
        // Whoever changes this counts up the format in `cache::keys`.
        let expected = r#"{"id":"book_00000000000000000000000007","title":"Emma","title_key":"emma","isbn13":"9780141439587","category_id":"00000000-0000-0000-0000-000000000007","price_minor":799,"price_currency":"EUR","language":null,"published_year":-749,"published_month":null,"published_day":null,"stock":3,"version":2,"archived_at":null,"created_at":"2026-01-01T00:00:00.123Z","updated_at":"2026-01-01T00:00:00.123Z","price_key":799,"published_key":-749}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Book>(&text).unwrap(), book);
        assert_eq!(IdByIsbn::number(&"9780141439587".parse().unwrap()), 9_780_141_439_587);
    }
}
