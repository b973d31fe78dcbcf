//! Batch loads of payments.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Payment;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::OrderId;

/// The newest payment of an order.
pub struct PaymentByOrder(pub Arc<TenantSession>);

/// What [`PaymentByOrder`] answers for an order.
pub type MaybePayment = Result<Option<Arc<Payment>>, DbError>;

impl BatchFn<OrderId, MaybePayment> for PaymentByOrder {
    async fn load(&mut self, orders: &[OrderId]) -> HashMap<OrderId, MaybePayment> {
        let rows = async { repo::payment_list_newest(&self.0.read().await?, orders).await }.await;
        batch::by_key(orders, rows, |payment| (payment.order_id, Some(Arc::new(payment))))
    }
}
