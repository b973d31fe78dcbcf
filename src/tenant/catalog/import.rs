//! Filling the catalogue from a shop's own export.
//!
//! What can be repaired is repaired, what cannot is rejected row by row with its line, column and reason, and running
//! the same file twice changes nothing: a book is recognised by its ISBN, or, without one, by title and authors.
//! One import is one transaction.

pub mod error;
pub mod graphql;
pub mod model;
pub mod parse;
pub mod progress;
pub mod repair;
mod repo;
pub mod service;
