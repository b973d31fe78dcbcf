//! The tenants' API, a file for each operation or a few that belong together.

mod authors;
mod book_create;
mod book_update;
mod books;
mod categories;
mod deprecated;
mod idempotency;
mod import;
mod import_beside;
mod import_real;
mod query_counts;
pub mod shelf;
