//! What can be wrong with a record of an imported file: one variant for each code of the API.

/// An error of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum RowErrorCode {
    /// The record names too many authors, or one whose name is too long.
    AuthorsInvalid,
    /// The shop has as many books as its plan allows.
    BookLimitReached,
    /// No category has this name.
    CategoryNotFound,
    /// The price is not in the shop's currency.
    CurrencyMismatch,
    /// The text is not an ISBN, or its check digit does not match.
    IsbnInvalid,
    /// The text is not a language.
    LanguageInvalid,
    /// The price is not an amount that the currency has.
    PriceInvalid,
    /// The text is not a year.
    PublishedOnInvalid,
    /// The record has more or fewer cells than the header.
    RowMalformed,
    /// The text is not a number of copies.
    StockInvalid,
    /// The title is missing or too long.
    TitleInvalid,
}

impl RowErrorCode {
    /// Every code with the text that is stored of it.
    const TEXTS: [(Self, &'static str); 11] = [
        (Self::AuthorsInvalid, "AUTHORS_INVALID"),
        (Self::BookLimitReached, "BOOK_LIMIT_REACHED"),
        (Self::CategoryNotFound, "CATEGORY_NOT_FOUND"),
        (Self::CurrencyMismatch, "CURRENCY_MISMATCH"),
        (Self::IsbnInvalid, "ISBN_INVALID"),
        (Self::LanguageInvalid, "LANGUAGE_INVALID"),
        (Self::PriceInvalid, "PRICE_INVALID"),
        (Self::PublishedOnInvalid, "PUBLISHED_ON_INVALID"),
        (Self::RowMalformed, "ROW_MALFORMED"),
        (Self::StockInvalid, "STOCK_INVALID"),
        (Self::TitleInvalid, "TITLE_INVALID"),
    ];

    /// The text that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::TEXTS.iter().find(|(code, _)| *code == self).map_or("", |(_, text)| text)
    }

    /// The code of a stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::TEXTS.iter().find(|(_, stored)| *stored == text).map(|(code, _)| *code)
    }
}
