//! The words every layer speaks: ids, tenants, actors, pages and the value types of a bookshop.
//!
//! Nothing here does I/O or knows diesel, axum or async-graphql. A value that exists is valid: parsing is the validation.

pub mod actor;
pub mod attempts;
pub mod clock;
pub mod credential;
pub mod deprecation;
pub mod email;
pub mod flags;
pub mod ids;
pub mod isbn;
pub mod journal;
pub mod keys;
pub mod language;
pub mod limits;
pub mod money;
pub mod news;
pub mod page;
pub mod partial_date;
pub mod password;
pub mod seal;
pub mod settings;
pub mod stream;
pub mod tenant;
pub mod text;
