//! What the process tells of itself: logs and metrics.

pub mod admission;
pub mod cache;
pub mod jobs;
pub mod live;
pub mod logs;
pub mod metrics;
pub mod webhooks;
