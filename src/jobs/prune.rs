//! The job that deletes old jobs.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::handler::{Answer, Handler};
use super::model::{Job, JobState};
use super::queue::prune;
use super::runner::Periodic;
use crate::db::{ControlDb, ControlTx, DbError};

/// The kind.
const KIND: &str = "jobs.prune";

/// The pause between two.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// Deletes jobs that ended long ago, some at a time. Twice is safe: what is gone is gone.
pub struct Prune {
    /// Where the queue is.
    pub control: ControlDb,
    /// How long completed and cancelled jobs are kept.
    pub retention: Duration,
    /// How long dead letters are kept.
    pub dead_retention: Duration,
}

impl Prune {
    /// How often it is done.
    pub const PERIODIC: Periodic = Periodic { kind: KIND, every: EVERY };

    async fn prune(&self) -> Answer {
        let ages = [
            (JobState::Completed, self.retention),
            (JobState::Cancelled, self.retention),
            (JobState::Discarded, self.dead_retention),
        ];
        for (state, age) in ages {
            // Each round deletes a thousand rows, so it ends with them, or with this attempt's time; the next goes on.
            while self.control.write::<_, DbError>(async |tx: &mut ControlTx| prune(tx, state, age).await).await? {}
        }
        Ok(())
    }
}

impl Handler for Prune {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        self.prune().boxed()
    }
}
