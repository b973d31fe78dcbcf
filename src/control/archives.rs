//! Archives of tenants: all that a shop has, in one file that is restored from, and that people can read.
//!
//! The file is a zip of NDJSON, sealed as a whole with a key of its own before it leaves the process. The row of an archive
//! has that key, wrapped: without the row the object is noise, and to let an archive expire is to destroy the key.

pub mod contents;
pub mod error;
pub mod export;
pub mod graphql;
pub mod manifest;
pub mod model;
mod pack;
mod repo;
pub mod restore;
pub mod service;
mod terms;
pub mod unpack;

pub use error::ArchiveError;
pub use model::{Archive, ArchiveStatus, Purpose};
