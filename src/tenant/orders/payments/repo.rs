//! SQL of payments.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{Payment, PaymentStatus};
use crate::db::schema::tenant::payments;
use crate::db::statement::{kept, statement};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::{OrderId, PaymentId};
use crate::tenant::orders::order::model::Order;

/// The states in which an order has its payment.
const LIVE: [&str; 5] = ["pending", "authorized", "captured", "confirmed", "refunding"];

/// Payments of one account that stand still and are found at once.
const STUCK_MAX: i64 = 100;

/// A payment by its id.
pub async fn payment_by_id(read: &TenantRead, id: PaymentId) -> Result<Option<Payment>, DbError> {
    read.first(payments::table.filter(payments::id.eq(id.0)).select(Payment::as_select())).await
}

/// The payment that an order has, if it has one.
pub async fn payment_live(read: &TenantRead, order: OrderId) -> Result<Option<Payment>, DbError> {
    let query = payments::table.filter(payments::order_id.eq(order.0)).filter(payments::status.eq_any(LIVE));
    read.first(query.select(Payment::as_select())).await
}

/// The newest payment of each order.
pub async fn payment_list_newest(read: &TenantRead, orders: &[OrderId]) -> Result<Vec<Payment>, DbError> {
    let orders: Vec<Uuid> = orders.iter().map(|id| id.0).collect();
    let query = payments::table
        .filter(payments::order_id.eq_any(orders))
        .distinct_on(payments::order_id)
        .order((payments::order_id, payments::id.desc()));
    read.load(query.select(Payment::as_select())).await
}

statement!(
    /// Finds payments that stand still: those that are under way, and those of orders that are to be paid back. Those that are at
    /// their end are not looked at, however many there are.
    PaymentsStuck {
        /// They have not gone on since.
        since: DateTime<Utc> => Timestamptz,
        /// As many of each account.
        count_max: i64 => BigInt,
    } -> SqlUuid = "
WITH stuck AS (
    SELECT id, account, updated_at FROM payments
    WHERE status IN ('pending', 'authorized', 'captured', 'refunding') AND updated_at < {}
    UNION ALL
    SELECT payments.id, payments.account, payments.updated_at
    FROM orders JOIN payments ON payments.order_id = orders.id
    WHERE orders.status = 'refunded' AND payments.status = 'confirmed' AND payments.updated_at < $1
), placed AS (
    SELECT id, updated_at, row_number() OVER (PARTITION BY account ORDER BY updated_at, id) AS place FROM stuck
)
SELECT id FROM placed WHERE place <= {} ORDER BY updated_at, id"
);

/// Payments that have stood still since a time and are not at their end, the longest first. Those of one account leave room
/// for those of others: an account whose key is gone keeps all of its own.
pub async fn payment_list_stuck(read: &TenantRead, since: DateTime<Utc>) -> Result<Vec<PaymentId>, DbError> {
    let stuck = PaymentsStuck { since, count_max: STUCK_MAX };
    Ok(read.load::<_, Uuid, _>(stuck).await?.into_iter().map(PaymentId).collect())
}

/// Enters a payment for the total of an order.
pub async fn payment_insert(
    tx: &TenantTx,
    id: PaymentId,
    order: &Order,
    now: DateTime<Utc>,
) -> Result<Payment, DbError> {
    let insert = diesel::insert_into(payments::table)
        .values((
            payments::id.eq(id.0),
            payments::order_id.eq(order.id.0),
            payments::status.eq(PaymentStatus::Pending.as_str()),
            payments::amount_minor.eq(order.total_minor),
            payments::currency.eq(order.currency.clone()),
            payments::created_at.eq(now),
            payments::updated_at.eq(now),
        ))
        .returning(Payment::as_returning());
    tx.one(insert).await
}

/// Keeps which account takes a payment, of which that is not known yet; nothing where another was faster.
pub async fn payment_bind(
    tx: &TenantTx,
    payment: &Payment,
    account: String,
    now: DateTime<Utc>,
) -> Result<Option<Payment>, DbError> {
    let here = payments::table
        .filter(payments::id.eq(payment.id.0))
        .filter(payments::status.eq(payment.status.clone()))
        .filter(payments::account.is_null());
    let update = diesel::update(here)
        .set((payments::account.eq(Some(account)), payments::updated_at.eq(now)))
        .returning(Payment::as_returning());
    tx.first(kept(update)).await
}

/// Moves a payment on from where it was read; nothing where another was faster.
pub async fn payment_advance(
    tx: &TenantTx,
    payment: &Payment,
    to: PaymentStatus,
    (reference, failure): (Option<String>, Option<String>),
    now: DateTime<Utc>,
) -> Result<Option<Payment>, DbError> {
    let here = payments::table
        .filter(payments::id.eq(payment.id.0))
        .filter(payments::status.eq(payment.status.clone()))
        .filter(payments::account.is_not_distinct_from(payment.account.clone()));
    let update = diesel::update(here)
        .set((
            payments::status.eq(to.as_str()),
            payments::reference.eq(reference.or_else(|| payment.reference.clone())),
            payments::failure.eq(failure),
            payments::updated_at.eq(now),
        ))
        .returning(Payment::as_returning());
    tx.first(kept(update)).await
}
