//! Queries about orders.

use async_graphql::connection::CursorType;
use async_graphql::{Context, Enum, ID, InputObject, Object};

use super::OrderNode;
use super::input::OrderFilterInput;
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, SortDirection, connection, decode_parts, encode_parts};
use crate::graphql::deprecation::visible;
use crate::graphql::payload::into_error;
use crate::graphql::scalars::parse_id;
use crate::graphql::{ApiError, ApiResult, Request, Shop};
use crate::kernel::actor::Permission;
use crate::tenant::orders::order::model::{OrderFilter, OrderOrder, OrderPosition, OrderSort};
use crate::tenant::orders::order::service;

/// The field that a list of orders is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum OrderSortField {
    /// The time when the order was entered.
    CreatedAt,
    /// The total of the order.
    #[graphql(
        deprecation = "Use `TOTAL_PRICE`. Deprecated 2026-11-28. Removal on 2027-07-01 UTC.",
        visible = "visible::order_sort_field_total"
    )]
    Total,
    /// The total of the order.
    TotalPrice,
}

/// The order of a list of orders. Equal ones are in the order of their ids.
#[derive(Debug, Clone, Copy, InputObject)]
pub struct OrderSortInput {
    /// The field to sort by.
    field: OrderSortField,
    /// The direction.
    #[graphql(default)]
    direction: SortDirection,
}

impl From<OrderSortInput> for OrderSort {
    fn from(input: OrderSortInput) -> Self {
        let order = match input.field {
            OrderSortField::CreatedAt => OrderOrder::CreatedAt,
            OrderSortField::Total | OrderSortField::TotalPrice => OrderOrder::TotalPrice,
        };
        Self { order, descending: input.direction == SortDirection::Desc }
    }
}

/// The newest first.
const SORT_DEFAULT: OrderSort = OrderSort { order: OrderOrder::CreatedAt, descending: true };

/// A place in a list of orders. It names the order that it is of, so that it is not used in another.
pub struct OrderCursor(OrderPosition);

impl CursorType for OrderCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        const MALFORMED: &str = "malformed";
        let [order, total, id] = decode_parts(text).ok_or(MALFORMED)?;
        let order = match order.as_str() {
            "CREATED_AT" => OrderOrder::CreatedAt,
            "TOTAL_PRICE" => OrderOrder::TotalPrice,
            _ => return Err(MALFORMED),
        };
        let total_minor = total.parse().map_err(|_| MALFORMED)?;
        Ok(Self(OrderPosition { order, total_minor, id: id.parse().map_err(|_| MALFORMED)? }))
    }

    fn encode_cursor(&self) -> String {
        let order = match self.0.order {
            OrderOrder::CreatedAt => "CREATED_AT",
            OrderOrder::TotalPrice => "TOTAL_PRICE",
        };
        encode_parts(&[order, &self.0.total_minor.to_string(), &self.0.id.to_string()])
    }
}

/// What a list of orders knows beside its items.
pub struct OrderTotal {
    filter: OrderFilter,
}

#[Object]
impl OrderTotal {
    /// The number of orders in the list; counted when it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> ApiResult<Option<i64>> {
        let shop = Shop::of(ctx)?;
        let count = service::order_count(&shop.read().await?, shop.actor(), &self.filter).await;
        count.map(Some).map_err(|failure| into_error(failure, shop.actor()))
    }
}

/// Queries about orders.
#[derive(Default)]
pub struct OrderQuery;

#[Object]
impl OrderQuery {
    /// An order by id.
    #[graphql(directive = access::apply(needs(Permission::OrdersRead)))]
    async fn order(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<OrderNode>> {
        let shop = Shop::of(ctx)?;
        let order = service::order_by_id(&shop.read().await?, shop.actor(), parse_id(&id)?).await;
        order.map(|order| order.map(OrderNode)).map_err(|failure| into_error(failure, shop.actor()))
    }

    /// Lists orders, the newest first unless another order is asked for.
    #[graphql(directive = access::apply(needs(Permission::OrdersRead)))]
    #[expect(clippy::too_many_arguments, reason = "they are the field's arguments in the API")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The orders to list.")] filter: Option<OrderFilterInput>,
        #[graphql(desc = "The order of the list.")] sort: Option<OrderSortInput>,
    ) -> ApiResult<Connection<OrderCursor, OrderNode, OrderTotal>> {
        let (request, shop) = (Request::of(ctx)?, Shop::of(ctx)?);
        let page = PageArgs::new(after, before, first, last).parse::<OrderCursor>()?.map(|cursor| cursor.0);
        let sort = sort.map_or(SORT_DEFAULT, OrderSort::from);
        if page.from.is_some_and(|from| from.order != sort.order) {
            return Err(ApiError::bad_request("The cursor is of a list with another sort."));
        }
        let read = shop.read().await?;
        let filter = filter.unwrap_or_default().parse(&request.services().vault, shop.tenant())?;
        let page = service::order_list(&read, shop.actor(), &filter, sort, page).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, OrderTotal { filter }, |(position, order)| (OrderCursor(position), OrderNode(order))))
    }
}
