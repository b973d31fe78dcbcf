//! Commands.
pub mod dev;
