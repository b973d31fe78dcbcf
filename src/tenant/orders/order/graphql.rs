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

/// What a customer wants, and what becomes of it.
#[derive(Clone)]
pub struct OrderNode(pub Order);

impl From<Order> for OrderNode {
    fn from(order: Order) -> Self {
        Self(order)
    }
}

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "OrderStatus", remote = "OrderStatus")]
pub enum OrderStatusValue {
    /// Given up before it was paid.
    Canceled,
    /// At the customer's.
    Delivered,
    /// Being put together; nothing is promised.
    Draft,
    /// Handed over to whoever delivers.
    Fulfilled,
    /// Paid for.
    Paid,
    /// Promised: copies are reserved and prices are frozen.
    Placed,
    /// Paid back.
    Refunded,
}

/// What can be done with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "OrderMove", remote = "OrderMove")]
pub enum OrderMoveValue {
    /// `orderCancel`.
    Cancel,
    /// `orderDeliver`.
    Deliver,
    /// `orderLineSet`.
    Edit,
    /// `orderFulfill`.
    Fulfill,
    /// `orderPay`.
    Pay,
    /// `orderPlace`.
    Place,
    /// `orderRefund`.
    Refund,
}

/// What a customer wants, and what becomes of it.
#[Object(name = "Order")]
impl OrderNode {
    /// The order's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// What people call it: counted up within the shop, without gaps.
    async fn number(&self) -> String {
        self.0.number.to_string()
    }

    /// Where it is.
    async fn status(&self) -> OrderStatusValue {
        self.0.status().into()
    }

    /// What can be done with it from where it is.
    async fn allowed_moves(&self) -> Vec<OrderMoveValue> {
        self.0.status().moves().map(OrderMoveValue::from).collect()
    }

    /// Who buys; null where the caller may not see orders, and its fields where the customer was erased.
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

    /// What is ordered.
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

    /// What the lines come to: as of the last change in a draft, frozen in what is placed.
    async fn total_price(&self) -> ApiResult<Money> {
        self.0.money(self.0.total_minor).map(Money::from).ok_or_else(ApiError::internal)
    }

    /// What the lines come to, as a binary fraction: the nearest that there is, and no currency.
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

    /// Why it was given up.
    async fn cancel_reason(&self) -> Option<input::OrderCancelReason> {
        input::OrderCancelReason::of(self.0.cancel_reason.as_deref()?)
    }

    /// Who entered it; null for the platform, and where the caller may not see the shop's people.
    async fn created_by(&self, ctx: &Context<'_>) -> ApiResult<Option<UserNode>> {
        let shop = Shop::of(ctx)?;
        let Some(user) = self.0.created_by.map(UserId).filter(|_| shop.actor().may(Permission::UsersRead)) else {
            return Ok(None);
        };
        Ok(load(&shop.loaders().user_by_id, user).await?.map(UserNode))
    }

    /// Counts the changes; a mutation may name the version that it was made for.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// When it was entered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// When it was placed.
    async fn placed_at(&self) -> Option<DateTime<Utc>> {
        self.0.placed_at
    }

    /// When it was paid.
    async fn paid_at(&self) -> Option<DateTime<Utc>> {
        self.0.paid_at
    }

    /// When it was handed over.
    async fn fulfilled_at(&self) -> Option<DateTime<Utc>> {
        self.0.fulfilled_at
    }

    /// When it arrived.
    async fn delivered_at(&self) -> Option<DateTime<Utc>> {
        self.0.delivered_at
    }

    /// When it was given up.
    async fn canceled_at(&self) -> Option<DateTime<Utc>> {
        self.0.canceled_at
    }

    /// When it was paid back.
    async fn refunded_at(&self) -> Option<DateTime<Utc>> {
        self.0.refunded_at
    }

    /// Whether the caller may give it up as it is.
    async fn viewer_can_cancel(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        let is_allowed = self.0.status().after(OrderMove::Cancel).is_some();
        Ok(is_allowed && Shop::of(ctx)?.actor().may(Permission::OrdersWrite))
    }

    /// Whether the caller may pay it back as it is.
    async fn viewer_can_refund(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        let is_allowed = self.0.status().after(OrderMove::Refund).is_some();
        Ok(is_allowed && Shop::of(ctx)?.actor().may(Permission::OrdersRefund))
    }
}
