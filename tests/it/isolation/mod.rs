//! What one shop does is nothing to another, whatever happens in between.

mod cancellation;
pub mod chance;
mod fire;
mod probe;
mod reuse;
mod walk;
mod wall;
