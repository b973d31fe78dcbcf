//! Webhooks: the shop's events, sent to whoever asked for them, at least once and in order.
//!
//! ```text
//! journal                   the first event since the last look asks for `webhook.dispatch`, once a shop
//!   dispatch                wakes each endpoint that takes events: one job of `webhook.deliver` looks after it
//!     courier               round by round: what became of the last, what is next; sends between transactions
//!       deliveries          an event becomes one when its turn comes; the backlog of an outage is the events themselves
//!       breaker             when an endpoint is left alone, and when it is given up
//! operations                what the platform does to all endpoints of a shop
//! ```
//!
//! An endpoint has one job at most, named by its row and changed under its lock. Whatever it fails, however many events
//! there are, nothing of it waits in the queue that others wait in.

pub mod breaker;
pub mod courier;
pub mod deliveries;
pub mod dispatch;
pub mod endpoints;
pub mod error;
pub mod operations;
pub mod schedule;
pub mod signing;

pub use error::{WebhookError, WebhookErrorCode, WebhookRefusal};

/// The kind of the job that wakes the endpoints of a shop.
pub const DISPATCH: &str = "webhook.dispatch";

/// The kind of the job that looks after an endpoint.
pub const DELIVER: &str = "webhook.deliver";
