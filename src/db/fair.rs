//! Admission to a pool: who borrows next, who waits, and who had better come later.
//!
//! [`Schedule`] decides; here waiters wait. Whoever stops waiting, at whatever moment, leaves the queue, and a connection that
//! was just given to them goes to the next.

mod mean;
mod schedule;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use schedule::{Asked, Loan, Schedule, Turn};
pub use schedule::{Borrower, Reason, Rules, Shed};

use crate::kernel::ids::TenantId;

/// What a reason is called in metrics.
pub(super) fn label(reason: Reason) -> &'static str {
    match reason {
        Reason::QueueFull => "queue_full",
        Reason::TenantQueueFull => "tenant_queue_full",
        Reason::TooLong => "too_long",
        Reason::WaitedOut => "waited_out",
    }
}

/// As many permits as connections, shared out fairly between tenants.
#[derive(Clone)]
pub(super) struct Admission(Arc<Desk>);

struct Desk {
    schedule: Mutex<Schedule<oneshot::Sender<Permit>>>,
    patience: Duration,
}

/// The right to one connection; dropped, it goes to whose turn it is.
pub(super) struct Permit {
    desk: Arc<Desk>,
    /// Present until the drop.
    loan: Option<Loan>,
}

/// Somebody who waits; dropped, they do not any more.
struct Waiting<'a> {
    desk: &'a Arc<Desk>,
    tenant: Option<TenantId>,
    ticket: u64,
}

/// What a pool's admission is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AdmissionState {
    pub(super) free: u32,
    pub(super) waiting: usize,
    pub(super) tenants_waiting: usize,
}

impl Admission {
    /// All permits are free.
    pub(super) fn new(rules: Rules) -> Self {
        Self(Arc::new(Desk { schedule: Mutex::new(Schedule::new(rules)), patience: rules.patience }))
    }

    /// A permit, when its turn comes. Others of the same tenant who asked before get theirs before.
    ///
    /// May be given up at any time: nothing is lost.
    ///
    /// # Errors
    /// Too many wait already, the wait would be too long, or it was.
    pub(super) async fn acquire(&self, borrower: Borrower) -> Result<Permit, Shed> {
        let desk = &self.0;
        let mut turn = None;
        let asked = desk.schedule().ask(Instant::now(), borrower, || {
            let (give, get) = oneshot::channel();
            turn = Some(get);
            give
        });
        let (ticket, turn) = match (asked, turn) {
            (Asked::Lent(loan), _) => return Ok(desk.permit(loan)),
            (Asked::Shed(shed), _) => return Err(shed),
            (Asked::Waits(ticket), Some(turn)) => (ticket, turn),
            (Asked::Waits(_), None) => unreachable!("who waits was made a waiter"),
        };
        let waiting = Waiting { desk, tenant: borrower.tenant, ticket };
        match tokio::time::timeout(desk.patience, turn).await {
            Ok(Ok(permit)) => {
                waiting.end();
                Ok(permit)
            }
            // A permit that comes at the last moment was dropped with `turn`, and so went on to the next.
            _ => Err(Shed { reason: Reason::WaitedOut, retry_after: desk.patience }),
        }
    }

    /// The state, for metrics.
    pub(super) fn state(&self) -> AdmissionState {
        let schedule = self.0.schedule();
        AdmissionState {
            free: schedule.free(),
            waiting: schedule.waiting(),
            tenants_waiting: schedule.tenants_waiting(),
        }
    }
}

impl Desk {
    fn schedule(&self) -> MutexGuard<'_, Schedule<oneshot::Sender<Permit>>> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(self: &Arc<Self>, loan: Loan) -> Permit {
        Permit { desk: Arc::clone(self), loan: Some(loan) }
    }

    /// Changes the schedule and hands out what has become free, before anybody else can ask for it.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Schedule<oneshot::Sender<Permit>>)) {
        let mut turns = self.turns_after(change);
        // Ends: each round takes somebody out of the queue.
        while let Some(Turn { waiter, loan }) = turns.pop() {
            if let Err(mut refused) = waiter.send(self.permit(loan))
                && let Some(loan) = refused.loan.take()
            {
                // Who was about to get it has just left.
                turns.extend(self.turns_after(|schedule| schedule.give_back(Instant::now(), &loan)));
            }
        }
    }

    /// Those whose turn it is after a change.
    fn turns_after(
        &self,
        change: impl FnOnce(&mut Schedule<oneshot::Sender<Permit>>),
    ) -> Vec<Turn<oneshot::Sender<Permit>>> {
        let mut schedule = self.schedule();
        change(&mut schedule);
        let now = Instant::now();
        std::iter::from_fn(|| schedule.next(now)).collect()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(loan) = self.loan.take() {
            self.desk.change(|schedule| schedule.give_back(Instant::now(), &loan));
        }
    }
}

impl Waiting<'_> {
    /// The turn has come: there is no queue to leave.
    fn end(self) {
        std::mem::forget(self);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.desk.change(|schedule| schedule.leave(self.tenant, self.ticket));
    }
}
