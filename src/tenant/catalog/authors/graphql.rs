//! Authors at the edge.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};

use super::model::{Author, AuthorFilter};
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, connection};
use crate::graphql::payload::{into_error, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::CatalogUserError;
use crate::graphql::{ApiError, ApiResult, Call, IdempotencyKey, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::text::fold;
use crate::tenant::catalog::error::CatalogErrorCode;
use crate::tenant::catalog::named::NamedSort;
use crate::tenant::catalog::named::graphql::{NamedCursor, NamedSortInput, named_request};

/// An author of books.
#[derive(Clone)]
pub struct AuthorNode(pub Author);

impl From<Author> for AuthorNode {
    fn from(author: Author) -> Self {
        Self(author)
    }
}

/// An author of books.
#[Object(name = "Author")]
impl AuthorNode {
    /// The author's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The name as printed.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The number of the present version; an update names the version that it was made for.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The time when the author was archived; null for one in use.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }

    /// The time when the author was entered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the author was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Tells whether the caller may change and archive this author.
    async fn viewer_can_update(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        Ok(Shop::of(ctx)?.actor().may(Permission::CatalogWrite))
    }
}

/// A filter of authors. Fields that are given all apply.
#[derive(InputObject, Default)]
pub struct AuthorFilterInput {
    /// A text that the name contains, whatever its case and accents.
    name_contains: Option<String>,
    /// Lists archived authors alone if true, and those in use otherwise.
    is_archived: Option<bool>,
}

impl From<AuthorFilterInput> for AuthorFilter {
    fn from(input: AuthorFilterInput) -> Self {
        Self { name_contains: input.name_contains.as_deref().map(fold), archived: input.is_archived.unwrap_or(false) }
    }
}

/// What a list of authors knows beside its items.
pub struct AuthorTotal {
    counted: Counted,
}

/// How the total is found.
pub enum Counted {
    /// It is known already.
    Known(usize),
    /// By asking the database.
    ByFilter(AuthorFilter),
}

#[Object]
impl AuthorTotal {
    /// The number of authors in the list; counted when it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> ApiResult<Option<i64>> {
        match &self.counted {
            Counted::Known(count) => Ok(i64::try_from(*count).ok()),
            Counted::ByFilter(filter) => {
                let shop = Shop::of(ctx)?;
                let count = service::author_count(&shop.read().await?, shop.actor(), filter).await;
                count.map(Some).map_err(|failure| into_error(failure, shop.actor()))
            }
        }
    }
}

/// A page of authors.
pub type AuthorConnection = Connection<NamedCursor, AuthorNode, AuthorTotal>;

fn edge(sort: NamedSort) -> impl Fn(Author) -> (NamedCursor, AuthorNode) {
    move |author| (NamedCursor::new(sort, &author.name_key, author.id.0), AuthorNode(author))
}

/// A page of authors that are all in memory, in the order that they have.
///
/// # Errors
/// The arguments are wrong.
pub fn authors_of(all: &[Author], args: PageArgs) -> ApiResult<AuthorConnection> {
    let request = args.parse::<NamedCursor>()?;
    let place = |from: &NamedCursor| {
        let index = all.iter().position(|author| author.id.0 == from.0.id)?;
        Some(index..index + 1)
    };
    let not_here = || ApiError::bad_request("The cursor is not one of this list, or its author is not any more.");
    let page = request.slice(all, place).ok_or_else(not_here)?;
    Ok(connection(page, AuthorTotal { counted: Counted::Known(all.len()) }, edge(NamedSort::default())))
}

/// Queries about authors.
#[derive(Default)]
pub struct AuthorQuery;

#[Object]
impl AuthorQuery {
    /// An author by id.
    #[graphql(directive = access::apply(needs(Permission::CatalogRead)))]
    async fn author(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<AuthorNode>> {
        let shop = Shop::of(ctx)?;
        let author = service::author_by_id(&shop.read().await?, shop.actor(), parse_id(&id)?).await;
        author.map(|author| author.map(AuthorNode)).map_err(|failure| into_error(failure, shop.actor()))
    }

    /// Lists authors, by name unless another order is asked for.
    #[graphql(directive = access::apply(needs(Permission::CatalogRead)))]
    #[expect(clippy::too_many_arguments, reason = "they are the field's arguments in the API")]
    async fn authors(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The authors to list.")] filter: Option<AuthorFilterInput>,
        #[graphql(desc = "The order of the list; by name if it is not given.")] sort: Option<NamedSortInput>,
    ) -> ApiResult<AuthorConnection> {
        let shop = Shop::of(ctx)?;
        let filter = AuthorFilter::from(filter.unwrap_or_default());
        let sort = sort.map(NamedSort::from).unwrap_or_default();
        let request = named_request(PageArgs::new(after, before, first, last), sort)?;
        let page = service::author_list(&shop.read().await?, shop.actor(), &filter, sort, request).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, AuthorTotal { counted: Counted::ByFilter(filter) }, edge(sort)))
    }
}

/// A new author.
#[derive(InputObject)]
pub struct AuthorCreateInput {
    /// The name as printed.
    name: String,
}

/// Changes of an author. A field that is not given stays.
#[derive(InputObject)]
pub struct AuthorUpdateInput {
    /// The name as printed.
    name: Option<String>,
}

payload!(
    /// The answer to `authorCreate`.
    AuthorCreatePayload {
        /// The new author.
        author: AuthorNode(Author)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `authorUpdate`.
    AuthorUpdatePayload {
        /// The author as it is now.
        author: AuthorNode(Author)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `authorArchive`.
    AuthorArchivePayload {
        /// The author as it is now.
        author: AuthorNode(Author)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `authorUnarchive`.
    AuthorUnarchivePayload {
        /// The author as it is now.
        author: AuthorNode(Author)
    },
    CatalogUserError(CatalogErrorCode)
);

/// Mutations of authors.
#[derive(Default)]
pub struct AuthorMutation;

#[Object]
impl AuthorMutation {
    /// Adds an author.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn author_create(
        &self,
        ctx: &Context<'_>,
        input: AuthorCreateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<AuthorCreatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let work = async |tx: &mut _| service::author_create(tx, call.actor(), call.request.clock(), &input.name).await;
        AuthorCreatePayload::new(call.write("author.create", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Changes an author's name, in all books at once.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn author_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The version that the change was made for.")] version: i32,
        input: AuthorUpdateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<AuthorUpdatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let (id, name) = (parse_id(&id)?, input.name.as_deref());
        let work =
            async |tx: &mut _| service::author_update(tx, call.actor(), call.request.clock(), id, version, name).await;
        AuthorUpdatePayload::new(call.write("author.update", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Archives an author: books keep naming the author, new ones should not.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn author_archive(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the author has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<AuthorArchivePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| {
            service::author_set_archived(tx, call.actor(), call.request.clock(), id, version, true).await
        };
        AuthorArchivePayload::new(call.write("author.archive", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Takes an archived author back.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn author_unarchive(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the author has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<AuthorUnarchivePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| {
            service::author_set_archived(tx, call.actor(), call.request.clock(), id, version, false).await
        };
        AuthorUnarchivePayload::new(call.write("author.unarchive", Permission::CatalogWrite, work).await, call.actor())
    }
}
