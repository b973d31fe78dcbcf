//! Any object by its id.

use async_graphql::{ID, Interface};

use super::error::{ApiError, ApiResult};
use crate::kernel::ids::{AuthorId, BookId, CategoryId, ImportId};
use crate::tenant::catalog::authors::graphql::AuthorNode;
use crate::tenant::catalog::books::graphql::BookNode;
use crate::tenant::catalog::categories::graphql::CategoryNode;
use crate::tenant::catalog::error::CatalogErrorCode;
use crate::tenant::catalog::import::graphql::ImportNode;

/// Opens every object that has an id by it; an id of another tenant answers null, never an error.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "The object's id: opaque, unique within the shop, prefixed by the type."
))]
pub enum Node {
    /// An author.
    Author(AuthorNode),
    /// A book.
    Book(BookNode),
    /// A category.
    Category(CategoryNode),
    /// An import.
    Import(ImportNode),
}

/// A failure that the user can mend. Outages and defects go to the top-level `errors` instead.
#[derive(Interface)]
#[graphql(
    field(name = "message", ty = "&String", desc = "What is wrong, for people."),
    field(name = "path", ty = "&Option<Vec<String>>", desc = "Which argument or field of the input is wrong.")
)]
pub enum UserError {
    /// In the catalogue.
    Catalog(CatalogUserError),
}

/// What is wrong with a request to the catalogue.
#[derive(async_graphql::SimpleObject)]
pub struct CatalogUserError {
    /// What is wrong, for programs.
    code: CatalogErrorCode,
    /// What is wrong, for people.
    message: String,
    /// Which argument or field of the input is wrong.
    path: Option<Vec<String>>,
    /// With `VERSION_CONFLICT`: the version as it is now.
    current_version: Option<i32>,
}

impl From<crate::failure::Refusal<CatalogErrorCode>> for CatalogUserError {
    fn from(refusal: crate::failure::Refusal<CatalogErrorCode>) -> Self {
        Self {
            code: refusal.code,
            message: refusal.message,
            path: Some(refusal.path.into_iter().map(str::to_owned).collect()),
            current_version: refusal.current_version,
        }
    }
}

/// An id of any type that a node can have.
pub enum NodeId {
    /// An author's.
    Author(AuthorId),
    /// A book's.
    Book(BookId),
    /// A category's.
    Category(CategoryId),
    /// An import's.
    Import(ImportId),
}

impl NodeId {
    /// Reads an id of whichever type it names.
    ///
    /// # Errors
    /// `BAD_REQUEST` for text that is no id of a node.
    pub fn parse(id: &ID) -> ApiResult<Self> {
        let prefix = id.split('_').next().unwrap_or_default();
        match prefix {
            AuthorId::PREFIX => super::scalars::parse_id(id).map(Self::Author),
            BookId::PREFIX => super::scalars::parse_id(id).map(Self::Book),
            CategoryId::PREFIX => super::scalars::parse_id(id).map(Self::Category),
            ImportId::PREFIX => super::scalars::parse_id(id).map(Self::Import),
            _ => Err(ApiError::bad_request(format!("`{}` is not an id of this API.", id.as_str()))),
        }
    }
}
