//! The platform's administrators.

use crate::db::{ControlDb, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{AdminId, SessionId};
use std::sync::Arc;

/// Which administrators' log-ins stand.
#[derive(Clone)]
pub struct Admins {
    _control: ControlDb,
    _clock: Arc<dyn Clock>,
}

impl Admins {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(control: ControlDb, clock: Arc<dyn Clock>) -> Self {
        Self { _control: control, _clock: clock }
    }
    /// Whether it stands.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stands(&self, _admin: AdminId, _session: SessionId) -> Result<bool, DbError> {
        Ok(false)
    }
}
