//! Looking on at an order.

use async_graphql::{Context, ID, Object};

use super::OrderNode;
use crate::graphql::access::{access, needs};
use crate::graphql::payload::into_error;
use crate::graphql::scalars::parse_id;
use crate::graphql::watch::Watch;
use crate::graphql::{ApiResult, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::OrderId;
use crate::kernel::news::{Fact, Topic};
use crate::live::Interest;
use crate::tenant::orders::order::service::order_by_id;

/// Subscriptions about orders.
#[derive(Default)]
pub struct OrderSubscription;

#[Object]
impl OrderSubscription {
    /// Tells of an order as it is when the subscription begins, and again whenever its status changes. Of several
    /// changes in a moment the last is told. It ends when the order can move no further; with null if the shop has no
    /// such order.
    #[graphql(directive = access::apply(needs(Permission::OrdersRead)))]
    async fn order_status_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order.")] order_id: ID,
    ) -> ApiResult<Option<OrderNode>> {
        let (watch, shop) = (Watch::of(ctx)?, Shop::of(ctx)?);
        let id: OrderId = parse_id(&order_id)?;
        shop.actor().require(Permission::OrdersRead)?;
        watch.on(shop.tenant(), || Interest::in_one(Fact::new(Topic::Order, id)))?;
        let order = order_by_id(&shop.read().await?, shop.actor(), id).await;
        let order = order.map_err(|failure| into_error(failure, shop.actor()))?;
        if order.as_ref().is_none_or(|order| order.status().is_last()) {
            watch.end();
        }
        let is_new = watch.is_new(&order.as_ref().map(|order| order.status.clone()));
        Ok(order.filter(|_| is_new).map(OrderNode))
    }
}
