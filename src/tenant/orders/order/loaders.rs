//! Batch loads of orders' lines.

use std::collections::HashMap;
use std::sync::Arc;

use dataloader::BatchFn;

use super::model::Line;
use super::repo;
use crate::db::{DbError, TenantSession};
use crate::kernel::ids::OrderId;

/// The lines of an order, in the order of the books' ids.
pub struct LinesByOrder(pub Arc<TenantSession>);

/// What [`LinesByOrder`] answers for an order.
pub type Lines = Result<Arc<[Line]>, DbError>;

impl BatchFn<OrderId, Lines> for LinesByOrder {
    async fn load(&mut self, orders: &[OrderId]) -> HashMap<OrderId, Lines> {
        let rows = async { repo::line_list(&self.0.read().await?, orders).await }.await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return orders.iter().map(|&order| (order, Err(error.clone()))).collect(),
        };
        let mut by_order: HashMap<OrderId, Vec<Line>> = orders.iter().map(|&id| (id, Vec::new())).collect();
        for line in rows {
            by_order.entry(line.order_id).or_default().push(line);
        }
        by_order.into_iter().map(|(order, lines)| (order, Ok(lines.into()))).collect()
    }
}
