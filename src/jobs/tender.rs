//! What every worker does for the whole queue once in a while. Several that do it at once do not hinder each other.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::queue::{Ending, Periodical, Verdict, depth, finish, periodic_enqueue, promote, rescue_list};
use super::runner::Core;
use crate::db::{ControlTx, DbError};

/// What an attempt is said to have died of when its worker was not heard of any more.
const LOST: &str = "the worker was not heard of for a whole lease";

/// The pause between two counts of the queue for the metrics.
const COUNT_PAUSE: Duration = Duration::from_secs(10);

/// Tends the queue for as long as the worker runs.
pub(super) async fn tend(core: &Core) -> Infallible {
    let mut counted_at: Option<Instant> = None;
    loop {
        match tend_once(core).await {
            Ok(0) => {}
            // Other workers know some kinds that this one does not.
            Ok(_) => core.runner.bell.ring(),
            Err(error) => tracing::warn!(%error, "The queue could not be tended"),
        }
        if counted_at.is_none_or(|at| at.elapsed() >= COUNT_PAUSE) {
            counted_at = Some(Instant::now());
            count(core).await;
        }
        sleep(core.runner.pace.poll).await;
    }
}

/// Counts the queue for the metrics.
async fn count(core: &Core) {
    let metrics = &core.runner.metrics;
    match depth(&core.runner.control).await {
        Ok(states) => {
            let due = |(state, _, overdue): &(String, i64, Option<f64>)| overdue.filter(|_| state == "available");
            metrics.oldest_due.set(states.iter().find_map(due).unwrap_or(0.0).max(0.0));
            for (state, count, _) in states {
                metrics.depth.with_label_values(&[state]).set(count);
            }
        }
        Err(error) => tracing::debug!(%error, "The queue could not be counted"),
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
