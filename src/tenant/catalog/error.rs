//! What a user can do wrong in the catalogue: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// An error of a request to the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum CatalogErrorCode {
    /// An author with this name exists already.
    AuthorNameTaken,
    /// No author has this id.
    AuthorNotFound,
    /// The book names too many authors, or one of them twice.
    AuthorsInvalid,
    /// A book without an ISBN, with this title and these authors, exists already.
    BookExists,
    /// The shop has as many books as its plan allows.
    BookLimitReached,
    /// No book has this id.
    BookNotFound,
    /// A category cannot be moved below itself.
    CategoryCycle,
    /// The parent has as many categories within it as it may have.
    CategoryFull,
    /// A category beside it has this name already.
    CategoryNameTaken,
    /// No category in use has this id.
    CategoryNotFound,
    /// The tree of categories would become too deep.
    CategoryTooDeep,
    /// The file cannot be read as CSV with a known header.
    CsvInvalid,
    /// The price is not in the shop's currency.
    CurrencyMismatch,
    /// The text is not an ISBN, or its check digit does not match.
    IsbnInvalid,
    /// A book with this ISBN exists already.
    IsbnTaken,
    /// The text is not a language tag.
    LanguageInvalid,
    /// The name is blank or too long.
    NameInvalid,
    /// The price is not an amount that the currency has.
    PriceInvalid,
    /// The date does not exist.
    PublishedOnInvalid,
    /// The stock is below zero or too large.
    StockInvalid,
    /// The title is blank or too long.
    TitleInvalid,
    /// The entity was changed since the version that the call names.
    VersionConflict,
}

/// Why a call to the catalogue failed.
pub type CatalogError = Failure<CatalogErrorCode>;

/// A reason that a user can mend.
pub type CatalogRefusal = Refusal<CatalogErrorCode>;
