//! A book as the tenant has it, and the questions that a list of books answers.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::schema::tenant::books;
use crate::kernel::ids::{AuthorId, BookId, CategoryId};
use crate::kernel::isbn::Isbn13;
use crate::kernel::language::LanguageTag;
use crate::kernel::money::Money;
use crate::kernel::partial_date::PartialDate;

/// The most characters of a title.
pub const TITLE_LEN_MAX: usize = 500;

/// The most authors of a book.
pub const AUTHORS_MAX: usize = 100;

/// The most copies in stock.
pub const STOCK_MAX: i32 = 1_000_000;

/// A book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Queryable, Selectable)]
#[diesel(table_name = books)]
pub struct Book {
    /// The book.
    #[diesel(deserialize_as = Uuid)]
    pub id: BookId,
    /// The title as printed.
    pub title: String,
    /// The folded title.
    pub title_key: String,
    /// The thirteen digits of the ISBN.
    pub isbn13: Option<String>,
    /// The category.
    pub category_id: Option<Uuid>,
    /// The price in minor units; none: not for sale.
    pub price_minor: Option<i64>,
    /// The price's currency.
    pub price_currency: Option<String>,
    /// The language's tag.
    pub language: Option<String>,
    /// The astronomical year of publication.
    pub published_year: Option<i32>,
    /// The month of publication.
    pub published_month: Option<i16>,
    /// The day of publication.
    pub published_day: Option<i16>,
    /// Copies in stock.
    pub stock: i32,
    /// Counts the changes.
    pub version: i32,
    /// Since when the book is archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// When the book was entered.
    pub created_at: DateTime<Utc>,
    /// When the book was last changed.
    pub updated_at: DateTime<Utc>,
    /// The price as a sort key: a book that is not for sale comes after every price.
    pub price_key: i64,
    /// The date as a sort key: an unknown one comes before every date.
    pub published_key: i32,
}

impl Book {
    /// What the trail keeps of it.
    #[must_use]
    pub fn trail(&self) -> Value {
        json!({
            "title": self.title,
            "isbn13": self.isbn13,
            "categoryId": self.category_id.map(|id| CategoryId(id).to_string()),
            "price": self.price().map(|price| price.to_string()),
            "language": self.language,
            "publishedOn": [self.published_year, self.published_month.map(i32::from), self.published_day.map(i32::from)],
            "stock": self.stock,
            "archivedAt": self.archived_at,
            "version": self.version,
        })
    }

    /// The price; none: not for sale.
    #[must_use]
    pub fn price(&self) -> Option<Money> {
        let currency = self.price_currency.as_ref()?.parse().ok()?;
        Money::from_minor(self.price_minor?, currency).ok()
    }

    /// The date of publication, as far as it is known.
    #[must_use]
    pub fn published_on(&self) -> Option<PartialDate> {
        let part = |part: Option<i16>| part.and_then(|part| u8::try_from(part).ok());
        PartialDate::new(self.published_year?, part(self.published_month), part(self.published_day)).ok()
    }
}

/// What a user types for a price.
#[derive(Debug, Clone)]
pub enum PriceInput {
    /// An amount.
    Amount {
        /// A decimal number.
        amount: String,
        /// A currency's code.
        currency: String,
    },
    /// Minor units of the shop's currency.
    Minor(i64),
}

/// What a user types for a date of publication.
#[derive(Debug, Clone, Copy)]
pub struct PublishedOnInput {
    /// The astronomical year.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: Option<i32>,
    /// The day of the month.
    pub day: Option<i32>,
}

/// What a user types for a new book.
#[derive(Debug, Clone)]
pub struct NewBook {
    /// The title.
    pub title: String,
    /// The authors in their order.
    pub author_ids: Vec<AuthorId>,
    /// An ISBN of ten or thirteen digits.
    pub isbn: Option<String>,
    /// The category.
    pub category_id: Option<CategoryId>,
    /// The price.
    pub price: Option<PriceInput>,
    /// A language's tag.
    pub language: Option<String>,
    /// The date of publication.
    pub published_on: Option<PublishedOnInput>,
    /// Copies in stock.
    pub stock: i32,
}

/// What a user types to change a book: a field that is `None` stays, one that is `Some(None)` is emptied.
#[derive(Debug, Clone, Default)]
pub struct BookPatch {
    /// The title.
    pub title: Option<String>,
    /// The authors in their order.
    pub author_ids: Option<Vec<AuthorId>>,
    /// An ISBN of ten or thirteen digits.
    pub isbn: Option<Option<String>>,
    /// The category.
    pub category_id: Option<Option<CategoryId>>,
    /// The price.
    pub price: Option<Option<PriceInput>>,
    /// A language's tag.
    pub language: Option<Option<String>>,
    /// The date of publication.
    pub published_on: Option<Option<PublishedOnInput>>,
    /// Copies in stock.
    pub stock: Option<i32>,
}

/// A book's own fields, valid and ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookFields {
    /// The title.
    pub title: String,
    /// The folded title.
    pub title_key: String,
    /// The ISBN.
    pub isbn13: Option<Isbn13>,
    /// The category.
    pub category_id: Option<CategoryId>,
    /// The price.
    pub price: Option<Money>,
    /// The language.
    pub language: Option<LanguageTag>,
    /// The date of publication.
    pub published_on: Option<PartialDate>,
    /// Copies in stock.
    pub stock: i32,
}

/// Which books to list.
#[derive(Debug, Clone, Default)]
pub struct BookFilter {
    /// Those in this category or within it.
    pub category: Option<CategoryId>,
    /// Those by this author.
    pub author: Option<AuthorId>,
    /// Those in this language; one without a region takes all regions.
    pub language: Option<LanguageTag>,
    /// Those that cost at least so much, in minor units.
    pub price_min: Option<i64>,
    /// Those that cost at most so much, in minor units.
    pub price_max: Option<i64>,
    /// Those with copies in stock, or those without.
    pub in_stock: Option<bool>,
    /// Archived ones, or those that are not.
    pub archived: bool,
    /// Those that match the words of a search.
    pub search: Option<super::search::Words>,
}

/// What a list of books is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookOrder {
    /// When the book was entered; ids are made in that order.
    CreatedAt,
    /// The folded title.
    Title,
    /// The price; not for sale comes last.
    Price,
    /// The date of publication; unknown comes first.
    PublishedOn,
    /// How well the book matches the search.
    Relevance,
}

/// How a list of books is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookSort {
    /// By what.
    pub order: BookOrder,
    /// From the greatest to the least.
    pub descending: bool,
}

/// The place of a book in a list: the key that the list is ordered by, and the id that breaks ties.
#[derive(Debug, Clone, PartialEq)]
pub struct BookPosition {
    /// The sort key.
    pub key: BookKey,
    /// The book.
    pub id: BookId,
}

/// The value of a sort key.
#[derive(Debug, Clone, PartialEq)]
pub enum BookKey {
    /// The id is the key.
    CreatedAt,
    /// The folded title.
    Title(String),
    /// The price in minor units.
    Price(i64),
    /// The date's key.
    PublishedOn(i32),
    /// The rank of the match.
    Relevance(f32),
}

impl BookKey {
    /// Which order the key is of.
    #[must_use]
    pub fn order(&self) -> BookOrder {
        match self {
            Self::CreatedAt => BookOrder::CreatedAt,
            Self::Title(_) => BookOrder::Title,
            Self::Price(_) => BookOrder::Price,
            Self::PublishedOn(_) => BookOrder::PublishedOn,
            Self::Relevance(_) => BookOrder::Relevance,
        }
    }
}

/// A book with its place in the list that it was read from.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The book.
    pub book: Book,
    /// Its place.
    pub position: BookPosition,
}
