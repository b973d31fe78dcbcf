//! What happens in a shop, typed: the one list of events, and which jobs react to each.
//!
//! A service publishes an event in the transaction that makes it true. To react to one, name the kind of a job in
//! [`reactions`]: the job is enqueued in the same transaction, with the event as its payload, and no service changes.

mod repo;
pub mod service;

use serde::Serialize;
use serde_json::Value;

use crate::db::TenantTx;
use crate::kernel::clock::Clock;
use crate::kernel::ids::{BookId, OrderId, PaymentId};
use crate::kernel::journal::Event;

/// Something that has happened. Ids and numbers, nothing personal: who may see more reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum DomainEvent {
    /// An order was entered.
    OrderCreated(OrderId, OrderFacts),
    /// An order was placed: its copies are reserved and its prices frozen.
    OrderPlaced(OrderId, OrderFacts),
    /// An order was paid for.
    OrderPaid(OrderId, OrderFacts),
    /// An order was handed over.
    OrderFulfilled(OrderId, OrderFacts),
    /// An order has arrived.
    OrderDelivered(OrderId, OrderFacts),
    /// An order was given up.
    OrderCanceled(OrderId, OrderFacts),
    /// An order is to be paid back.
    OrderRefunded(OrderId, OrderFacts),
    /// A payment did not come about.
    PaymentFailed(PaymentId, PaymentFacts),
    /// Few copies of a book are left.
    BookStockLow(BookId, StockFacts),
}

/// What is told of an order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderFacts {
    /// What people call it.
    pub number: i64,
    /// The total in minor units.
    pub total_minor: i64,
    /// The currency.
    pub currency: String,
}

/// What is told of a payment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentFacts {
    /// The order that it was for.
    pub order_id: String,
    /// Why it failed.
    pub reason: String,
}

/// What is told of a book's copies.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StockFacts {
    /// Copies that are left.
    pub stock: i32,
}

/// The version of every event's data: it goes up when a field changes its meaning or goes away.
const VERSION: i16 = 1;

/// Notes that something has happened; it is written down with the change, or not at all.
pub fn publish(tx: &mut TenantTx, clock: &dyn Clock, event: DomainEvent) {
    let (kind, entity, data) = event.parts();
    tx.publish(Event { id: clock.new_id(), kind, version: VERSION, entity, data });
}

/// The kinds of the jobs that react to an event. Each is enqueued with [`payload`].
#[must_use]
pub fn reactions(kind: &str) -> &'static [&'static str] {
    match kind {
        "order.refunded" => &["payment.refund"],
        _ => &[],
    }
}

/// The payload of a job that reacts to an event.
#[must_use]
pub fn payload(event: &Event) -> Value {
    serde_json::json!({
        "event": event.id,
        "kind": event.kind,
        "version": event.version,
        "entity": event.entity,
        "data": event.data,
    })
}

impl DomainEvent {
    /// The event's name, the entity's id, and what is told.
    fn parts(self) -> (&'static str, String, Value) {
        let order = |kind, id: OrderId, facts: OrderFacts| (kind, id.to_string(), data(facts));
        match self {
            Self::OrderCreated(id, facts) => order("order.created", id, facts),
            Self::OrderPlaced(id, facts) => order("order.placed", id, facts),
            Self::OrderPaid(id, facts) => order("order.paid", id, facts),
            Self::OrderFulfilled(id, facts) => order("order.fulfilled", id, facts),
            Self::OrderDelivered(id, facts) => order("order.delivered", id, facts),
            Self::OrderCanceled(id, facts) => order("order.canceled", id, facts),
            Self::OrderRefunded(id, facts) => order("order.refunded", id, facts),
            Self::PaymentFailed(id, facts) => ("payment.failed", id.to_string(), data(facts)),
            Self::BookStockLow(id, facts) => ("book.stock_low", id.to_string(), data(facts)),
        }
    }
}

/// Facts as JSON: they are plain structs, which JSON has room for.
fn data(facts: impl Serialize) -> Value {
    serde_json::to_value(facts).unwrap_or_default()
}
