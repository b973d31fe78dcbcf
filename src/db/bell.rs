//! A bell that says that there are jobs: heard at once in this process, and soon in all others.
//!
//! A NOTIFY within a transaction takes a lock of the whole cluster at its COMMIT. So who enqueues rings after the COMMIT,
//! and one task carries any number of rings as one NOTIFY. Nothing rests on it: workers look by themselves every second.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::sql_types::Text;
use tokio::sync::{Notify, watch};

use super::control::{ControlDb, ControlTx};
use super::error::DbError;

/// The channel on which workers hear.
pub const CHANNEL: &str = "shelfwise_jobs";

/// What is notified when jobs may be claimed.
const DUE: &str = "due";

/// What is notified when a running job was called off.
pub const CALLED_OFF: &str = "called_off";

/// The pause between two notifications.
const PAUSE: Duration = Duration::from_millis(20);

/// Says that there are jobs. Clones are the same bell.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Rope>);

#[derive(Debug, Default)]
struct Rope {
    /// Wakes the workers of this process: it counts what they are told.
    here: watch::Sender<u64>,
    /// Wakes who carries the sound to other processes.
    away: Notify,
    is_due: AtomicBool,
    is_called_off: AtomicBool,
    /// Wakes who looks after the claims of this process, likewise.
    claims: watch::Sender<u64>,
}

/// Hears a bell. What is said while nobody waits is heard by who waits next.
#[derive(Debug, Clone)]
pub struct Ear(watch::Receiver<u64>);

impl Ear {
    /// Waits until something is said.
    pub async fn heard(&mut self) {
        if self.0.changed().await.is_err() {
            // The bell is gone, and says nothing any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Bell {
    /// Says that a job was enqueued. To be called after the COMMIT.
    pub fn ring(&self) {
        self.0.is_due.store(true, Ordering::Release);
        self.0.away.notify_one();
        self.wake();
    }

    /// Says that a running job was called off. To be called after the COMMIT.
    pub fn call_off(&self) {
        self.0.is_called_off.store(true, Ordering::Release);
        self.0.away.notify_one();
        self.0.claims.send_modify(|said| *said += 1);
    }

    /// Wakes the workers of this process alone.
    pub fn wake(&self) {
        self.0.here.send_modify(|said| *said += 1);
    }

    /// Tells this process what another one has said.
    pub fn hear(&self, payload: &str) {
        if payload == CALLED_OFF { self.0.claims.send_modify(|said| *said += 1) } else { self.wake() }
    }

    /// Hears that there may be jobs.
    #[must_use]
    pub fn ear(&self) -> Ear {
        Ear(self.0.here.subscribe())
    }

    /// Hears that a claim may have been called off.
    #[must_use]
    pub fn ear_for_claims(&self) -> Ear {
        Ear(self.0.claims.subscribe())
    }

    /// Carries the sound to other processes for ever, once in a while for all that was said meanwhile. To be run as a
    /// task and aborted at shutdown.
    pub async fn carry(self, control: ControlDb) -> Infallible {
        loop {
            self.0.away.notified().await;
            for (said, payload) in [(&self.0.is_due, DUE), (&self.0.is_called_off, CALLED_OFF)] {
                if said.swap(false, Ordering::AcqRel)
                    && let Err(error) = notify(&control, payload).await
                {
                    tracing::debug!(%error, "Workers could not be woken; they look by themselves");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn notify(control: &ControlDb, payload: &'static str) -> Result<(), DbError> {
    let notify =
        diesel::sql_query("SELECT pg_catalog.pg_notify($1, $2)").bind::<Text, _>(CHANNEL).bind::<Text, _>(payload);
    control.write(async |tx: &mut ControlTx| tx.execute(notify).await.map(drop)).await
}
