//! What the process tells of itself: logs, traces and metrics.

pub mod admission;
pub mod backends;
pub mod cache;
pub mod families;
pub mod frames;
pub mod jobs;
mod lines;
pub mod live;
pub mod logs;
pub mod metrics;
pub mod migrations;
pub mod operations;
pub mod process;
pub mod runtime;
pub mod traces;
pub mod webhooks;
