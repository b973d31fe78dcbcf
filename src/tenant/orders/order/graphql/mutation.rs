//! Mutations of orders.

use async_graphql::{Context, ID, Object};

use super::OrderNode;
use super::input::{OrderCancelReason, OrderCreateInput, desk};
use crate::db::TenantTx;
use crate::graphql::access::{access, needs};
use crate::graphql::payload::payload;
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::OrderUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey};
use crate::kernel::actor::Permission;
use crate::tenant::orders::error::OrderErrorCode;
use crate::tenant::orders::order::model::{NewLine, Order};
use crate::tenant::orders::order::service;
use crate::tenant::orders::payments::service::order_pay;

payload!(
    /// The answer to `orderCreate`.
    OrderCreatePayload {
        /// The new order.
        order: OrderNode(Order)
    },
    OrderUserError(OrderErrorCode)
);
payload!(
    /// The answer to `orderLineSet`.
    OrderLineSetPayload {
        /// The order as it is now.
        order: OrderNode(Order)
    },
    OrderUserError(OrderErrorCode)
);
payload!(
    /// The answer to `orderPlace`.
    OrderPlacePayload {
        /// The order as it is now.
        order: OrderNode(Order)
    },
    OrderUserError(OrderErrorCode)
);
payload!(
    /// The answer to `orderPay`.
    OrderPayPayload {
        /// The order as it is now.
        order: OrderNode(Order)
    },
    OrderUserError(OrderErrorCode)
);
payload!(
    /// The answer to `orderFulfill`.
    OrderFulfillPayload {
        /// The order as it is now.
        order: OrderNode(Order)
    },
    OrderUserError(OrderErrorCode)
);
payload!(
    /// The answer to `orderDeliver`.
    OrderDeliverPayload {
        /// The order as it is now.
        order: OrderNode(Order)
    },
    OrderUserError(OrderErrorCode)
);
payload!(
    /// The answer to `orderCancel`.
    OrderCancelPayload {
        /// The order as it is now.
        order: OrderNode(Order)
    },
    OrderUserError(OrderErrorCode)
);
payload!(
    /// The answer to `orderRefund`.
    OrderRefundPayload {
        /// The order as it is now.
        order: OrderNode(Order)
    },
    OrderUserError(OrderErrorCode)
);

/// Mutations of orders.
#[derive(Default)]
pub struct OrderMutation;

#[Object]
impl OrderMutation {
    /// Enters a draft of an order. Nothing is reserved and no price is promised until it is placed.
    #[graphql(directive = access::apply(needs(Permission::OrdersWrite)))]
    async fn order_create(
        &self,
        ctx: &Context<'_>,
        input: OrderCreateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<OrderCreatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let lines = input.lines.iter().map(|line| line.parse()).collect::<ApiResult<Vec<NewLine>>>()?;
        let customer = input.customer.into();
        let work = async |tx: &mut TenantTx| {
            let settings = call.settings(tx).await?;
            service::order_create(tx, desk(&call), &settings, &customer, &lines).await
        };
        OrderCreatePayload::new(call.write("order.create", Permission::OrdersWrite, work).await, call.actor())
    }

    /// Sets how many copies of a book a draft has; 0 takes the line away.
    #[graphql(directive = access::apply(needs(Permission::OrdersWrite)))]
    async fn order_line_set(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The book.")] book_id: ID,
        #[graphql(desc = "The number of copies, 0 to 10000, or to what the shop's `orders.quantity_max` says.")]
        quantity: i32,
        #[graphql(desc = "Refuse if the order has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<OrderLineSetPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let (target, line) = ((parse_id(&id)?, version), NewLine { book: parse_id(&book_id)?, quantity });
        let work = async |tx: &mut TenantTx| {
            let settings = call.settings(tx).await?;
            service::order_line_set(tx, desk(&call), &settings, target, line).await
        };
        OrderLineSetPayload::new(call.write("order.line_set", Permission::OrdersWrite, work).await, call.actor())
    }

    /// Places a draft: reserves its copies and freezes its prices, all of it or nothing. A line of which there are too few
    /// copies is refused with `INSUFFICIENT_STOCK`, the book and what is left of it.
    #[graphql(directive = access::apply(needs(Permission::OrdersWrite)))]
    async fn order_place(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the order has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<OrderPlacePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let target = (parse_id(&id)?, version);
        let work = async |tx: &mut TenantTx| {
            let settings = call.settings(tx).await?;
            service::order_place(tx, desk(&call), &settings, target).await
        };
        OrderPlacePayload::new(call.write("order.place", Permission::OrdersWrite, work).await, call.actor())
    }

    /// Asks for a placed order to be paid. The order is paid a moment later, when its `payment` is through; a payment that
    /// failed says why, and another may be asked for.
    #[graphql(directive = access::apply(needs(Permission::OrdersWrite)))]
    async fn order_pay(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the order has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<OrderPayPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let target = (parse_id(&id)?, version);
        let is_available = call.request.services().payments.is_some();
        let work = async |tx: &mut _| order_pay(tx, desk(&call), target, is_available).await;
        OrderPayPayload::new(call.write("order.pay", Permission::OrdersWrite, work).await, call.actor())
    }

    /// Hands a paid order over to whoever delivers: what was reserved is sold.
    #[graphql(directive = access::apply(needs(Permission::OrdersWrite)))]
    async fn order_fulfill(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the order has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<OrderFulfillPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let target = (parse_id(&id)?, version);
        let work = async |tx: &mut _| service::order_fulfill(tx, desk(&call), target).await;
        OrderFulfillPayload::new(call.write("order.fulfill", Permission::OrdersWrite, work).await, call.actor())
    }

    /// Notes that an order has arrived at the customer's.
    #[graphql(directive = access::apply(needs(Permission::OrdersWrite)))]
    async fn order_deliver(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the order has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<OrderDeliverPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let target = (parse_id(&id)?, version);
        let work = async |tx: &mut _| service::order_deliver(tx, desk(&call), target).await;
        OrderDeliverPayload::new(call.write("order.deliver", Permission::OrdersWrite, work).await, call.actor())
    }

    /// Cancels an order that is not paid: what was reserved is free again. A payment under way is taken back.
    #[graphql(directive = access::apply(needs(Permission::OrdersWrite)))]
    async fn order_cancel(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The reason.")] reason: OrderCancelReason,
        #[graphql(desc = "Refuse if the order has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<OrderCancelPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let target = (parse_id(&id)?, version);
        let work = async |tx: &mut _| service::order_cancel(tx, desk(&call), target, reason.into()).await;
        OrderCancelPayload::new(call.write("order.cancel", Permission::OrdersWrite, work).await, call.actor())
    }

    /// Refunds an order; the money follows, as `payment` tells. What is still reserved is free again. An order that was
    /// handed over longer ago than the shop's `orders.refund_days` is refused.
    #[graphql(directive = access::apply(needs(Permission::OrdersRefund)))]
    async fn order_refund(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Puts the books in stock again, because they came back.", default)] is_returned: bool,
        #[graphql(desc = "Refuse if the order has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<OrderRefundPayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let target = (parse_id(&id)?, version);
        let work = async |tx: &mut TenantTx| {
            let settings = call.settings(tx).await?;
            service::order_refund(tx, desk(&call), &settings, target, is_returned).await
        };
        OrderRefundPayload::new(call.write("order.refund", Permission::OrdersRefund, work).await, call.actor())
    }
}
