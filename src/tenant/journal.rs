//! The door through which a shop is changed: what is written beside a change is written here, in its transaction.
//!
//! Services note what became of an entity and what has happened. When their work is done, the trail's entry and the
//! events are written by one statement, which locks `tenant_head` for their numbers: last of all, because that lock is
//! held until the COMMIT and so makes the order of numbers the order of commits. A reader that goes by them misses nobody.

pub mod act;
mod repo;
pub mod service;

pub use act::Act;
