//! Mutations of books.

use async_graphql::{Context, ID, Object};

use super::BookNode;
use super::input::{BookCreateInput, BookUpdateInput};
use crate::db::TenantTx;
use crate::graphql::access::{access, needs};
use crate::graphql::payload::payload;
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::CatalogUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey};
use crate::kernel::actor::Permission;
use crate::kernel::flags::Flag;
use crate::kernel::settings::CATALOG_STOCK_LOW;
use crate::tenant::catalog::books::model::Book;
use crate::tenant::catalog::books::service::{self, Terms};
use crate::tenant::catalog::error::CatalogErrorCode;

payload!(
    /// The answer to `bookCreate`.
    BookCreatePayload {
        /// The new book.
        book: BookNode(Book)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `bookUpdate`.
    BookUpdatePayload {
        /// The book as it is now.
        book: BookNode(Book)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `bookArchive`.
    BookArchivePayload {
        /// The book as it is now.
        book: BookNode(Book)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `bookUnarchive`.
    BookUnarchivePayload {
        /// The book as it is now.
        book: BookNode(Book)
    },
    CatalogUserError(CatalogErrorCode)
);

/// Mutations of books.
#[derive(Default)]
pub struct BookMutation;

#[Object]
impl BookMutation {
    /// Adds a book to the catalogue.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn book_create(
        &self,
        ctx: &Context<'_>,
        input: BookCreateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<BookCreatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let (tenant, new) = (call.shop.tenant(), input.parse()?);
        let work = async |tx: &mut _| service::book_create(tx, call.actor(), call.request.clock(), tenant, &new).await;
        BookCreatePayload::new(call.write("book.create", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Changes a book.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn book_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The version that the change was made for.")] version: i32,
        input: BookUpdateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<BookUpdatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let (target, patch) = ((parse_id(&id)?, version), input.parse()?);
        let (clock, tenant) = (call.request.clock(), call.shop.tenant());
        let work = async |tx: &mut TenantTx| {
            let stock_low = if tenant.has(Flag::StockLowOnUpdate, clock.now()) {
                Some(call.settings(tx).await?.get(CATALOG_STOCK_LOW))
            } else {
                None
            };
            let terms = Terms { currency: tenant.currency, stock_low };
            service::book_update(tx, call.actor(), clock, terms, target, &patch).await
        };
        BookUpdatePayload::new(call.write("book.update", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Archives a book: it is no longer listed, and stays where it was named.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn book_archive(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the book has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<BookArchivePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| {
            service::book_set_archived(tx, call.actor(), call.request.clock(), id, version, true).await
        };
        BookArchivePayload::new(call.write("book.archive", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Takes an archived book back.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn book_unarchive(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the book has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<BookUnarchivePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| {
            service::book_set_archived(tx, call.actor(), call.request.clock(), id, version, false).await
        };
        BookUnarchivePayload::new(call.write("book.unarchive", Permission::CatalogWrite, work).await, call.actor())
    }
}
