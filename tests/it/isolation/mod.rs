//! What one shop does is nothing to another, whatever happens in between.

mod cancellation;
mod fire;
mod probe;
pub mod reuse;
mod walk;
mod wall;
