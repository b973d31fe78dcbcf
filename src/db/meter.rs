//! Counts what one operation asks of PostgreSQL.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Statements and round trips of one operation.
///
/// A statement's trip is one later than the latest whose answer was there when it was sent: siblings that travel
/// together share one. Openings and closings that nobody waits for are part of the statement they travel with.
#[derive(Debug, Default)]
pub struct Meter {
    statements: AtomicU32,
    /// Trips whose answers have come.
    answered: AtomicU32,
    round_trips: AtomicU32,
    abandoned: AtomicBool,
}

/// A statement on its way. Dropped before [`InFlight::arrived`], it was abandoned: the server may still be at it.
pub struct InFlight<'a> {
    meter: &'a Meter,
    trip: u32,
}

impl Meter {
    /// Counts a statement as sent.
    pub fn send(&self) -> InFlight<'_> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.wait()
    }

    /// Counts a wait for the server that is no statement: an awaited BEGIN or COMMIT.
    pub fn wait(&self) -> InFlight<'_> {
        let trip = self.answered.load(Ordering::Relaxed) + 1;
        self.round_trips.fetch_max(trip, Ordering::Relaxed);
        InFlight { meter: self, trip }
    }

    /// Begins anew: what was asked so far was not the operation's.
    pub fn reset(&self) {
        for counter in [&self.statements, &self.answered, &self.round_trips] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Statements sent so far.
    pub fn statements(&self) -> u32 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Round trips so far.
    pub fn round_trips(&self) -> u32 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// Whether somebody stopped waiting for a statement: its connection cannot be handed on as it is.
    pub fn has_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }
}

impl InFlight<'_> {
    /// The answer has come, be it an error.
    pub fn arrived(self) {
        self.meter.answered.fetch_max(self.trip, Ordering::Relaxed);
        std::mem::forget(self);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.meter.abandoned.store(true, Ordering::Relaxed);
    }
}
