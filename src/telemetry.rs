//! What the process tells of itself: logs, traces and metrics.

pub mod admission;
pub mod cache;
pub mod frames;
pub mod jobs;
mod lines;
pub mod live;
pub mod logs;
pub mod metrics;
pub mod traces;
pub mod webhooks;
