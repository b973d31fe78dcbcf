//! What a user can do wrong in the catalogue: one variant for each code of the API.

use crate::failure::{Failure, Refusal};

/// What is wrong with a request to the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub enum CatalogErrorCode {
    /// Another author has this name.
    AuthorNameTaken,
    /// There is no author with this id.
    AuthorNotFound,
    /// More authors than a book may have, or one of them twice.
    AuthorsInvalid,
    /// Another book without an ISBN has this title and these authors.
    BookExists,
    /// The shop has as many books as its plan allows.
    BookLimitReached,
    /// There is no book with this id.
    BookNotFound,
    /// A category cannot be moved below itself.
    CategoryCycle,
    /// The parent has as many categories within it as it may have.
    CategoryFull,
    /// Another category beside it has this name.
    CategoryNameTaken,
    /// There is no category with this id, or it is archived.
    CategoryNotFound,
    /// The tree of categories would become too deep.
    CategoryTooDeep,
    /// The file cannot be read as CSV with a known header.
    CsvInvalid,
    /// The price is not in the shop's currency.
    CurrencyMismatch,
    /// The text is not an ISBN, or its check digit does not match.
    IsbnInvalid,
    /// Another book has this ISBN.
    IsbnTaken,
    /// The text is not a language tag.
    LanguageInvalid,
    /// The name is blank or too long.
    NameInvalid,
    /// The price is not an amount that the currency has.
    PriceInvalid,
    /// The date is not one.
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
