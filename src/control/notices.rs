//! What the platform's operators are told of: a row for each event, written with it, and told together once in a while.
//!
//! A notice is written in the transaction of what it tells of, so there is neither without the other. It is told at least
//! once. It says ids, names of shops and numbers, and nothing of people.

pub mod model;
mod repo;
pub mod service;

pub use service::notice_insert;
