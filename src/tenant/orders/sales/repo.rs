//! SQL of reports.
//!
//! Plain SQL: a report is asked seldom, and the query builder has no words for its groups.

use chrono::{NaiveDate, NaiveTime};
use diesel::sql_query;
use diesel::sql_types::{Integer, Timestamptz};

use super::model::{SalesBy, SalesRange, SalesRow};
use crate::db::{DbError, TenantRead};
use crate::kernel::clock::storable;

/// The paid orders of a time, line by line. What was paid back does not count.
const BY_DAY: &str = "SELECT (orders.paid_at AT TIME ZONE 'UTC')::date AS day, NULL::uuid AS book, NULL::text AS title,
        NULL::uuid AS category, count(DISTINCT orders.id) AS orders, sum(quantity)::bigint AS copies,
        sum(quantity * unit_price_minor)::bigint AS revenue_minor
    FROM orders JOIN order_lines ON order_id = orders.id
    WHERE status IN ('paid', 'fulfilled', 'delivered') AND paid_at >= $1 AND paid_at < $2
    GROUP BY 1 ORDER BY 1 LIMIT $3";

const BY_BOOK: &str = "SELECT NULL::date AS day, book_id AS book, (array_agg(title ORDER BY paid_at DESC))[1] AS title,
        NULL::uuid AS category, count(*) AS orders, sum(quantity)::bigint AS copies,
        sum(quantity * unit_price_minor)::bigint AS revenue_minor
    FROM orders JOIN order_lines ON order_id = orders.id
    WHERE status IN ('paid', 'fulfilled', 'delivered') AND paid_at >= $1 AND paid_at < $2
    GROUP BY book_id ORDER BY revenue_minor DESC, book_id LIMIT $3";

const BY_CATEGORY: &str = "SELECT NULL::date AS day, NULL::uuid AS book, NULL::text AS title, category_id AS category,
        count(DISTINCT orders.id) AS orders, sum(quantity)::bigint AS copies,
        sum(quantity * unit_price_minor)::bigint AS revenue_minor
    FROM orders JOIN order_lines ON order_id = orders.id JOIN books ON books.id = book_id
    WHERE status IN ('paid', 'fulfilled', 'delivered') AND paid_at >= $1 AND paid_at < $2
    GROUP BY category_id ORDER BY revenue_minor DESC, category_id LIMIT $3";

/// A report's rows.
pub async fn sales_report(
    read: &TenantRead,
    range: SalesRange,
    by: SalesBy,
    rows_max: i32,
) -> Result<Vec<SalesRow>, DbError> {
    let text = match by {
        SalesBy::Day => BY_DAY,
        SalesBy::Book => BY_BOOK,
        SalesBy::Category => BY_CATEGORY,
    };
    let midnight = |day: NaiveDate| storable(day.and_time(NaiveTime::MIN).and_utc());
    let until = range.to.succ_opt().unwrap_or(range.to);
    let query = sql_query(text)
        .bind::<Timestamptz, _>(midnight(range.from))
        .bind::<Timestamptz, _>(midnight(until))
        .bind::<Integer, _>(rows_max);
    read.load(query).await
}
