//! What every worker does for the whole queue once in a while. Several that do it at once do not hinder each other.

use std::convert::Infallible;

use tokio::time::sleep;

use super::queue::{Ending, Periodical, Verdict, finish, periodic_enqueue, promote, rescue_list};
use super::runner::Core;
use crate::db::{ControlTx, DbError};

/// What an attempt is said to have died of when its worker was not heard of any more.
const LOST: &str = "the worker was not heard of for a whole lease";

/// Tends the queue for as long as the worker runs.
pub(super) async fn tend(core: &Core) -> Infallible {
    loop {
        match tend_once(core).await {
            Ok(0) => {}
            // Other workers know some kinds that this one does not.
            Ok(_) => core.runner.bell.ring(),
            Err(error) => tracing::warn!(%error, "The queue could not be tended"),
        }
        sleep(core.runner.pace.poll).await;
    }
}

/// Makes due jobs available, takes back claims of workers that are gone, enqueues periodic jobs; answers how many jobs
/// can be claimed by that.
async fn tend_once(core: &Core) -> Result<usize, DbError> {
    let runner = &core.runner;
    let work = async |tx: &mut ControlTx| {
        let verdicts: Vec<Verdict> = rescue_list(tx)
            .await?
            .into_iter()
            .map(|expired| {
                let is_last = expired.attempt >= expired.attempts_max;
                let ending = if is_last {
                    Ending::Discarded(LOST.to_owned())
                } else {
                    Ending::Retry(core.wait_after(expired.attempt), LOST.to_owned())
                };
                runner.metrics.attempts.with_label_values(&[expired.kind.as_str(), "rescued"]).inc();
                tracing::warn!(job.id = %expired.claimed().id, job.kind = expired.kind, "Rescued a job");
                Verdict { claimed: expired.claimed(), ending }
            })
            .collect();
        if !verdicts.is_empty() {
            finish(tx, &verdicts).await?;
        }
        let periodical = |periodic: &super::Periodic| Periodical {
            id: runner.clock.new_id(),
            kind: periodic.kind,
            every: periodic.every,
        };
        let jobs: Vec<Periodical> = runner.periodic.iter().map(periodical).collect();
        let enqueued = if jobs.is_empty() { 0 } else { periodic_enqueue(tx, jobs).await? };
        Ok(enqueued + promote(tx).await?)
    };
    runner.control.write(work).await
}
