//! Batch loads of orders' lines.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Line;
use super::repo;
use crate::db::{DbError, TenantSession, batch};
use crate::kernel::ids::OrderId;

/// The lines of an order, in the order of the books' ids.
pub struct LinesByOrder(pub Arc<TenantSession>);

/// What [`LinesByOrder`] answers for an order.
pub type Lines = Result<Arc<[Line]>, DbError>;

impl BatchFn<OrderId, Lines> for LinesByOrder {
    async fn load(&mut self, orders: &[OrderId]) -> HashMap<OrderId, Lines> {
        let rows = async { repo::line_list(&self.0.read().await?, orders).await }.await;
        batch::grouped(orders, rows, |line| (line.order_id, line))
    }
}
