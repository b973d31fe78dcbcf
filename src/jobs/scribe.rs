//! Writes down how attempts ended, and prolongs the claims of those under way.
//!
//! One after the other: both change the rows of the same jobs, in no certain order, and would wait for each other.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use super::queue::{Claimed, Verdict, beat, finish};
use super::runner::{Core, Ended};
use crate::db::{ControlTx, DbError};

/// Endings that one statement writes at most.
const BATCH: usize = 500;

/// The pause before endings that could not be written are tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How long the last endings are tried to be written after the last job has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Writes until the last job has ended. While one batch is being written the next one gathers.
pub(super) async fn write_down(core: &Core, mut endings: mpsc::UnboundedReceiver<Ended>) {
    let mut beats = interval(core.runner.pace.heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    let mut called_off = core.runner.bell.ear_for_claims();
    loop {
        tokio::select! {
            count = endings.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
                while !write(core, &mut batch).await {
                    // Only while the database is away. Claims are given up then when their leases end.
                    if endings.is_closed() && endings.is_empty() {
                        let last = async { while !write(core, &mut batch).await { sleep(RETRY_PAUSE).await } };
                        if timeout(LAST_WORDS, last).await.is_err() {
                            tracing::warn!(jobs.count = batch.len(), "Endings of jobs could not be written");
                        }
                        return;
                    }
                    sleep(RETRY_PAUSE).await;
                    prolong(core).await;
                }
            }
            _ = beats.tick() => prolong(core).await,
            () = called_off.heard() => prolong(core).await,
        }
    }
}

/// Writes a batch and empties it; answers false where that failed.
async fn write(core: &Core, batch: &mut Vec<Ended>) -> bool {
    if batch.is_empty() {
        return true;
    }
    let verdicts: Vec<Verdict> = batch.iter().map(|ended| ended.verdict.clone()).collect();
    let work = core.runner.control.write(async |tx: &mut ControlTx| finish(tx, &verdicts).await);
    let written: HashSet<Uuid> = match timeout(core.runner.pace.heartbeat, work).await {
        Ok(Ok(written)) => written.into_iter().collect(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "Endings of jobs could not be written yet");
            return false;
        }
        Err(_) => {
            tracing::warn!("Endings of jobs could not be written in time");
            return false;
        }
    };
    for Ended { verdict, kind, duration } in batch.drain(..) {
        core.let_go(verdict.claimed);
        let outcome = if written.contains(&verdict.claimed.id) { verdict.ending.outcome() } else { "lost" };
        core.runner.metrics.attempts.with_label_values(&[kind.as_str(), outcome]).inc();
        core.runner.metrics.duration.with_label_values(&[kind.as_str()]).observe(duration.as_secs_f64());
    }
    core.freed.notify_one();
    true
}

/// Prolongs all claims, and lets go of those that are lost.
async fn prolong(core: &Core) {
    let claims = core.claims();
    if claims.is_empty() {
        return;
    }
    let asked_at = Instant::now();
    let pace = &core.runner.pace;
    let work = core.runner.control.write(async |tx: &mut ControlTx| beat(tx, &claims, pace.lease).await);
    let lost: Vec<Claimed> = match timeout(pace.heartbeat, work).await {
        Ok(Ok(held)) => {
            core.proven(&held, asked_at);
            let held: HashSet<Uuid> = held.into_iter().collect();
            claims.into_iter().filter(|claimed| !held.contains(&claimed.id)).collect()
        }
        Ok(Err(error)) => outlived(core, &error),
        Err(_) => outlived(core, &DbError::Busy),
    };
    for claimed in lost {
        core.let_go(claimed);
    }
}

/// The claims that cannot be told to hold any more after a heartbeat failed.
fn outlived(core: &Core, error: &DbError) -> Vec<Claimed> {
    tracing::warn!(%error, "A heartbeat failed");
    core.outlived()
}
