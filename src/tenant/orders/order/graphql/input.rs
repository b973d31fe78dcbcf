//! What clients say of orders, made ready for the service. Whether it is right is the service's to decide.

use async_graphql::{Enum, ID, InputObject};
use chrono::{DateTime, Utc};

use super::OrderStatusValue;
use crate::graphql::scalars::parse_id;
use crate::graphql::{ApiResult, Call};
use crate::kernel::clock::storable;
use crate::kernel::tenant::TenantCtx;
use crate::tenant::orders::customers::graphql::CustomerInput;
use crate::tenant::orders::customers::service::email_hash;
use crate::tenant::orders::order::model::{NewLine, OrderFilter};
use crate::tenant::orders::order::service::{CancelReason, Desk};
use crate::tenant::orders::status::OrderStatus;
use crate::vault::{KeyError, Vault};

/// A filter of orders. Fields that are given all apply.
#[derive(InputObject, Default)]
pub struct OrderFilterInput {
    /// The statuses of the orders.
    status: Option<Vec<OrderStatusValue>>,
    /// The start of the time range: orders placed at or after this time.
    placed_from: Option<DateTime<Utc>>,
    /// The end of the time range: orders placed before this time.
    placed_to: Option<DateTime<Utc>>,
    /// The e-mail address of the customer.
    customer_email: Option<String>,
    /// The book that the orders contain.
    book_id: Option<ID>,
}

impl OrderFilterInput {
    /// The filter.
    ///
    /// # Errors
    /// `BAD_REQUEST` for an id that is none; or the shop's keys cannot be used.
    pub fn parse(self, vault: &Vault, tenant: &TenantCtx) -> ApiResult<OrderFilter> {
        // What is no address is nobody's address.
        let hash = |email: String| match email.parse() {
            Ok(email) => email_hash(vault, tenant, &email),
            Err(_) => Ok::<_, KeyError>(Vec::new()),
        };
        Ok(OrderFilter {
            statuses: self.status.unwrap_or_default().into_iter().map(OrderStatus::from).collect(),
            placed_from: self.placed_from.map(storable),
            placed_to: self.placed_to.map(storable),
            email_hash: self.customer_email.map(hash).transpose()?,
            book: self.book_id.as_ref().map(parse_id).transpose()?,
        })
    }
}

/// A line of an order.
#[derive(InputObject)]
pub struct OrderLineInput {
    /// The book.
    book_id: ID,
    /// The number of copies, 1 to 10000, or to what the shop's `orders.quantity_max` says.
    quantity: i32,
}

impl OrderLineInput {
    /// The line.
    ///
    /// # Errors
    /// `BAD_REQUEST` for an id that is none.
    pub fn parse(&self) -> ApiResult<NewLine> {
        Ok(NewLine { book: parse_id(&self.book_id)?, quantity: self.quantity })
    }
}

/// A new order.
#[derive(InputObject)]
pub struct OrderCreateInput {
    /// A customer who buys.
    pub customer: CustomerInput,
    /// The lines of the order, at most 100.
    #[graphql(default)]
    pub lines: Vec<OrderLineInput>,
}

/// A reason why an order is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "CancelReason")]
pub enum OrderCancelReason {
    /// The customer no longer wants it.
    CustomerRequest,
    /// The order is not what it pretends to be.
    Fraud,
    /// Another reason.
    Other,
    /// The books cannot be had.
    OutOfStock,
}

impl OrderCancelReason {
    /// The reason of a text that the table stores.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        CancelReason::ALL.into_iter().find(|reason| reason.as_str() == text).map(Self::from)
    }
}

/// Where the call of a mutation takes orders.
#[must_use]
pub fn desk<'a>(call: &Call<'a>) -> Desk<'a> {
    let services = call.request.services();
    Desk { actor: call.actor(), clock: &*services.clock, tenant: call.shop.tenant(), vault: &services.vault }
}
