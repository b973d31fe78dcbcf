//! An endpoint that is not well, as operators see it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::kernel::ids::WebhookEndpointId;

/// A row of the book, with its tenant's slug.
#[derive(Debug, Clone, Queryable)]
pub struct Trouble {
    /// The tenant.
    pub tenant: String,
    /// The endpoint.
    #[diesel(deserialize_as = Uuid)]
    pub endpoint: WebhookEndpointId,
    /// What it is like: `open`, `half_open` or `suspended`.
    pub state: String,
    /// Events and deliveries that waited for it when it was last looked at, up to 10,000.
    pub backlog: i64,
    /// Since when it is not well.
    pub since: DateTime<Utc>,
    /// When it was last looked at.
    pub updated_at: DateTime<Utc>,
}

/// A place in the list of them, which is ordered by time.
pub type TroubleKey = (DateTime<Utc>, Uuid);
