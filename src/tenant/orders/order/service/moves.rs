//! Moves of an order from one state to another.

use super::checks::{check_move, check_offer, check_refund_period, order_not_found};
use super::{Desk, facts, locked, total};
use crate::db::TenantTx;
use crate::kernel::actor::Permission;
use crate::kernel::ids::OrderId;
use crate::kernel::journal::Change;
use crate::kernel::news::{Fact, Topic};
use crate::kernel::settings::{CATALOG_STOCK_LOW, ORDERS_REFUND_DAYS, Settings};
use crate::tenant::events::{DomainEvent, OrderFacts, StockFacts, publish};
use crate::tenant::orders::error::{OrderError, OrderErrorCode, OrderRefusal};
use crate::tenant::orders::order::model::{Line, Offer, Order, StockMove};
use crate::tenant::orders::order::repo;
use crate::tenant::orders::payments::service::payment_release;
use crate::tenant::orders::status::{OrderMove, OrderStatus};

/// Why an order is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// The customer wants it no more.
    CustomerRequest,
    /// The order is not what it pretends to be.
    Fraud,
    /// What is ordered cannot be had.
    OutOfStock,
    /// Something else.
    Other,
}

impl CancelReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::CustomerRequest, Self::Fraud, Self::OutOfStock, Self::Other];

    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomerRequest => "customer_request",
            Self::Fraud => "fraud",
            Self::OutOfStock => "out_of_stock",
            Self::Other => "other",
        }
    }
}

/// Places a draft: reserves its copies and freezes its prices, all of it or nothing. Whoever is told of low stock is told.
///
/// # Errors
/// The order cannot be placed or is of another version, it is empty, or a reason for each line of which there are too few
/// copies or whose book is not for sale any more.
pub async fn order_place(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    settings: &Settings,
    target: (OrderId, Option<i32>),
) -> Result<Order, OrderError> {
    desk.actor.require(Permission::OrdersWrite)?;
    let (mut order, lines) = locked_with_books(tx, target, OrderMove::Place).await?;
    if lines.is_empty() {
        return Err(OrderError::refused(OrderErrorCode::OrderEmpty, "The order has no lines.", &["id"]));
    }
    let before = order.trail();
    let offers: Vec<(i32, Offer)> = lines.iter().map(|(line, offer)| (line.quantity, offer.clone())).collect();
    let lines = frozen(lines).map_err(OrderError::Refused)?;
    order.total_minor = total(&lines, &["id"])?;
    let now = desk.clock.now();
    (order.placed_at, order.updated_at) = (Some(now), now);
    order.status = OrderStatus::Placed.as_str().to_owned();
    let order = repo::order_update_placed(tx, &order, &lines).await?;
    tell_books(tx, &lines);
    tx.note(Change::changed(order.id, before, order.trail()));
    publish(tx, desk.clock, DomainEvent::OrderPlaced(order.id, facts(&order)));
    let low = settings.get(CATALOG_STOCK_LOW);
    for (quantity, offer) in offers {
        let stock = offer.stock - quantity;
        if i64::from(stock) < low && i64::from(offer.stock) >= low {
            publish(tx, desk.clock, DomainEvent::BookStockLow(offer.id, StockFacts { stock }));
        }
    }
    Ok(order)
}

/// Hands a paid order over: what was reserved is sold.
///
/// # Errors
/// The order is not paid, or of another version.
pub async fn order_fulfill(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    target: (OrderId, Option<i32>),
) -> Result<Order, OrderError> {
    desk.actor.require(Permission::OrdersWrite)?;
    let (mut order, lines) = locked_with_books(tx, target, OrderMove::Fulfill).await?;
    let before = order.clone();
    order.fulfilled_at = Some(desk.clock.now());
    let order = moved(tx, desk, order, OrderStatus::Fulfilled, Some((lines, StockMove::Sell))).await?;
    note(tx, desk, &before, &order, DomainEvent::OrderFulfilled);
    Ok(order)
}

/// Notes that an order has arrived.
///
/// # Errors
/// The order was not handed over, or is of another version.
pub async fn order_deliver(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    target: (OrderId, Option<i32>),
) -> Result<Order, OrderError> {
    desk.actor.require(Permission::OrdersWrite)?;
    let mut order = locked(tx, target, OrderMove::Deliver).await?;
    let before = order.clone();
    order.delivered_at = Some(desk.clock.now());
    let order = moved(tx, desk, order, OrderStatus::Delivered, None).await?;
    note(tx, desk, &before, &order, DomainEvent::OrderDelivered);
    Ok(order)
}

/// Gives an order up that is not paid: what was reserved is free again. A payment under way finds out at its next step, and
/// takes back what it did.
///
/// # Errors
/// The order is paid or at its end, or of another version.
pub async fn order_cancel(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    target: (OrderId, Option<i32>),
    reason: CancelReason,
) -> Result<Order, OrderError> {
    desk.actor.require(Permission::OrdersWrite)?;
    let (mut order, lines) = locked_with_books(tx, target, OrderMove::Cancel).await?;
    let before = order.clone();
    order.canceled_at = Some(desk.clock.now());
    order.cancel_reason = Some(reason.as_str().to_owned());
    let stock = (before.status() == OrderStatus::Placed).then_some((lines, StockMove::Release));
    let order = moved(tx, desk, order, OrderStatus::Canceled, stock).await?;
    payment_release(tx, desk.clock, order.id).await?;
    note(tx, desk, &before, &order, DomainEvent::OrderCanceled);
    Ok(order)
}

/// Pays an order back. What is still reserved is free again; what was handed over is in stock again where it came back.
///
/// # Errors
/// The order is not paid, of another version, or was handed over too long ago.
pub async fn order_refund(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    settings: &Settings,
    target: (OrderId, Option<i32>),
    is_returned: bool,
) -> Result<Order, OrderError> {
    desk.actor.require(Permission::OrdersRefund)?;
    let (mut order, lines) = locked_with_books(tx, target, OrderMove::Refund).await?;
    check_refund_period(&order, settings.get(ORDERS_REFUND_DAYS), desk.clock.now())?;
    let before = order.clone();
    order.refunded_at = Some(desk.clock.now());
    let stock = match before.status() {
        OrderStatus::Paid => Some((lines, StockMove::Release)),
        _ => is_returned.then_some((lines, StockMove::Return)),
    };
    let order = moved(tx, desk, order, OrderStatus::Refunded, stock).await?;
    note(tx, desk, &before, &order, DomainEvent::OrderRefunded);
    Ok(order)
}

type Lines = Vec<(Line, Offer)>;

/// An order from which a move is allowed, with its lines and their books, all locked until the transaction ends.
async fn locked_with_books(
    tx: &TenantTx,
    (id, version): (OrderId, Option<i32>),
    mv: OrderMove,
) -> Result<(Order, Lines), OrderError> {
    let (order, lines) = repo::order_lock_with_books(tx, id).await?.ok_or_else(|| order_not_found(id))?;
    check_move(&order, version, mv)?;
    Ok((order, lines))
}

/// Lines with the titles and prices of this moment, if every one can be promised.
fn frozen(lines: Lines) -> Result<Vec<Line>, Vec<OrderRefusal>> {
    let mut refusals = Vec::new();
    let mut frozen = Vec::with_capacity(lines.len());
    for (line, offer) in lines {
        match check_offer(&line, &offer) {
            Ok(unit_price_minor) => frozen.push(Line { title: offer.title, unit_price_minor, ..line }),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() { Ok(frozen) } else { Err(refusals) }
}

/// Writes an order in its next state, and moves copies.
async fn moved(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    mut order: Order,
    status: OrderStatus,
    stock: Option<(Lines, StockMove)>,
) -> Result<Order, OrderError> {
    order.status = status.as_str().to_owned();
    order.updated_at = desk.clock.now();
    Ok(match stock {
        Some((lines, mv)) => {
            let lines: Vec<Line> = lines.into_iter().map(|(line, _)| line).collect();
            tell_books(tx, &lines);
            repo::order_update_with_stock(tx, &order, &lines, mv).await?
        }
        None => repo::order_update(tx, &order).await?,
    })
}

/// Has it told that copies of books were moved, which the trail tells with the order.
fn tell_books(tx: &mut TenantTx, lines: &[Line]) {
    for topic in [Topic::Book, Topic::Stock] {
        lines.iter().for_each(|line| tx.tell(Fact::new(topic, line.book_id)));
    }
}

/// Notes a move, for the trail and as an event.
fn note(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    before: &Order,
    after: &Order,
    event: impl FnOnce(OrderId, OrderFacts) -> DomainEvent,
) {
    tx.note(Change::changed(after.id, before.trail(), after.trail()));
    publish(tx, desk.clock, event(after.id, facts(after)));
}
