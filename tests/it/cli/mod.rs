//! The binary as a person runs it.

mod commands;
mod dev;
mod jobs;
mod provision;
mod schema;
mod webhooks;
