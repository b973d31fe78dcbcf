//! - `WEBHOOK_SLOTS` (64): endpoints that a worker sends to at a time.
//! - `WEBHOOK_TIMEOUT_SECONDS` (15): how long an endpoint may take to answer, at most 30.
//! - `WEBHOOK_DRAIN_PER_SECOND` (50): deliveries a second to one endpoint while its backlog is drained.

use std::time::Duration;

use super::Reader;

/// An endpoint may take no longer, whatever is set.
const TIMEOUT_SECONDS_MAX: u16 = 30;

/// How webhooks are sent.
#[derive(Debug, Clone, Copy)]
pub struct WebhooksConfig {
    /// Endpoints that a worker sends to at a time.
    pub slots: u16,
    /// How long an endpoint may take to answer.
    pub timeout: Duration,
    /// Deliveries a second to one endpoint while its backlog is drained.
    pub drain_per_second: u32,
}

impl WebhooksConfig {
    /// Reads the variables of this file.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let seconds: u16 = reader.at_least_one("WEBHOOK_TIMEOUT_SECONDS", 15);
        if seconds > TIMEOUT_SECONDS_MAX {
            reader.problem("WEBHOOK_TIMEOUT_SECONDS", "must be at most 30");
        }
        Self {
            slots: reader.at_least_one("WEBHOOK_SLOTS", 64),
            timeout: Duration::from_secs(seconds.into()),
            drain_per_second: reader.at_least_one::<u16>("WEBHOOK_DRAIN_PER_SECOND", 50).into(),
        }
    }
}
