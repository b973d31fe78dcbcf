//! Books at the edge.

mod input;
mod list;
mod mutation;
mod subscription;

use async_graphql::{Context, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};

pub use list::{BookConnection, BookQuery};
pub use mutation::BookMutation;
pub use subscription::StockSubscription;

use super::model::Book;
use crate::graphql::connection::PageArgs;
use crate::graphql::deprecation::visible;
use crate::graphql::loaders::load;
use crate::graphql::prompt::Prompt;
use crate::graphql::scalars::{Isbn13, Money};
use crate::graphql::{ApiResult, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::CategoryId;
use crate::kernel::money;
use crate::tenant::catalog::authors::graphql::{AuthorConnection, authors_of};
use crate::tenant::catalog::categories::graphql::{CategoryNode, category};

/// A book that the shop sells or means to sell.
#[derive(Clone)]
pub struct BookNode(pub Book);

impl From<Book> for BookNode {
    fn from(book: Book) -> Self {
        Self(book)
    }
}

/// A date of publication, as far as it is known.
#[derive(SimpleObject)]
pub struct PublishedOn {
    /// The astronomical year: 0 is 1 BCE, -749 is 750 BCE.
    year: i32,
    /// The month, 1 to 12, where it is known.
    month: Option<u8>,
    /// The day of the month, where it is known.
    day: Option<u8>,
}

/// A book that the shop sells or means to sell.
#[Object(name = "Book")]
impl BookNode {
    /// The book's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The title as printed.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The ISBN; null where the book has none or it is not known.
    async fn isbn13(&self) -> Option<Isbn13> {
        self.0.isbn13.clone().map(Isbn13)
    }

    /// The authors in the order of the title page.
    async fn authors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<AuthorConnection> {
        let all = load(&Shop::of(ctx)?.loaders().authors_by_book, self.0.id).await?;
        authors_of(&all, PageArgs::new(after, before, first, last))
    }

    /// The category; null where the book is in none.
    async fn category(&self, ctx: &Context<'_>) -> ApiResult<Option<Prompt<CategoryNode>>> {
        match self.0.category_id {
            None => Ok(None),
            Some(id) => Ok(category(ctx, CategoryId(id)).await?.map(Prompt)),
        }
    }

    /// The price; null for a book that is not for sale.
    async fn price(&self) -> Option<Money> {
        self.0.price().map(Money::from)
    }

    /// The price in the minor unit of the shop's currency; null for a book that is not for sale.
    #[graphql(
        deprecation = "Use `price`. Deprecated 2026-11-28. Removal on 2027-07-01 UTC.",
        visible = "visible::book_price_cents"
    )]
    async fn price_cents(&self) -> Option<i64> {
        self.0.price().map(money::Money::minor)
    }

    /// The language's tag (BCP 47), such as `en` or `en-GB`.
    async fn language(&self) -> Option<&str> {
        self.0.language.as_deref()
    }

    /// The date of publication, as far as it is known.
    async fn published_on(&self) -> Option<PublishedOn> {
        let date = self.0.published_on()?;
        Some(PublishedOn { year: date.year(), month: date.month(), day: date.day() })
    }

    /// The number of copies in stock.
    async fn stock(&self) -> i32 {
        self.0.stock
    }

    /// The number of the present version; an update names the version that it was made for.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The time when the book was archived; null for one in use.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }

    /// The time when the book was entered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the book was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Tells whether the caller may change and archive this book.
    async fn viewer_can_update(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        Ok(Shop::of(ctx)?.actor().may(Permission::CatalogWrite))
    }
}
