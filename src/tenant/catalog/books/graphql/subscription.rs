//! Looking on at the copies of books.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::BookNode;
use crate::graphql::access::{access, needs};
use crate::graphql::payload::into_error;
use crate::graphql::scalars::parse_id;
use crate::graphql::watch::{Happened, Watch};
use crate::graphql::{ApiResult, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::BookId;
use crate::kernel::news::{Fact, Topic};
use crate::live::Interest;
use crate::tenant::catalog::books::service::book_by_id;

/// Subscriptions about the copies of books.
#[derive(Default)]
pub struct StockSubscription;

/// A change of a book's copies in stock: bought, sold, reserved or counted anew.
#[derive(SimpleObject)]
pub struct StockChange {
    /// The book as it is now; null if more books have changed than are told one by one, or the book is gone: read anew
    /// what you show.
    book: Option<BookNode>,
}

#[Object]
impl StockSubscription {
    /// Tells of books whose copies in stock have changed. Of several changes of a book in a moment the last is told.
    /// For one book, it begins with the book as it is.
    #[graphql(directive = access::apply(needs(Permission::CatalogRead)))]
    async fn stock_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The book; without it, any book.")] book_id: Option<ID>,
        #[graphql(desc = "Tells only of books with so many copies left, or fewer.")] threshold: Option<i32>,
    ) -> ApiResult<Option<StockChange>> {
        let (watch, shop) = (Watch::of(ctx)?, Shop::of(ctx)?);
        let wanted: Option<BookId> = book_id.as_ref().map(parse_id).transpose()?;
        shop.actor().require(Permission::CatalogRead)?;
        watch.on(shop.tenant(), || match wanted {
            Some(id) => Interest::in_one(Fact::new(Topic::Stock, id)),
            None => Interest::in_all(Topic::Stock),
        })?;
        let id = match (wanted, watch.happened()) {
            (Some(id), _) => id,
            (None, Happened::Fact(fact)) => BookId(fact.id),
            (None, Happened::Anything) => return Ok(Some(StockChange { book: None })),
            (None, Happened::Begun) => {
                watch.pass();
                return Ok(None);
            }
        };
        let book = book_by_id(&shop.reads(ctx)?, shop.actor(), id).await;
        let book = book.map_err(|failure| into_error(failure, shop.actor()))?;
        let is_few = |book: &BookNode| threshold.is_none_or(|threshold| book.0.stock <= threshold);
        let book = book.map(BookNode);
        match wanted {
            Some(_) if !watch.is_new(&book.as_ref().map(|book| book.0.stock)) => return Ok(None),
            Some(_) if book.is_none() => {
                watch.end();
                return Ok(None);
            }
            _ => {}
        }
        if book.as_ref().is_some_and(|book| !is_few(book)) {
            watch.pass();
            return Ok(None);
        }
        Ok(Some(StockChange { book }))
    }
}
