//! The shop's people. Log-in, invitations and API keys build on this.

pub mod model;
mod repo;
pub mod service;
