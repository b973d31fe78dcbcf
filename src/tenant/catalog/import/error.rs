//! What can be wrong with a record of an imported file: one variant for each code of the API.

/// What can be wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum RowErrorCode {
    /// Too many authors, or a name that is too long.
    AuthorsInvalid,
    /// The shop has as many books as its plan allows.
    BookLimitReached,
    /// No category has this name.
    CategoryNotFound,
    /// The price is not in the shop's currency.
    CurrencyMismatch,
    /// Not an ISBN, or its check digit does not match.
    IsbnInvalid,
    /// Not a language.
    LanguageInvalid,
    /// Not an amount that the currency has.
    PriceInvalid,
    /// Not a year.
    PublishedOnInvalid,
    /// More or fewer cells than the header has.
    RowMalformed,
    /// Not a number of copies.
    StockInvalid,
    /// No title, or one that is too long.
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
