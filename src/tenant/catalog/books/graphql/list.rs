//! Queries about books.

use async_graphql::connection::CursorType;
use async_graphql::{Context, Enum, ID, InputObject, Object};

use super::BookNode;
use super::input::BookFilterInput;
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, SortDirection, connection, decode_parts, encode_parts};
use crate::graphql::deprecation::visible;
use crate::graphql::payload::into_error;
use crate::graphql::scalars::parse_id;
use crate::graphql::{ApiError, ApiResult, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::page::Page;
use crate::tenant::catalog::books::model::{BookFilter, BookKey, BookOrder, BookPosition, BookSort, Listed};
use crate::tenant::catalog::books::search::Words;
use crate::tenant::catalog::books::service;

/// The field that a list of books is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum BookSortField {
    /// The time when the book was entered.
    CreatedAt,
    /// The price; books that are not for sale come after every price.
    Price,
    /// The date of publication; books whose date is unknown come before every date.
    PublishedOn,
    /// The quality of the match; only together with `search`.
    Relevance,
    /// The title, without regard to case and accents.
    Title,
}

/// The order of a list of books. Equal ones are in the order of their ids.
#[derive(Debug, Clone, Copy, InputObject)]
pub struct BookSortInput {
    /// The field to sort by.
    field: BookSortField,
    /// The direction.
    #[graphql(default)]
    direction: SortDirection,
}

impl From<BookSortInput> for BookSort {
    fn from(input: BookSortInput) -> Self {
        let order = match input.field {
            BookSortField::CreatedAt => BookOrder::CreatedAt,
            BookSortField::Price => BookOrder::Price,
            BookSortField::PublishedOn => BookOrder::PublishedOn,
            BookSortField::Relevance => BookOrder::Relevance,
            BookSortField::Title => BookOrder::Title,
        };
        Self { order, descending: input.direction == SortDirection::Desc }
    }
}

/// A place in a list of books. It names the order that it is of, so that it is not used in another.
pub struct BookCursor(pub BookPosition);

impl CursorType for BookCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        const MALFORMED: &str = "malformed";
        let [order, key, id] = decode_parts(text).ok_or(MALFORMED)?;
        let id = id.parse().map_err(|_| MALFORMED)?;
        let key = match order.as_str() {
            "CREATED_AT" => BookKey::CreatedAt,
            "PRICE" => BookKey::Price(key.parse().map_err(|_| MALFORMED)?),
            "PUBLISHED_ON" => BookKey::PublishedOn(key.parse().map_err(|_| MALFORMED)?),
            // The bits, because the decimal text of a float is not always the same float.
            "RELEVANCE" => BookKey::Relevance(f32::from_bits(key.parse().map_err(|_| MALFORMED)?)),
            "TITLE" => BookKey::Title(key),
            _ => return Err(MALFORMED),
        };
        Ok(Self(BookPosition { key, id }))
    }

    fn encode_cursor(&self) -> String {
        let (order, key) = match &self.0.key {
            BookKey::CreatedAt => ("CREATED_AT", String::new()),
            BookKey::Price(minor) => ("PRICE", minor.to_string()),
            BookKey::PublishedOn(key) => ("PUBLISHED_ON", key.to_string()),
            BookKey::Relevance(rank) => ("RELEVANCE", rank.to_bits().to_string()),
            BookKey::Title(key) => ("TITLE", key.clone()),
        };
        encode_parts(&[order, &key, &self.0.id.to_string()])
    }
}

/// What a list of books knows beside its items.
pub struct BookTotal {
    filter: BookFilter,
    is_empty: bool,
}

#[Object]
impl BookTotal {
    /// The number of books in the list; counted when it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> ApiResult<Option<i64>> {
        if self.is_empty {
            return Ok(Some(0));
        }
        let shop = Shop::of(ctx)?;
        let count = service::book_count(&shop.read().await?, shop.actor(), &self.filter).await;
        count.map(Some).map_err(|failure| into_error(failure, shop.actor()))
    }
}

/// A page of books.
pub type BookConnection = Connection<BookCursor, BookNode, BookTotal>;

/// Queries about books.
#[derive(Default)]
pub struct BookQuery;

#[Object]
impl BookQuery {
    /// A book by id.
    #[graphql(directive = access::apply(needs(Permission::CatalogRead)))]
    async fn book(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<BookNode>> {
        let shop = Shop::of(ctx)?;
        let book = service::book_by_id(&shop.reads(ctx)?, shop.actor(), parse_id(&id)?).await;
        book.map(|book| book.map(BookNode)).map_err(|failure| into_error(failure, shop.actor()))
    }

    /// A book by ISBN, of ten or thirteen digits, with or without hyphens; null for text that is no ISBN.
    #[graphql(directive = access::apply(needs(Permission::CatalogRead)))]
    async fn book_by_isbn(&self, ctx: &Context<'_>, isbn: String) -> ApiResult<Option<BookNode>> {
        let shop = Shop::of(ctx)?;
        let book = service::book_by_isbn(&shop.reads(ctx)?, shop.actor(), &isbn).await;
        book.map(|book| book.map(BookNode)).map_err(|failure| into_error(failure, shop.actor()))
    }

    /// Lists books, in the order of entry, or the best match first if there is a search.
    #[graphql(directive = access::apply(needs(Permission::CatalogRead)))]
    #[expect(clippy::too_many_arguments, reason = "they are the field's arguments in the API")]
    async fn books(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The books to list.")] filter: Option<BookFilterInput>,
        #[graphql(
            desc = "Words of the title or of authors' names, as `search` has them.",
            deprecation = "Use `search`. Deprecated 2026-11-28. Removal on 2027-10-01 UTC.",
            visible = "visible::books_query"
        )]
        query: Option<String>,
        #[graphql(desc = "Words of the title or of authors' names; all must match, the last one as a beginning.")]
        search: Option<String>,
        #[graphql(desc = "The order of the list.")] sort: Option<BookSortInput>,
    ) -> ApiResult<BookConnection> {
        let shop = Shop::of(ctx)?;
        let request = PageArgs::new(after, before, first, last).parse::<BookCursor>()?.map(|cursor| cursor.0);
        if query.is_some() && search.is_some() {
            return Err(ApiError::bad_request("Give `search` or `query`, which is what it was called, and not both."));
        }
        let search = search.or(query);
        let mut filter = filter.unwrap_or_default().parse(shop.tenant().currency)?;
        filter.search = search.as_deref().and_then(Words::parse);
        if search.is_some() && filter.search.is_none() {
            // A search without words matches nothing, rather than everything.
            return Ok(books(Page { items: Vec::new(), has_next: false, has_previous: false }, filter));
        }
        let sort = sort.map_or_else(|| service::default_sort(&filter), BookSort::from);
        if sort.order == BookOrder::Relevance && filter.search.is_none() {
            return Err(ApiError::bad_request("Sorting by RELEVANCE needs a `search`."));
        }
        if request.from.as_ref().is_some_and(|from| from.key.order() != sort.order) {
            return Err(ApiError::bad_request("The cursor is of a list with another sort."));
        }
        let page = service::book_list(&shop.read().await?, shop.actor(), &filter, sort, request).await;
        Ok(books(page.map_err(|failure| into_error(failure, shop.actor()))?, filter))
    }
}

fn books(page: Page<Listed>, filter: BookFilter) -> BookConnection {
    let is_empty = page.items.is_empty() && !page.has_next && !page.has_previous;
    connection(page, BookTotal { filter, is_empty }, |listed| (BookCursor(listed.position), BookNode(listed.book)))
}
