//! The catalogue: books with their authors and categories, and the import that fills it.
//!
//! Archived entities stay: books keep naming their authors and category, and an order keeps naming its books.

pub mod authors;
pub mod books;
pub mod categories;
pub mod error;
pub mod import;
pub mod named;
mod names;

pub use error::{CatalogError, CatalogErrorCode};
