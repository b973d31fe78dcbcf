//! A clock that a test puts forward.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use shelfwise::kernel::clock::{Clock, SystemClock};
use uuid::Uuid;

/// The machine's clock, put forward by a while.
#[derive(Debug, Default)]
pub struct TestClock {
    ahead_ms: AtomicI64,
}

impl TestClock {
    /// Puts it forward.
    pub fn advance(&self, by: TimeDelta) {
        self.ahead_ms.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::milliseconds(self.ahead_ms.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        SystemClock.new_id()
    }

    fn secret(&self) -> [u8; 32] {
        SystemClock.secret()
    }
}
