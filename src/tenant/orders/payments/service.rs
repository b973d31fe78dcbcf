//! Decisions about payments that people make.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::repo;
use crate::db::{DbError, TenantTx};
use crate::kernel::actor::Permission;
use crate::kernel::clock::Clock;
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
        return Err(OrderError::refused_for_now(OrderErrorCode::PaymentUnavailable, message, &[]));
    }
    let order = locked(tx, target, OrderMove::Pay).await?;
    if repo::payment_live(tx, order.id).await?.is_some() {
        let message = "A payment for this order is under way.";
        return Err(OrderError::refused_for_now(OrderErrorCode::PaymentInProgress, message, &["id"]));
    }
    let id = PaymentId(desk.clock.new_id());
    let payment = repo::payment_insert(tx, id, &order, desk.clock.now()).await?;
    collect_enqueue(tx, desk.clock, id).await?;
    tx.note(Change::created(id, payment.trail()));
    Ok(order)
}

/// Has a payment taken on, unless that is under way.
async fn collect_enqueue(tx: &mut TenantTx, clock: &dyn Clock, id: PaymentId) -> Result<(), DbError> {
    let payload = json!({ "payment": id.to_string() });
    tx.enqueue(clock.new_id(), COLLECT, payload, Some(id.to_string())).await.map(drop)
}

/// Has the payment of an order that was given up taken back, if there is one: its own job may be a dead letter.
///
/// # Errors
/// The database failed.
pub(in crate::tenant::orders) async fn payment_release(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    order: OrderId,
) -> Result<(), DbError> {
    match repo::payment_live(tx, order).await? {
        Some(payment) => collect_enqueue(tx, clock, payment.id).await,
        None => Ok(()),
    }
}

/// Has payments taken on that have stood still since a time though they are not at their end: what took them on was given
/// up, or lost.
///
/// # Errors
/// The database failed.
pub async fn stuck_enqueue(tx: &mut TenantTx, clock: &dyn Clock, since: DateTime<Utc>) -> Result<(), DbError> {
    for id in repo::payment_list_stuck(tx, since).await? {
        collect_enqueue(tx, clock, id).await?;
    }
    Ok(())
}
