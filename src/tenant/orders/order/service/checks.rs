//! What is refused of a call about an order, and in which words.

use chrono::{DateTime, TimeDelta, Utc};

use crate::failure::Fact;
use crate::kernel::ids::OrderId;
use crate::tenant::orders::error::{OrderErrorCode, OrderRefusal};
use crate::tenant::orders::order::model::{Line, NewLine, Offer, Order};
use crate::tenant::orders::status::OrderMove;

pub(super) fn order_not_found(id: OrderId) -> OrderRefusal {
    OrderRefusal::new(OrderErrorCode::OrderNotFound, format!("There is no order `{id}`."), &["id"])
}

/// Refuses a call that was made for another version, and a move that the order's state does not have.
pub(super) fn check_move(order: &Order, version: Option<i32>, mv: OrderMove) -> Result<(), OrderRefusal> {
    if version.is_some_and(|version| version != order.version) {
        return Err(OrderRefusal::stale(OrderErrorCode::VersionConflict, order.version));
    }
    if order.status().after(mv).is_none() {
        return Err(move_not_allowed(order, mv));
    }
    Ok(())
}

/// The refusal of a move that the machine does not have; it names those that it has.
fn move_not_allowed(order: &Order, mv: OrderMove) -> OrderRefusal {
    let moves: Vec<String> = order.status().moves().map(|mv| mv.as_str().to_owned()).collect();
    let allowed = if moves.is_empty() { "nothing more".to_owned() } else { moves.join(", ") };
    let message = format!("An order that is {} cannot {}; it can: {allowed}.", order.status, mv.as_str());
    OrderRefusal::new(OrderErrorCode::MoveNotAllowed, message, &["id"]).with_fact(Fact::Moves(moves))
}

/// Refuses to pay an order back that was handed over more days ago than the shop allows.
pub(super) fn check_refund_period(order: &Order, days: Option<i64>, now: DateTime<Utc>) -> Result<(), OrderRefusal> {
    let (Some(handed_over), Some(days)) = (order.fulfilled_at, days) else { return Ok(()) };
    if now - handed_over > TimeDelta::days(days) {
        let message = format!("The order was handed over more than {days} days ago; the shop pays back no longer.");
        return Err(OrderRefusal::new(OrderErrorCode::RefundPeriodOver, message, &["id"]).passing());
    }
    Ok(())
}

/// Refuses a quantity out of bounds and a book that is named twice.
pub(super) fn check_quantity(line: &NewLine, is_repeated: bool, quantity_max: i64) -> Result<(), OrderRefusal> {
    let refuse = |message: String| Err(OrderRefusal::new(OrderErrorCode::QuantityInvalid, message, &["quantity"]));
    if is_repeated {
        return refuse(format!("The book `{}` is named twice.", line.book));
    }
    if !(1..=quantity_max).contains(&line.quantity.into()) {
        return refuse(format!("A line has 1 to {quantity_max} copies."));
    }
    Ok(())
}

/// Why a line cannot be promised: the book is not for sale any more, or there are too few copies.
pub(super) fn check_offer(line: &Line, offer: &Offer) -> Result<i64, OrderRefusal> {
    let Some(price) = offer.price() else {
        let message = format!("`{}` is not for sale any more.", offer.title);
        let refusal = OrderRefusal::new(OrderErrorCode::BookNotForSale, message, &["id"]);
        return Err(refusal.with_fact(Fact::Stock(offer.id.to_string(), 0)));
    };
    if offer.stock < line.quantity {
        let message = format!("Of `{}` {} are left, and {} are ordered.", offer.title, offer.stock, line.quantity);
        let refusal = OrderRefusal::new(OrderErrorCode::InsufficientStock, message, &["id"]);
        return Err(refusal.with_fact(Fact::Stock(offer.id.to_string(), offer.stock)));
    }
    Ok(price)
}
