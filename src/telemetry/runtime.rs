//! What the asynchronous runtime tells of itself, read when somebody asks.

use prometheus::IntGauge;
use tokio::runtime::Handle;

use super::families::Families;

/// The families of the runtime.
pub struct RuntimeMetrics {
    workers: IntGauge,
    tasks: IntGauge,
    queue_depth: IntGauge,
}

impl RuntimeMetrics {
    /// Fresh families, registered.
    ///
    /// # Errors
    /// Two families have one name, which is a defect.
    pub fn new(families: &mut Families) -> Result<Self, prometheus::Error> {
        Ok(Self {
            workers: families.gauge("shelfwise_tokio_workers", "Threads that run tasks.")?,
            tasks: families.gauge("shelfwise_tokio_tasks", "Tasks that have not ended.")?,
            queue_depth: families.gauge(
                "shelfwise_tokio_queue_depth",
                "Tasks in the queue that all threads share; those that wait for one thread are not among them.",
            )?,
        })
    }

    /// Reads anew, of the runtime that this runs in.
    pub fn read(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let (metrics, count) = (runtime.metrics(), |count: usize| i64::try_from(count).unwrap_or(i64::MAX));
        self.workers.set(count(metrics.num_workers()));
        self.tasks.set(count(metrics.num_alive_tasks()));
        self.queue_depth.set(count(metrics.global_queue_depth()));
    }
}
