//! ShelfWise
pub mod config;
pub mod kernel;
