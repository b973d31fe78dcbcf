//! Orders at the edge.

mod input;
mod line;
mod list;
mod mutation;
mod subscription;

use async_graphql::{Context, Enum, ID, Object};
use chrono::{DateTime, Utc};

pub use input::desk;
pub use list::OrderQuery;
pub use mutation::OrderMutation;
pub use subscription::OrderSubscription;

use super::model::Order;
use crate::graphql::connection::PageArgs;
use crate::graphql::deprecation::visible;
use crate::graphql::loaders::load;
use crate::graphql::scalars::Money;
use crate::graphql::{ApiError, ApiResult, Request, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::UserId;
use crate::kernel::money;
use crate::tenant::identity::users::graphql::UserNode;
use crate::tenant::orders::customers::graphql::Customer;
use crate::tenant::orders::customers::service::contact;
use crate::tenant::orders::payments::graphql::PaymentNode;
use crate::tenant::orders::status::{OrderMove, OrderStatus};
use line::{LineConnection, lines_of};

/// An order of a customer.
#[derive(Clone)]
pub struct OrderNode(pub Order);

impl From<Order> for OrderNode {
    fn from(order: Order) -> Self {
        Self(order)
    }
}

/// The status of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "OrderStatus", remote = "OrderStatus")]
pub enum OrderStatusValue {
    /// The order was cancelled before it was paid.
    Canceled,
    /// The order has arrived at the customer's.
    Delivered,
    /// The order is being put together; nothing is promised.
    Draft,
    /// The order was handed over to whoever delivers.
    Fulfilled,
    /// The order is paid.
    Paid,
    /// The order is promised: copies are reserved and prices are frozen.
    Placed,
    /// The order is to be paid back; the money follows, as `payment` tells.
    Refunded,
}

/// A move of an order from one status to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "OrderMove", remote = "OrderMove")]
pub enum OrderMoveValue {
    /// Cancel the order: `orderCancel`.
    Cancel,
    /// Note that the order has arrived: `orderDeliver`.
    Deliver,
    /// Change the order's lines: `orderLineSet`.
    Edit,
    /// Hand the order over: `orderFulfill`.
    Fulfill,
    /// Ask for the order to be paid: `orderPay`.
    Pay,
    /// Place the order: `orderPlace`.
    Place,
    /// Refund the order: `orderRefund`.
    Refund,
}

/// An order of a customer.
#[Object(name = "Order")]
impl OrderNode {
    /// The order's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The order's number, for people: counted up within the shop, without gaps.
    async fn number(&self) -> String {
        self.0.number.to_string()
    }

    /// The status of the order.
    async fn status(&self) -> OrderStatusValue {
        self.0.status().into()
    }

    /// The moves that the order's status allows. A refund may still be refused for `orders.refund_days`.
    async fn allowed_moves(&self) -> Vec<OrderMoveValue> {
        self.0.status().moves().map(OrderMoveValue::from).collect()
    }

    /// The customer; null if the caller may not see orders. Its fields are null if the customer was erased.
    async fn customer(&self, ctx: &Context<'_>) -> ApiResult<Option<Customer>> {
        let (request, shop) = (Request::of(ctx)?, Shop::of(ctx)?);
        if !shop.actor().may(Permission::OrdersRead) {
            return Ok(None);
        }
        let customer = load(&shop.loaders().customer_by_id, self.0.customer_id).await?;
        let customer = customer.ok_or_else(ApiError::internal)?;
        let contact = contact(&request.services().vault, shop.tenant(), &self.0, &customer);
        Ok(Some(contact.map_err(ApiError::from)?.into()))
    }

    /// The lines of the order, in the order of the books' ids.
    async fn lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<LineConnection> {
        let all = load(&Shop::of(ctx)?.loaders().lines_by_order, self.0.id).await?;
        lines_of(&self.0, &all, PageArgs::new(after, before, first, last))
    }

    /// The total of the lines: in a draft as of its last change, frozen when the order is placed.
    async fn total_price(&self) -> ApiResult<Money> {
        self.0.money(self.0.total_minor).map(Money::from).ok_or_else(ApiError::internal)
    }

    /// The total of the lines as a binary fraction: the nearest that there is, without currency.
    #[graphql(
        deprecation = "Use `totalPrice`. Deprecated 2026-11-28. Removal on 2027-07-01 UTC.",
        visible = "visible::order_total"
    )]
    async fn total(&self) -> ApiResult<f64> {
        self.0.money(self.0.total_minor).map(money::Money::approximate).ok_or_else(ApiError::internal)
    }

    /// The newest payment; null where none was asked for.
    async fn payment(&self, ctx: &Context<'_>) -> ApiResult<Option<PaymentNode>> {
        Ok(load(&Shop::of(ctx)?.loaders().payment_by_order, self.0.id).await?.map(PaymentNode))
    }

    /// The reason why the order was cancelled.
    async fn cancel_reason(&self) -> Option<input::OrderCancelReason> {
        input::OrderCancelReason::of(self.0.cancel_reason.as_deref()?)
    }

    /// The user who entered the order; null for the platform, and if the caller may not see the shop's people.
    async fn created_by(&self, ctx: &Context<'_>) -> ApiResult<Option<UserNode>> {
        let shop = Shop::of(ctx)?;
        let Some(user) = self.0.created_by.map(UserId).filter(|_| shop.actor().may(Permission::UsersRead)) else {
            return Ok(None);
        };
        Ok(load(&shop.loaders().user_by_id, user).await?.map(UserNode))
    }

    /// The number of the present version; a mutation may name the version that it was made for.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The time when the order was entered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the order was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// The time when the order was placed.
    async fn placed_at(&self) -> Option<DateTime<Utc>> {
        self.0.placed_at
    }

    /// The time when the order was paid.
    async fn paid_at(&self) -> Option<DateTime<Utc>> {
        self.0.paid_at
    }

    /// The time when the order was handed over.
    async fn fulfilled_at(&self) -> Option<DateTime<Utc>> {
        self.0.fulfilled_at
    }

    /// The time when the order arrived.
    async fn delivered_at(&self) -> Option<DateTime<Utc>> {
        self.0.delivered_at
    }

    /// The time when the order was cancelled.
    async fn canceled_at(&self) -> Option<DateTime<Utc>> {
        self.0.canceled_at
    }

    /// The time when the refund was decided; the money follows, as `payment` tells.
    async fn refunded_at(&self) -> Option<DateTime<Utc>> {
        self.0.refunded_at
    }

    /// Tells whether the caller may cancel the order as it is.
    async fn viewer_can_cancel(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        let is_allowed = self.0.status().after(OrderMove::Cancel).is_some();
        Ok(is_allowed && Shop::of(ctx)?.actor().may(Permission::OrdersWrite))
    }

    /// Tells whether the caller may refund the order in its present status. It may still be refused for
    /// `orders.refund_days`.
    async fn viewer_can_refund(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        let is_allowed = self.0.status().after(OrderMove::Refund).is_some();
        Ok(is_allowed && Shop::of(ctx)?.actor().may(Permission::OrdersRefund))
    }
}
