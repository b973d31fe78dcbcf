//! Mailed links: invitations and password resets. A link's token is good once, and for a time.

pub(in crate::tenant::identity) mod repo;
pub mod service;
