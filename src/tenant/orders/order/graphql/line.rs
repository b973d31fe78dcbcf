//! Lines of orders.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, Object};

use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::loaders::load;
use crate::graphql::prompt::Prompt;
use crate::graphql::scalars::Money;
use crate::graphql::{ApiError, ApiResult, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::BookId;
use crate::kernel::money;
use crate::tenant::catalog::books::graphql::BookNode;
use crate::tenant::orders::order::model::{Line, Order};

/// A line of an order.
pub struct OrderLine {
    line: Line,
    unit_price: Option<money::Money>,
    total_price: Option<money::Money>,
}

/// A place among an order's lines, which are in the order of their books' ids.
pub struct LineCursor(BookId);

impl CursorType for LineCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, id] = decode_parts(text).ok_or("malformed")?;
        if kind == "LINE" { id.parse().map(Self).map_err(|_| "malformed") } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["LINE", &self.0.to_string()])
    }
}

/// A page of an order's lines.
pub type LineConnection = Connection<LineCursor, OrderLine>;

/// One page of an order's lines.
pub(super) fn lines_of(order: &Order, all: &[Line], args: PageArgs) -> ApiResult<LineConnection> {
    let request = args.parse::<LineCursor>()?;
    // A line that was taken away meanwhile has had its place: lines are in the order of their books.
    let place = |from: &LineCursor| {
        let start = all.partition_point(|line| line.book_id < from.0);
        Some(start..all.partition_point(|line| line.book_id <= from.0))
    };
    let page = request.slice(all, place).ok_or_else(ApiError::internal)?;
    Ok(connection(page, EmptyFields, |line: Line| {
        let unit_price = order.money(line.unit_price_minor);
        let total_price = order.money(line.total_minor());
        (LineCursor(line.book_id), OrderLine { line, unit_price, total_price })
    }))
}

/// A line of an order.
#[Object]
impl OrderLine {
    /// The book as it is now; null where the caller may not see the catalogue.
    async fn book(&self, ctx: &Context<'_>) -> ApiResult<Option<Prompt<BookNode>>> {
        let shop = Shop::of(ctx)?;
        if !shop.actor().may(Permission::CatalogRead) {
            return Ok(None);
        }
        Ok(load(&shop.loaders().book_by_id, self.line.book_id).await?.map(|book| Prompt(BookNode((*book).clone()))))
    }

    /// The book's title when the line was last set; when the order is placed, it is brought up to date and frozen.
    async fn title(&self) -> &str {
        &self.line.title
    }

    /// The number of copies.
    async fn quantity(&self) -> i32 {
        self.line.quantity
    }

    /// The price of a copy when the line was last set; when the order is placed, it is brought up to date and frozen.
    async fn unit_price(&self) -> ApiResult<Money> {
        self.unit_price.map(Money::from).ok_or_else(ApiError::internal)
    }

    /// The total of the line.
    async fn total_price(&self) -> ApiResult<Money> {
        self.total_price.map(Money::from).ok_or_else(ApiError::internal)
    }
}
