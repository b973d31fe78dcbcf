//! From what a user types to a book's fields: every field is checked, and every one that is wrong is reported.

use super::model::{BookFields, NewBook, PriceInput, PublishedOnInput, STOCK_MAX, TITLE_LEN_MAX};
use crate::kernel::isbn::Isbn13;
use crate::kernel::language::LanguageTag;
use crate::kernel::money::{Currency, Money, MoneyError};
use crate::kernel::partial_date::PartialDate;
use crate::kernel::text::{fold, tidy};
use crate::tenant::catalog::error::{CatalogErrorCode, CatalogRefusal};
use crate::tenant::catalog::names::KEY_BYTES_MAX;

/// Checks a new book for a shop that trades in one currency.
///
/// # Errors
/// A reason for each field that breaks a rule.
pub fn new_book(new: &NewBook, currency: Currency) -> Result<BookFields, Vec<CatalogRefusal>> {
    let mut refusals = Vec::new();
    let mut keep = Keep(&mut refusals);
    let title = keep.or_none(title(&new.title));
    let isbn13 = keep.optional(new.isbn.as_deref().map(isbn));
    let price = keep.optional(new.price.as_ref().map(|input| price(input, currency)));
    let language = keep.optional(new.language.as_deref().map(language));
    let published_on = keep.optional(new.published_on.map(published_on));
    let stock = keep.or_none(stock(new.stock));
    match (title, stock) {
        (Some((title, title_key)), Some(stock)) if refusals.is_empty() => Ok(BookFields {
            title,
            title_key,
            isbn13,
            category_id: new.category_id,
            price,
            language,
            published_on,
            stock,
        }),
        _ => Err(refusals),
    }
}

/// Gathers what is wrong while the rest is still checked.
pub struct Keep<'a>(pub &'a mut Vec<CatalogRefusal>);

impl Keep<'_> {
    /// The value, or `None` with the reason kept.
    pub fn or_none<T>(&mut self, result: Result<T, CatalogRefusal>) -> Option<T> {
        result.map_err(|refusal| self.0.push(refusal)).ok()
    }

    /// The value of a field that may be empty.
    pub fn optional<T>(&mut self, field: Option<Result<T, CatalogRefusal>>) -> Option<T> {
        self.or_none(field?)
    }
}

/// A title as it is stored, and folded. One without letters, such as `!!!`, folds to itself.
pub fn title(text: &str) -> Result<(String, String), CatalogRefusal> {
    let title = tidy(text);
    if title.is_empty() || title.chars().count() > TITLE_LEN_MAX {
        let message = format!("A title has 1 to {TITLE_LEN_MAX} characters.");
        return Err(CatalogRefusal::new(CatalogErrorCode::TitleInvalid, message, &["input", "title"]));
    }
    let folded = fold(&title);
    let title_key = if folded.is_empty() { title.clone() } else { folded };
    // Letters that fold into several make a key longer than its title; an index takes no more than this.
    if title_key.len() > KEY_BYTES_MAX {
        let message = "The title is too long once it is written out.";
        return Err(CatalogRefusal::new(CatalogErrorCode::TitleInvalid, message, &["input", "title"]));
    }
    Ok((title, title_key))
}

/// An ISBN of either length.
pub fn isbn(text: &str) -> Result<Isbn13, CatalogRefusal> {
    text.parse().map_err(|error| {
        CatalogRefusal::new(CatalogErrorCode::IsbnInvalid, format!("`{text}`: {error}."), &["input", "isbn"])
    })
}

/// A price in the shop's currency.
pub fn price(input: &PriceInput, currency: Currency) -> Result<Money, CatalogRefusal> {
    let invalid = |text: &dyn std::fmt::Display, error: MoneyError, path| {
        CatalogRefusal::new(CatalogErrorCode::PriceInvalid, format!("`{text}`: {error}."), path)
    };
    match input {
        PriceInput::Minor(minor) => {
            Money::from_minor(*minor, currency).map_err(|error| invalid(minor, error, &["input", "priceCents"]))
        }
        PriceInput::Amount { currency: code, .. } if code != currency.code() => {
            let message = format!("The shop trades in {}, not in `{code}`.", currency.code());
            Err(CatalogRefusal::new(CatalogErrorCode::CurrencyMismatch, message, &["input", "price", "currency"]))
        }
        PriceInput::Amount { amount, .. } => {
            Money::parse(amount, currency).map_err(|error| invalid(amount, error, &["input", "price", "amount"]))
        }
    }
}

/// A language's tag.
pub fn language(text: &str) -> Result<LanguageTag, CatalogRefusal> {
    text.parse().map_err(|error| {
        CatalogRefusal::new(CatalogErrorCode::LanguageInvalid, format!("`{text}`: {error}."), &["input", "language"])
    })
}

/// A date of publication.
pub fn published_on(input: PublishedOnInput) -> Result<PartialDate, CatalogRefusal> {
    // A number that no byte holds is no month or day either; 0 is refused as one.
    let part = |part: Option<i32>| part.map(|part| u8::try_from(part).unwrap_or(0));
    PartialDate::new(input.year, part(input.month), part(input.day)).map_err(|error| {
        CatalogRefusal::new(CatalogErrorCode::PublishedOnInvalid, format!("{error}."), &["input", "publishedOn"])
    })
}

/// A number of copies.
pub fn stock(copies: i32) -> Result<i32, CatalogRefusal> {
    if (0..=STOCK_MAX).contains(&copies) {
        return Ok(copies);
    }
    let message = format!("The stock is 0 to {STOCK_MAX}.");
    Err(CatalogRefusal::new(CatalogErrorCode::StockInvalid, message, &["input", "stock"]))
}
