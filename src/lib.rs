//! ShelfWise
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod control;
pub mod db;
pub mod failure;
pub mod graphql;
pub mod http;
pub mod kernel;
pub mod telemetry;
pub mod tenant;
