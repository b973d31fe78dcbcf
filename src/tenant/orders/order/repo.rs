//! SQL of orders.

mod statements;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use futures_util::future::try_join;
use uuid::Uuid;

use super::model::{Line, Offer, Order, OrderFilter, OrderOrder, OrderPosition, OrderSort, StockMove};
use crate::db::keyset::keyset;
use crate::db::schema::tenant::{books, customers, order_lines, orders};
use crate::db::statement::kept;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::{BookId, CustomerId, OrderId};
use crate::kernel::page::{Direction, PageRequest};
use crate::tenant::idempotency::Recall;
use statements::{LinesFreeze, LinesInsert, OrderInsert, StockUpdate};

impl Recall for Order {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        order_by_id(read, OrderId(id)).await
    }
}

/// A draft that is about to be entered.
pub struct NewOrder {
    /// The order.
    pub id: OrderId,
    /// Who buys.
    pub customer: CustomerId,
    /// The customer's data, sealed.
    pub customer_sealed: Vec<u8>,
    /// The currency.
    pub currency: &'static str,
    /// The sum of the lines, in minor units.
    pub total_minor: i64,
    /// Who enters it.
    pub created_by: Option<Uuid>,
    /// When.
    pub now: DateTime<Utc>,
}

/// An order by its id.
pub async fn order_by_id(read: &TenantRead, id: OrderId) -> Result<Option<Order>, DbError> {
    read.first(orders::table.filter(orders::id.eq(id.0)).select(Order::as_select())).await
}

/// The next orders of some customers after one, in the order of their ids, each with its customer.
pub async fn order_list_of_customers(
    read: &TenantRead,
    customers: &[CustomerId],
    after: Option<OrderId>,
    limit: i64,
) -> Result<Vec<(OrderId, CustomerId)>, DbError> {
    let customers: Vec<Uuid> = customers.iter().map(|id| id.0).collect();
    let query = orders::table
        .filter(orders::customer_id.eq_any(customers))
        .filter(orders::id.gt(after.map_or(Uuid::nil(), |id| id.0)))
        .order(orders::id)
        .limit(limit)
        .select((orders::id, orders::customer_id));
    let rows: Vec<(Uuid, Uuid)> = read.load(query).await?;
    Ok(rows.into_iter().map(|(order, customer)| (OrderId(order), CustomerId(customer))).collect())
}

/// One page's rows of orders, read in the page's direction.
pub async fn order_list(
    read: &TenantRead,
    filter: &OrderFilter,
    sort: OrderSort,
    page: &PageRequest<OrderPosition>,
) -> Result<Vec<Order>, DbError> {
    let ascending = sort.descending == (page.direction == Direction::Backward);
    let query = filtered(filter).limit(page.rows());
    let query = match sort.order {
        OrderOrder::CreatedAt => {
            let query = match (page.from.map(|from| from.id.0), ascending) {
                (None, _) => query,
                (Some(id), true) => query.filter(orders::id.gt(id)),
                (Some(id), false) => query.filter(orders::id.lt(id)),
            };
            if ascending { query.order(orders::id.asc()) } else { query.order(orders::id.desc()) }
        }
        OrderOrder::TotalPrice => {
            let from = page.from.map(|from| (from.total_minor, from.id.0));
            keyset!(query, ascending: ascending, from: from, orders::total_minor, orders::id)
        }
    };
    read.load(query.select(Order::as_select())).await
}

/// How many orders pass the filter.
pub async fn order_count(read: &TenantRead, filter: &OrderFilter) -> Result<i64, DbError> {
    read.one(filtered(filter).count()).await
}

fn filtered(filter: &OrderFilter) -> orders::BoxedQuery<'static, Pg> {
    let mut query = orders::table.into_boxed();
    if !filter.statuses.is_empty() {
        let statuses: Vec<&'static str> = filter.statuses.iter().map(|status| status.as_str()).collect();
        query = query.filter(orders::status.eq_any(statuses));
    }
    if let Some(from) = filter.placed_from {
        query = query.filter(orders::placed_at.ge(from));
    }
    if let Some(to) = filter.placed_to {
        query = query.filter(orders::placed_at.lt(to));
    }
    if let Some(hash) = &filter.email_hash {
        let customer = customers::table.filter(customers::email_hash.eq(hash.clone())).select(customers::id);
        query = query.filter(orders::customer_id.eq_any(customer));
    }
    if let Some(book) = filter.book {
        let of_book = order_lines::table.filter(order_lines::book_id.eq(book.0)).select(order_lines::order_id);
        query = query.filter(orders::id.eq_any(of_book));
    }
    query
}

/// The lines of orders, in the order of the books' ids.
pub async fn line_list(read: &TenantRead, ids: &[OrderId]) -> Result<Vec<Line>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let query = order_lines::table.filter(order_lines::order_id.eq_any(ids)).select(Line::as_select());
    read.load(query.order((order_lines::order_id, order_lines::book_id))).await
}

/// What orders must know of books.
///
/// They cannot be removed until the transaction ends, nor the table be locked: lines that name them are entered when the shop's head is locked, and then nothing may be waited for.
pub async fn offer_list_share(tx: &TenantTx, ids: &[BookId]) -> Result<Vec<Offer>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let query = books::table.filter(books::id.eq_any(ids)).order(books::id).select(Offer::as_select());
    tx.load(query.for_key_share()).await
}

/// An order, locked until the transaction ends.
pub async fn order_lock(tx: &TenantTx, id: OrderId) -> Result<Option<Order>, DbError> {
    tx.first(orders::table.filter(orders::id.eq(id.0)).select(Order::as_select()).for_no_key_update()).await
}

/// An order with its lines and their books, all locked until the transaction ends, in one trip.
///
/// The order goes first. Books are locked in the order of their ids, as every other order does, so that no two wait for
/// each other.
pub async fn order_lock_with_books(tx: &TenantTx, id: OrderId) -> Result<Option<(Order, Vec<(Line, Offer)>)>, DbError> {
    let lines = order_lines::table
        .inner_join(books::table)
        .filter(order_lines::order_id.eq(id.0))
        .order(books::id)
        .select((Line::as_select(), Offer::as_select()))
        .for_no_key_update();
    let (order, lines) = try_join(order_lock(tx, id), tx.load(lines)).await?;
    Ok(order.map(|order| (order, lines)))
}

/// Enters an order under the next number of the shop, with its lines. It takes the lock of the shop's head.
pub async fn order_insert(tx: &TenantTx, new: NewOrder, lines: &[Line]) -> Result<Order, DbError> {
    let id = new.id;
    let order = tx.one::<_, Order, _>(OrderInsert {
        now: new.now,
        id: new.id.0,
        customer: new.customer.0,
        customer_sealed: new.customer_sealed,
        currency: new.currency,
        total_minor: new.total_minor,
        created_by: new.created_by,
    });
    let lines = tx.load::<_, Uuid, _>(lines_insert(id, lines));
    Ok(try_join(order, lines).await?.0)
}

/// Enters a line, or changes what it has.
pub async fn line_upsert(tx: &mut TenantTx, line: &Line) -> Result<(), DbError> {
    let insert = diesel::insert_into(order_lines::table)
        .values(line_row(line))
        .on_conflict((order_lines::order_id, order_lines::book_id))
        .do_update()
        .set((
            order_lines::quantity.eq(line.quantity),
            order_lines::title.eq(line.title.clone()),
            order_lines::unit_price_minor.eq(line.unit_price_minor),
        ));
    tx.execute(insert).await.map(drop)
}

/// Removes a line, if it is there.
pub async fn line_delete(tx: &mut TenantTx, order: OrderId, book: BookId) -> Result<(), DbError> {
    let line = order_lines::table.filter(order_lines::order_id.eq(order.0)).filter(order_lines::book_id.eq(book.0));
    tx.execute(diesel::delete(line)).await.map(drop)
}

/// Writes where an order is, and counts the version up.
pub async fn order_update(tx: &TenantTx, order: &Order) -> Result<Order, DbError> {
    let update = diesel::update(orders::table.filter(orders::id.eq(order.id.0)))
        .set((
            orders::status.eq(order.status.clone()),
            orders::total_minor.eq(order.total_minor),
            orders::cancel_reason.eq(order.cancel_reason.clone()),
            orders::version.eq(orders::version + 1),
            orders::updated_at.eq(order.updated_at),
            orders::placed_at.eq(order.placed_at),
            orders::paid_at.eq(order.paid_at),
            orders::fulfilled_at.eq(order.fulfilled_at),
            orders::delivered_at.eq(order.delivered_at),
            orders::canceled_at.eq(order.canceled_at),
            orders::refunded_at.eq(order.refunded_at),
        ))
        .returning(Order::as_returning());
    tx.one(kept(update)).await
}

/// Writes where an order is and moves the copies of its lines, in one trip. The books must be locked.
pub async fn order_update_with_stock(
    tx: &TenantTx,
    order: &Order,
    lines: &[Line],
    mv: StockMove,
) -> Result<Order, DbError> {
    let stock = tx.load::<_, Uuid, _>(stock_update(lines, mv, order.updated_at));
    Ok(try_join(stock, order_update(tx, order)).await?.1)
}

/// Writes a placed order: freezes its lines and reserves their copies, in one trip. The books must be locked.
pub async fn order_update_placed(tx: &TenantTx, order: &Order, lines: &[Line]) -> Result<Order, DbError> {
    let freeze = tx.load::<_, Uuid, _>(lines_freeze(order.id, lines));
    Ok(try_join(freeze, order_update_with_stock(tx, order, lines, StockMove::Reserve)).await?.1)
}

fn stock_update(lines: &[Line], mv: StockMove, now: DateTime<Utc>) -> StockUpdate {
    let [stock, reserved, sold] = mv.signs();
    let ids = lines.iter().map(|line| line.book_id.0).collect();
    StockUpdate { stock, reserved, sold, now, ids, quantities: lines.iter().map(|line| line.quantity).collect() }
}

fn lines_insert(order: OrderId, lines: &[Line]) -> LinesInsert {
    LinesInsert {
        order: order.0,
        ids: lines.iter().map(|line| line.book_id.0).collect(),
        quantities: lines.iter().map(|line| line.quantity).collect(),
        titles: lines.iter().map(|line| line.title.clone()).collect(),
        prices: lines.iter().map(|line| line.unit_price_minor).collect(),
    }
}

fn lines_freeze(order: OrderId, lines: &[Line]) -> LinesFreeze {
    LinesFreeze {
        ids: lines.iter().map(|line| line.book_id.0).collect(),
        titles: lines.iter().map(|line| line.title.clone()).collect(),
        prices: lines.iter().map(|line| line.unit_price_minor).collect(),
        order: order.0,
    }
}

type LineRow = (
    diesel::dsl::Eq<order_lines::order_id, Uuid>,
    diesel::dsl::Eq<order_lines::book_id, Uuid>,
    diesel::dsl::Eq<order_lines::quantity, i32>,
    diesel::dsl::Eq<order_lines::title, String>,
    diesel::dsl::Eq<order_lines::unit_price_minor, i64>,
);

fn line_row(line: &Line) -> LineRow {
    (
        order_lines::order_id.eq(line.order_id.0),
        order_lines::book_id.eq(line.book_id.0),
        order_lines::quantity.eq(line.quantity),
        order_lines::title.eq(line.title.clone()),
        order_lines::unit_price_minor.eq(line.unit_price_minor),
    )
}
