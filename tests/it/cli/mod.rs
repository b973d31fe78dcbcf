//! The binary as a person runs it.

pub mod commands;
mod dev;
