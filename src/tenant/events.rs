//! What happens in a shop, typed: the one list of events, and which jobs react to each.
//!
//! A service publishes an event in the transaction that makes it true. To react to one, name the kind of a job in
//! [`reactions`]: the job is enqueued in the same transaction, with the event as its payload, and no service changes.

pub mod graphql;
pub mod model;
mod repo;
pub mod service;

use serde::Serialize;
use serde_json::Value;

use crate::db::TenantTx;
use crate::kernel::clock::Clock;
use crate::kernel::ids::{BookId, OrderId, PaymentId, WebhookEndpointId};
use crate::kernel::journal::Event;
use crate::tenant::deprecations::service::Announcement;

/// Something that has happened. Ids and numbers, nothing personal: who may see more reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum DomainEvent {
    /// A part of the API goes away that the shop uses.
    ApiDeprecationUpcoming(Announcement),
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
    /// Nothing is sent to an endpoint any more, because it failed.
    WebhookEndpointSuspended(WebhookEndpointId, EndpointFacts),
    /// Nothing is sent to an endpoint any more, because it said that it is gone.
    WebhookEndpointDisabled(WebhookEndpointId, EndpointFacts),
}

/// What events are called, what an endpoint may ask for, and when each happens.
pub const KINDS: [(&str, &str); 12] = [
    ("api.deprecation_upcoming", "A part of the API goes away that the shop uses: 90, 30 or 7 days from now."),
    ("book.stock_low", "Few copies of a book are left."),
    ("order.canceled", "An order was given up."),
    ("order.created", "An order was entered."),
    ("order.delivered", "An order has arrived."),
    ("order.fulfilled", "An order was handed over."),
    ("order.paid", "An order was paid for."),
    ("order.placed", "An order was placed: its copies are reserved and its prices frozen."),
    ("order.refunded", "An order is to be paid back."),
    ("payment.failed", "A payment did not come about."),
    ("webhook_endpoint.disabled", "Nothing is sent to an endpoint any more, because it said that it is gone."),
    ("webhook_endpoint.suspended", "Nothing is sent to an endpoint any more, because it failed."),
];

/// Whether an event is called so.
#[must_use]
pub fn is_kind(name: &str) -> bool {
    KINDS.iter().any(|(kind, _)| *kind == name)
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
    /// The reason why the payment failed.
    pub reason: String,
}

/// What is told of a book's copies.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StockFacts {
    /// Copies that are left.
    pub stock: i32,
}

/// What is told of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointFacts {
    /// Its host.
    pub url: String,
    /// Why nothing is sent to it.
    pub reason: String,
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
        "webhook_endpoint.suspended" | "webhook_endpoint.disabled" => &["mail.webhook_suspended"],
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
            Self::ApiDeprecationUpcoming(facts) => ("api.deprecation_upcoming", facts.part.clone(), data(facts)),
            Self::OrderCreated(id, facts) => order("order.created", id, facts),
            Self::OrderPlaced(id, facts) => order("order.placed", id, facts),
            Self::OrderPaid(id, facts) => order("order.paid", id, facts),
            Self::OrderFulfilled(id, facts) => order("order.fulfilled", id, facts),
            Self::OrderDelivered(id, facts) => order("order.delivered", id, facts),
            Self::OrderCanceled(id, facts) => order("order.canceled", id, facts),
            Self::OrderRefunded(id, facts) => order("order.refunded", id, facts),
            Self::PaymentFailed(id, facts) => ("payment.failed", id.to_string(), data(facts)),
            Self::BookStockLow(id, facts) => ("book.stock_low", id.to_string(), data(facts)),
            Self::WebhookEndpointSuspended(id, facts) => ("webhook_endpoint.suspended", id.to_string(), data(facts)),
            Self::WebhookEndpointDisabled(id, facts) => ("webhook_endpoint.disabled", id.to_string(), data(facts)),
        }
    }
}

/// Facts as JSON: they are plain structs, which JSON has room for.
fn data(facts: impl Serialize) -> Value {
    serde_json::to_value(facts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_listed() {
        let id = uuid::Uuid::nil();
        let facts = OrderFacts { number: 1, total_minor: 1, currency: "EUR".to_owned() };
        let endpoint = EndpointFacts { url: "a.example".to_owned(), reason: "x".to_owned() };
        let payment = PaymentFacts { order_id: "order_1".to_owned(), reason: "x".to_owned() };
        let day = chrono::NaiveDate::default();
        let announcement = Announcement {
            part: "Order.total".to_owned(),
            instead: "totalPrice".to_owned(),
            deprecated_on: day,
            removal_on: day,
            days_left: 90,
            operation_count: 1,
            last_used_at: chrono::DateTime::UNIX_EPOCH,
            operation_names: Vec::new(),
        };
        let all = [
            DomainEvent::ApiDeprecationUpcoming(announcement),
            DomainEvent::OrderCreated(id.into(), facts.clone()),
            DomainEvent::OrderPlaced(id.into(), facts.clone()),
            DomainEvent::OrderPaid(id.into(), facts.clone()),
            DomainEvent::OrderFulfilled(id.into(), facts.clone()),
            DomainEvent::OrderDelivered(id.into(), facts.clone()),
            DomainEvent::OrderCanceled(id.into(), facts.clone()),
            DomainEvent::OrderRefunded(id.into(), facts),
            DomainEvent::PaymentFailed(id.into(), payment),
            DomainEvent::BookStockLow(id.into(), StockFacts { stock: 1 }),
            DomainEvent::WebhookEndpointSuspended(id.into(), endpoint.clone()),
            DomainEvent::WebhookEndpointDisabled(id.into(), endpoint),
        ];
        let mut names = all.map(|event| event.parts().0);
        names.sort_unstable();
        assert_eq!(names, KINDS.map(|(kind, _)| kind));
    }
}
