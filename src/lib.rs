//! ShelfWise
pub mod cli;
pub mod config;
pub mod control;
pub mod db;
pub mod failure;
pub mod graphql;
pub mod kernel;
pub mod tenant;
