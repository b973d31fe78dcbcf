//! Reports at the edge.

use async_graphql::{Context, Enum, Object};

use super::model::{DAYS_MAX, SalesBy, SalesRange, SalesRow};
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{ROWS_DEFAULT, ROWS_MAX};
use crate::graphql::loaders::load;
use crate::graphql::payload::into_error;
use crate::graphql::scalars::{Date, Money};
use crate::graphql::{ApiError, ApiResult, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::{BookId, CategoryId};
use crate::kernel::money;
use crate::tenant::catalog::books::graphql::BookNode;
use crate::tenant::catalog::categories::graphql::{CategoryNode, category};

/// The meaning of the rows of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "SalesBy")]
pub enum SalesGroup {
    /// A row for each book, the best first.
    Book,
    /// A row for each category, the best first; a book counts in the category that it is in now.
    Category,
    /// A row for each day that has sales, in their order.
    Day,
}

/// A row of the report: sums over the paid orders of a day, a book or a category.
pub struct SalesReportRow {
    row: SalesRow,
    revenue: money::Money,
}

/// A row of the report: sums over the paid orders of a day, a book or a category.
#[Object]
impl SalesReportRow {
    /// The day, in UTC, of a report by day.
    async fn day(&self) -> Option<Date> {
        self.row.day.map(Date)
    }

    /// The book as it is now, of a report by book; null where the caller may not see the catalogue.
    async fn book(&self, ctx: &Context<'_>) -> ApiResult<Option<BookNode>> {
        let shop = Shop::of(ctx)?;
        let Some(id) = self.row.book.filter(|_| shop.actor().may(Permission::CatalogRead)) else { return Ok(None) };
        Ok(load(&shop.loaders().book_by_id, BookId(id)).await?.map(|book| BookNode((*book).clone())))
    }

    /// The title that the book was last sold under, of a report by book.
    async fn title(&self) -> Option<&str> {
        self.row.title.as_deref()
    }

    /// The category, of a report by category; null for books without one.
    async fn category(&self, ctx: &Context<'_>) -> ApiResult<Option<CategoryNode>> {
        let may = Shop::of(ctx)?.actor().may(Permission::CatalogRead);
        match self.row.category.filter(|_| may) {
            Some(id) => category(ctx, CategoryId(id)).await,
            None => Ok(None),
        }
    }

    /// The number of paid orders.
    async fn order_count(&self) -> i64 {
        self.row.orders
    }

    /// The number of copies in these orders.
    async fn copy_count(&self) -> i64 {
        self.row.copies
    }

    /// The sum of what these orders were paid for.
    async fn revenue(&self) -> Money {
        self.revenue.into()
    }
}

/// Queries about sales.
#[derive(Default)]
pub struct SalesQuery;

#[Object]
impl SalesQuery {
    /// Sums up what was sold in a range of days, by the time of payment in UTC. Refunded orders do not count.
    #[graphql(directive = access::apply(needs(Permission::OrdersRead)))]
    async fn sales_report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first day.")] from: Date,
        #[graphql(desc = "The last day, at most a year after the first.")] to: Date,
        #[graphql(desc = "The meaning of the rows.")] by: SalesGroup,
        #[graphql(desc = "Rows from the start, 1 to 366 on every plan; 100 by default.")] first: Option<i32>,
    ) -> ApiResult<Vec<SalesReportRow>> {
        let (shop, range) = (Shop::of(ctx)?, SalesRange { from: from.0, to: to.0 });
        if !(0..DAYS_MAX).contains(&(range.to - range.from).num_days()) {
            return Err(ApiError::bad_request(format!("A report is about 1 to {DAYS_MAX} days.")));
        }
        let rows_max = first.unwrap_or(ROWS_DEFAULT);
        if !(1..=ROWS_MAX).contains(&rows_max) {
            return Err(ApiError::bad_request(format!("A report has 1 to {ROWS_MAX} rows.")));
        }
        let rows = service::sales_report(&shop.read().await?, shop.actor(), range, by.into(), rows_max).await;
        let rows = rows.map_err(|failure| into_error(failure, shop.actor()))?;
        let currency = shop.tenant().currency;
        let row = |row: SalesRow| SalesReportRow { revenue: money::Money::of_sum(row.revenue_minor, currency), row };
        Ok(rows.into_iter().map(row).collect())
    }
}
