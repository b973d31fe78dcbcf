//! Which administrators' log-ins stand right now: asked of the tables, remembered for less than a second.
//!
//! This is what "within a second everywhere" rests on: a log-in that is ended and an account that is disabled count on
//! every replica as soon as it has forgotten. Nothing has to be notified.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::sessions::service::session_stands;
use crate::db::{ControlDb, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{AdminId, SessionId};

/// How long an answer is trusted.
const TRUST: Duration = Duration::from_millis(900);

/// Answers that are remembered, refusals among them. Only tokens that we signed are asked about.
const KNOWN_MAX: u64 = 1_000;

/// Which administrators' log-ins stand.
#[derive(Clone)]
pub struct Admins {
    control: ControlDb,
    clock: Arc<dyn Clock>,
    known: Cache<(AdminId, SessionId), bool>,
}

impl Admins {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(control: ControlDb, clock: Arc<dyn Clock>) -> Self {
        Self { control, clock, known: Cache::builder().max_capacity(KNOWN_MAX).time_to_live(TRUST).build() }
    }

    /// Whether an administrator who can log in has this log-in, and it has neither ended nor been ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stands(&self, admin: AdminId, session: SessionId) -> Result<bool, DbError> {
        // One after the other for each log-in: who waited finds what the first one read.
        let read = async { session_stands(&self.control, admin, session, self.clock.now()).await };
        self.known.try_get_with((admin, session), read).await.map_err(|error| (*error).clone())
    }
}
