//! A few orders for a demo shop, one of each kind that a developer wants to look at.

use std::sync::Arc;

use crate::app::App;
use crate::cli::output::error;
use crate::db::{TenantRead, TenantTx};
use crate::kernel::actor::Actor;
use crate::kernel::page::{Direction, PageRequest};
use crate::kernel::tenant::TenantCtx;
use crate::tenant::catalog::books::model::{BookFilter, BookOrder, BookSort};
use crate::tenant::catalog::books::service::book_list;
use crate::tenant::journal::{self, Act};
use crate::tenant::orders::customers::model::NewCustomer;
use crate::tenant::orders::order::model::{NewLine, OrderFilter};
use crate::tenant::orders::order::service::{Desk, order_count, order_create, order_place};
use crate::tenant::orders::payments::service::order_pay;

/// Books that the orders are of.
const BOOKS: usize = 3;

/// Enters a draft, a placed order and one that is about to be paid, unless the shop has orders.
pub async fn fill(app: &App, context: &Arc<TenantCtx>) -> anyhow::Result<()> {
    let services = &app.services;
    let session = services.tenants.session(Arc::clone(context));
    let read = session.read().await?;
    let has_orders = order_count(&read, &Actor::System, &OrderFilter::default()).await.map_err(error)? > 0;
    let lines = lines(&read).await?;
    drop(read);
    session.finish().await;
    if has_orders {
        return Ok(());
    }
    let desk = Desk { actor: &Actor::System, clock: &*services.clock, tenant: context, vault: &services.vault };
    let (settings, is_available) = (services.settings.platforms(context), services.payments.is_some());
    for (step, name) in ["Ann", "Bea", "Cid"].into_iter().enumerate() {
        let customer = NewCustomer {
            name: format!("{name} of {}", context.slug),
            email: format!("{}@{}.example", name.to_lowercase(), context.slug),
            address: Some("1 High Street".to_owned()),
        };
        let work = async |tx: &mut TenantTx| order_create(tx, desk, &settings, &customer, &lines).await;
        let act = Act::of_system("order.create", desk.tenant, desk.vault, desk.clock);
        let order = journal::service::write(&session, act, work).await.map_err(error)?;
        if step > 0 {
            let work = async |tx: &mut TenantTx| order_place(tx, desk, &settings, (order.id, None)).await;
            let act = Act::of_system("order.place", desk.tenant, desk.vault, desk.clock);
            journal::service::write(&session, act, work).await.map_err(error)?;
        }
        if step > 1 && is_available {
            let work = async |tx: &mut TenantTx| order_pay(tx, desk, (order.id, None), is_available).await;
            let act = Act::of_system("order.pay", desk.tenant, desk.vault, desk.clock);
            journal::service::write(&session, act, work).await.map_err(error)?;
        }
    }
    Ok(())
}

/// A copy of each of the shop's first books that are for sale.
async fn lines(read: &TenantRead) -> anyhow::Result<Vec<NewLine>> {
    let page = PageRequest { limit: BOOKS, direction: Direction::Forward, from: None };
    let sort = BookSort { order: BookOrder::CreatedAt, descending: false };
    let filter = BookFilter { in_stock: Some(true), ..BookFilter::default() };
    let page = book_list(read, &Actor::System, &filter, sort, page).await.map_err(error)?;
    let for_sale = page.items.into_iter().filter(|listed| listed.book.price_minor.is_some());
    Ok(for_sale.map(|listed| NewLine { book: listed.book.id, quantity: 1 }).collect())
}
