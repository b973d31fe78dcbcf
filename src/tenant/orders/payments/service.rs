//! Decisions about payments that people make.

use serde_json::json;

use super::repo;
use crate::db::TenantTx;
use crate::kernel::actor::Permission;
use crate::kernel::ids::{OrderId, PaymentId};
use crate::kernel::journal::Change;
use crate::tenant::orders::error::{OrderError, OrderErrorCode};
use crate::tenant::orders::order::model::Order;
use crate::tenant::orders::order::service::{Desk, locked};
use crate::tenant::orders::status::OrderMove;

/// The kind of the job that takes a payment from step to step.
pub const COLLECT: &str = "payment.collect";

/// The kind of the job that gives a payment back.
pub const REFUND: &str = "payment.refund";

/// Asks for a placed order to be paid. The answer is the order as it is: it is paid when the payment is through, which
/// takes a job a moment.
///
/// # Errors
/// The order is not placed, is of another version, has a payment already, or nobody takes payments.
pub async fn order_pay(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    target: (OrderId, Option<i32>),
    is_available: bool,
) -> Result<Order, OrderError> {
    desk.actor.require(Permission::OrdersWrite)?;
    if !is_available {
        let message = "Nobody takes payments in this installation.";
        return Err(OrderError::refused(OrderErrorCode::PaymentUnavailable, message, &[]));
    }
    let order = locked(tx, target, OrderMove::Pay).await?;
    if repo::payment_live(tx, order.id).await?.is_some() {
        let message = "A payment for this order is under way.";
        return Err(OrderError::refused(OrderErrorCode::PaymentInProgress, message, &["id"]));
    }
    let id = PaymentId(desk.clock.new_id());
    let payment = repo::payment_insert(tx, id, &order, desk.clock.now()).await?;
    tx.enqueue(desk.clock.new_id(), COLLECT, json!({ "payment": id.to_string() }), None).await?;
    tx.note(Change::created(id, payment.trail()));
    Ok(order)
}
