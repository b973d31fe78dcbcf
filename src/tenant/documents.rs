//! Trusted documents: the operations that a shop's frontends are known to send, by the hash of their text.

mod repo;
pub mod service;
