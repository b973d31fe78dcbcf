//! ShelfWise
pub mod config;
pub mod db;
pub mod kernel;
