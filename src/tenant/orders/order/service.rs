//! Decisions about orders.

mod checks;
mod moves;

pub use moves::{CancelReason, order_cancel, order_deliver, order_fulfill, order_place, order_refund};

use super::model::{LINES_MAX, Line, NewLine, Offer, Order, OrderFilter, OrderOrder, OrderPosition, OrderSort};
use super::repo::{self, NewOrder};
use crate::db::{TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{BookId, OrderId};
use crate::kernel::journal::Change;
use crate::kernel::money::AMOUNT_MINOR_MAX;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::settings::{ORDERS_QUANTITY_MAX, Settings};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::events::{DomainEvent, OrderFacts, publish};
use crate::tenant::orders::customers::model::NewCustomer;
use crate::tenant::orders::customers::service::{customer_of, valid_customer};
use crate::tenant::orders::error::{OrderError, OrderErrorCode, OrderRefusal};
use crate::tenant::orders::status::OrderMove;
use crate::vault::Vault;
use checks::{check_move, check_quantity, order_not_found};

/// Where orders are taken: who works there, and with what.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Who acts.
    pub actor: &'a Actor,
    /// Time and ids.
    pub clock: &'a dyn Clock,
    /// The shop.
    pub tenant: &'a TenantCtx,
    /// Seals what is known of customers.
    pub vault: &'a Vault,
}

/// An order by its id.
///
/// # Errors
/// The actor may not see orders, or the database failed.
pub async fn order_by_id(read: &TenantRead, actor: &Actor, id: OrderId) -> Result<Option<Order>, OrderError> {
    actor.require(Permission::OrdersRead)?;
    Ok(repo::order_by_id(read, id).await?)
}

/// One page of orders.
///
/// # Errors
/// The actor may not see orders, or the database failed.
pub async fn order_list(
    read: &TenantRead,
    actor: &Actor,
    filter: &OrderFilter,
    sort: OrderSort,
    page: PageRequest<OrderPosition>,
) -> Result<Page<(OrderPosition, Order)>, OrderError> {
    actor.require(Permission::OrdersRead)?;
    let rows = repo::order_list(read, filter, sort, &page).await?;
    let total = |order: &Order| if sort.order == OrderOrder::TotalPrice { order.total_minor } else { 0 };
    let position = |order: &Order| OrderPosition { order: sort.order, total_minor: total(order), id: order.id };
    Ok(page.cut(rows.into_iter().map(|order| (position(&order), order)).collect()))
}

/// How many orders pass the filter.
///
/// # Errors
/// The actor may not see orders, or the database failed.
pub async fn order_count(read: &TenantRead, actor: &Actor, filter: &OrderFilter) -> Result<i64, OrderError> {
    actor.require(Permission::OrdersRead)?;
    Ok(repo::order_count(read, filter).await?)
}

/// Enters a draft, with lines or without.
///
/// # Errors
/// A reason for each field of the customer and each line that is wrong.
pub async fn order_create(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    settings: &Settings,
    customer: &NewCustomer,
    lines: &[NewLine],
) -> Result<Order, OrderError> {
    desk.actor.require(Permission::OrdersWrite)?;
    let customer = valid_customer(customer).map_err(OrderError::Refused)?;
    let id = OrderId(desk.clock.new_id());
    let lines = priced(tx, id, lines, settings).await?;
    let total_minor = total(&lines, &["input", "lines"])?;
    let (customer, customer_sealed) = customer_of(tx, desk, id, &customer).await?;
    let new = NewOrder {
        id,
        customer,
        customer_sealed,
        currency: desk.tenant.currency.code(),
        total_minor,
        created_by: desk.actor.principal().map(|principal| principal.user.0),
        now: desk.clock.now(),
    };
    let order = repo::order_insert(tx, new, &lines).await?;
    tx.note(Change::created(id, order.trail()));
    publish(tx, desk.clock, DomainEvent::OrderCreated(id, facts(&order)));
    Ok(order)
}

/// Sets how many copies of a book a draft has; none takes the line away.
///
/// # Errors
/// There is no such order or book, the order is no draft or of another version, the book is not for sale, the quantity
/// is out of bounds, or the order has too many lines.
pub async fn order_line_set(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    settings: &Settings,
    (id, version): (OrderId, Option<i32>),
    line: NewLine,
) -> Result<Order, OrderError> {
    desk.actor.require(Permission::OrdersWrite)?;
    let mut order = locked(tx, (id, version), OrderMove::Edit).await?;
    let before = order.trail();
    if line.quantity == 0 {
        repo::line_delete(tx, id, line.book).await?;
    } else {
        if let Some(priced) = priced(tx, id, &[line], settings).await?.first() {
            repo::line_upsert(tx, priced).await?;
        }
    }
    let lines = repo::line_list(tx, &[id]).await?;
    if lines.len() > LINES_MAX {
        return Err(line_limit(&["bookId"]).into());
    }
    order.total_minor = total(&lines, &["quantity"])?;
    order.updated_at = desk.clock.now();
    let order = repo::order_update(tx, &order).await?;
    let mut after = order.trail();
    after["line"] = serde_json::json!({ "bookId": line.book.to_string(), "quantity": line.quantity });
    tx.note(Change::changed(id, before, after));
    Ok(order)
}

/// An order from which a move is allowed, locked until the transaction ends.
pub(in crate::tenant::orders) async fn locked(
    tx: &TenantTx,
    (id, version): (OrderId, Option<i32>),
    mv: OrderMove,
) -> Result<Order, OrderError> {
    let order = repo::order_lock(tx, id).await?.ok_or_else(|| order_not_found(id))?;
    check_move(&order, version, mv)?;
    Ok(order)
}

/// Lines with the titles and prices of now.
async fn priced(
    tx: &TenantTx,
    order: OrderId,
    lines: &[NewLine],
    settings: &Settings,
) -> Result<Vec<Line>, OrderError> {
    if lines.len() > LINES_MAX {
        return Err(line_limit(&["input", "lines"]).into());
    }
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<BookId> = lines.iter().map(|line| line.book).collect();
    let offers = repo::offer_list_share(tx, &ids).await?;
    let quantity_max = settings.get(ORDERS_QUANTITY_MAX);
    let mut refusals = Vec::new();
    let mut priced: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines {
        let is_repeated = priced.iter().any(|known| known.book_id == line.book);
        let offer = offers.iter().find(|offer| offer.id == line.book);
        match check_quantity(line, is_repeated, quantity_max).and_then(|()| price_of(line.book, offer)) {
            Ok((offer, price)) => priced.push(Line {
                order_id: order,
                book_id: line.book,
                quantity: line.quantity,
                title: offer.title.clone(),
                unit_price_minor: price,
            }),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() { Ok(priced) } else { Err(OrderError::Refused(refusals)) }
}

/// The offer of a book and its price, if it is for sale.
fn price_of(book: BookId, offer: Option<&Offer>) -> Result<(&Offer, i64), OrderRefusal> {
    let Some(offer) = offer else {
        let message = format!("There is no book `{book}`.");
        return Err(OrderRefusal::new(OrderErrorCode::BookNotFound, message, &["bookId"]));
    };
    offer.price().map(|price| (offer, price)).ok_or_else(|| {
        let message = format!("`{}` is not for sale.", offer.title);
        OrderRefusal::new(OrderErrorCode::BookNotForSale, message, &["bookId"])
    })
}

/// What lines come to together, in minor units.
fn total(lines: &[Line], path: &[&'static str]) -> Result<i64, OrderRefusal> {
    let total = lines.iter().fold(0_i64, |total, line| total.saturating_add(line.total_minor()));
    if total > AMOUNT_MINOR_MAX {
        return Err(OrderRefusal::new(OrderErrorCode::TotalTooLarge, "The total is more than can be.", path));
    }
    Ok(total)
}

fn line_limit(path: &[&'static str]) -> OrderRefusal {
    OrderRefusal::new(OrderErrorCode::LineLimitReached, format!("An order has at most {LINES_MAX} lines."), path)
}

/// What an event tells of an order.
pub(in crate::tenant::orders) fn facts(order: &Order) -> OrderFacts {
    OrderFacts { number: order.number, total_minor: order.total_minor, currency: order.currency.clone() }
}
