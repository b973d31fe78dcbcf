//! What is refused of a call about an order, and in which words.

use crate::failure::Fact;
use crate::kernel::ids::OrderId;
use crate::tenant::orders::error::{OrderErrorCode, OrderRefusal};
use crate::tenant::orders::order::model::{Line, NewLine, Offer, Order, QUANTITY_MAX};
use crate::tenant::orders::status::OrderMove;

pub(super) fn order_not_found(id: OrderId) -> OrderRefusal {
    OrderRefusal::new(OrderErrorCode::OrderNotFound, format!("There is no order `{id}`."), &["id"])
}

/// Refuses a call that was made for another version.
pub(super) fn check_version(order: &Order, version: Option<i32>) -> Result<(), OrderRefusal> {
    if version.is_some_and(|version| version != order.version) {
        return Err(OrderRefusal::stale(OrderErrorCode::VersionConflict, order.version));
    }
    Ok(())
}

/// The refusal of a move that the machine does not have; it names those that it has.
pub(super) fn move_not_allowed(order: &Order, mv: OrderMove) -> OrderRefusal {
    let moves: Vec<String> = order.status().moves().map(|mv| mv.as_str().to_owned()).collect();
    let allowed = if moves.is_empty() { "nothing more".to_owned() } else { moves.join(", ") };
    let message = format!("An order that is {} cannot {}; it can: {allowed}.", order.status, mv.as_str());
    OrderRefusal::new(OrderErrorCode::MoveNotAllowed, message, &["id"]).with_fact(Fact::Moves(moves))
}

/// Refuses a quantity out of bounds and a book that is named twice.
pub(super) fn check_quantity(line: &NewLine, is_repeated: bool) -> Result<(), OrderRefusal> {
    let refuse = |message: String| Err(OrderRefusal::new(OrderErrorCode::QuantityInvalid, message, &["quantity"]));
    if is_repeated {
        return refuse(format!("The book `{}` is named twice.", line.book));
    }
    if !(1..=QUANTITY_MAX).contains(&line.quantity) {
        return refuse(format!("A line has 1 to {QUANTITY_MAX} copies."));
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
