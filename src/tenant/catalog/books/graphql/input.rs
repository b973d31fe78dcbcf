//! What clients say of books, made ready for the service. Whether it is right is the service's to decide.

use async_graphql::{ID, InputObject, MaybeUndefined};

use crate::graphql::deprecation::visible;
use crate::graphql::patch::{patch, patch_id};
use crate::graphql::scalars::{Decimal, parse_id};
use crate::graphql::{ApiError, ApiResult};
use crate::kernel::money::{Currency, Money};
use crate::tenant::catalog::books::model::{BookFilter, BookPatch, NewBook, PriceInput, PublishedOnInput};

/// A filter of books. Fields that are given all apply.
#[derive(InputObject, Default)]
pub struct BookFilterInput {
    /// The category of the books; those in categories within it are listed too.
    category_id: Option<ID>,
    /// The author of the books.
    author_id: Option<ID>,
    /// The language of the books; `en` takes `en-GB` as well.
    language: Option<String>,
    /// The lowest price, in the shop's currency.
    price_min: Option<Decimal>,
    /// The highest price, in the shop's currency.
    price_max: Option<Decimal>,
    /// Lists books with copies in stock if true, and those without if false.
    is_in_stock: Option<bool>,
    /// Lists archived books alone if true, and those in use otherwise.
    is_archived: Option<bool>,
}

impl BookFilterInput {
    /// The filter without a search.
    ///
    /// # Errors
    /// `BAD_REQUEST` for ids, a language or prices that are none.
    pub fn parse(self, currency: Currency) -> ApiResult<BookFilter> {
        let minor = |amount: Decimal| {
            Money::parse(&amount.0, currency)
                .map(Money::minor)
                .map_err(|error| ApiError::bad_request(format!("`{}`: {error}.", amount.0)))
        };
        let language =
            |text: String| text.parse().map_err(|error| ApiError::bad_request(format!("`{text}`: {error}.")));
        Ok(BookFilter {
            category: self.category_id.as_ref().map(parse_id).transpose()?,
            author: self.author_id.as_ref().map(parse_id).transpose()?,
            language: self.language.map(language).transpose()?,
            price_min: self.price_min.map(minor).transpose()?,
            price_max: self.price_max.map(minor).transpose()?,
            in_stock: self.is_in_stock,
            archived: self.is_archived.unwrap_or(false),
            search: None,
        })
    }
}

/// An amount of money.
#[derive(InputObject)]
pub struct MoneyInput {
    /// The exact amount.
    amount: Decimal,
    /// The currency's code in ISO 4217; the shop's own.
    currency: String,
}

impl From<MoneyInput> for PriceInput {
    fn from(input: MoneyInput) -> Self {
        Self::Amount { amount: input.amount.0, currency: input.currency }
    }
}

/// The price that is meant, where it may be given in two ways.
fn price<T>(price: Option<T>, cents: Option<T>) -> ApiResult<Option<T>> {
    if price.is_some() && cents.is_some() {
        return Err(ApiError::bad_request("Give `price` or `priceCents`, which is what it was, and not both."));
    }
    Ok(price.or(cents))
}

/// A date of publication, as far as it is known.
#[derive(InputObject)]
pub struct PublishedOnDateInput {
    /// The astronomical year: 0 is 1 BCE, -749 is 750 BCE.
    year: i32,
    /// The month, 1 to 12.
    month: Option<i32>,
    /// The day of the month; only together with a month.
    day: Option<i32>,
}

impl From<PublishedOnDateInput> for PublishedOnInput {
    fn from(input: PublishedOnDateInput) -> Self {
        Self { year: input.year, month: input.month, day: input.day }
    }
}

/// A new book.
#[derive(InputObject)]
pub struct BookCreateInput {
    /// The title as printed.
    title: String,
    /// The authors in the order of the title page.
    #[graphql(default)]
    author_ids: Vec<ID>,
    /// The ISBN, of ten or thirteen digits, with or without hyphens.
    isbn: Option<String>,
    /// The category.
    category_id: Option<ID>,
    /// The price; none for a book that is not for sale.
    price: Option<MoneyInput>,
    /// The price in the minor unit of the shop's currency; none for a book that is not for sale.
    #[graphql(
        deprecation = "Use `price`. Deprecated 2026-11-28. Removal on 2027-07-01 UTC.",
        visible = "visible::book_create_input_price_cents"
    )]
    price_cents: Option<i64>,
    /// The language's tag, such as `en` or `en-GB`.
    language: Option<String>,
    /// The date of publication.
    published_on: Option<PublishedOnDateInput>,
    /// The number of copies in stock.
    #[graphql(default)]
    stock: i32,
}

impl BookCreateInput {
    /// The new book.
    ///
    /// # Errors
    /// `BAD_REQUEST` for ids that are none, and for two prices.
    pub fn parse(self) -> ApiResult<NewBook> {
        Ok(NewBook {
            title: self.title,
            author_ids: self.author_ids.iter().map(parse_id).collect::<ApiResult<_>>()?,
            isbn: self.isbn,
            category_id: self.category_id.as_ref().map(parse_id).transpose()?,
            price: price(self.price.map(PriceInput::from), self.price_cents.map(PriceInput::Minor))?,
            language: self.language,
            published_on: self.published_on.map(PublishedOnInput::from),
            stock: self.stock,
        })
    }
}

/// Changes of a book. A field that is not given stays; null empties one that may be empty.
#[derive(InputObject)]
pub struct BookUpdateInput {
    /// The title as printed.
    title: Option<String>,
    /// The authors in the order of the title page, in place of those that were.
    author_ids: Option<Vec<ID>>,
    /// The ISBN, of ten or thirteen digits, with or without hyphens.
    isbn: MaybeUndefined<String>,
    /// The category.
    category_id: MaybeUndefined<ID>,
    /// The price; null for a book that is not for sale.
    price: MaybeUndefined<MoneyInput>,
    /// The price in the minor unit of the shop's currency; null for a book that is not for sale.
    #[graphql(
        deprecation = "Use `price`. Deprecated 2026-11-28. Removal on 2027-07-01 UTC.",
        visible = "visible::book_update_input_price_cents"
    )]
    price_cents: MaybeUndefined<i64>,
    /// The language's tag, such as `en` or `en-GB`.
    language: MaybeUndefined<String>,
    /// The date of publication.
    published_on: MaybeUndefined<PublishedOnDateInput>,
    /// The number of copies in stock.
    stock: Option<i32>,
}

impl BookUpdateInput {
    /// The changes.
    ///
    /// # Errors
    /// `BAD_REQUEST` for ids that are none, and for two prices.
    pub fn parse(self) -> ApiResult<BookPatch> {
        let author_ids = self.author_ids.map(|ids| ids.iter().map(parse_id).collect::<ApiResult<_>>());
        let by_amount = patch(self.price).map(|price| price.map(PriceInput::from));
        let by_cents = patch(self.price_cents).map(|cents| cents.map(PriceInput::Minor));
        Ok(BookPatch {
            title: self.title,
            author_ids: author_ids.transpose()?,
            isbn: patch(self.isbn),
            category_id: patch_id(self.category_id)?,
            price: price(by_amount, by_cents)?,
            language: patch(self.language),
            published_on: patch(self.published_on).map(|date| date.map(PublishedOnInput::from)),
            stock: self.stock,
        })
    }
}
