//! Categories at the edge.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object};
use chrono::{DateTime, Utc};

use super::model::{Category, CategoryFilter};
use super::{cached, service};
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, connection};
use crate::graphql::loaders::load;
use crate::graphql::patch::patch_id;
use crate::graphql::payload::{into_error, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::CatalogUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::CategoryId;
use crate::tenant::catalog::error::CatalogErrorCode;
use crate::tenant::catalog::named::NamedSort;
use crate::tenant::catalog::named::graphql::{NamedCursor, NamedSortInput, named_request};

/// A category of books, perhaps within another.
#[derive(Clone)]
pub struct CategoryNode(pub Category);

impl From<Category> for CategoryNode {
    fn from(category: Category) -> Self {
        Self(category)
    }
}

/// A category of books, perhaps within another.
#[Object(name = "Category")]
impl CategoryNode {
    /// The category's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The category that this one is within; null for a root.
    async fn parent(&self, ctx: &Context<'_>) -> ApiResult<Option<CategoryNode>> {
        match self.0.parent_id {
            None => Ok(None),
            Some(parent) => category(ctx, CategoryId(parent)).await,
        }
    }

    /// The categories directly within this one and in use, in the order of their names.
    async fn children(&self, ctx: &Context<'_>) -> ApiResult<Vec<CategoryNode>> {
        let shop = Shop::of(ctx)?;
        if let Some(tree) = &*cached::tree(&shop.reads(ctx)?).await? {
            return Ok(tree.within(self.0.id).cloned().map(CategoryNode).collect());
        }
        let children = load(&shop.loaders().categories_by_parent, self.0.id).await?;
        Ok(children.iter().cloned().map(CategoryNode).collect())
    }

    /// The number of levels above this category.
    async fn depth(&self) -> usize {
        self.0.path.len() - 1
    }

    /// The number of the present version; an update names the version that it was made for.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The time when the category was archived; null for one in use.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }

    /// The time when the category was entered.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the category was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Tells whether the caller may change and archive this category.
    async fn viewer_can_update(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        Ok(Shop::of(ctx)?.actor().may(Permission::CatalogWrite))
    }
}

/// A category by its id, together with those that others ask for.
///
/// # Errors
/// The database failed.
pub async fn category(ctx: &Context<'_>, id: CategoryId) -> ApiResult<Option<CategoryNode>> {
    let shop = Shop::of(ctx)?;
    if let Some(tree) = &*cached::tree(&shop.reads(ctx)?).await? {
        return Ok(tree.find(id).cloned().map(CategoryNode));
    }
    let found = load(&shop.loaders().category_by_id, id).await?;
    Ok(found.map(|category| CategoryNode((*category).clone())))
}

/// A filter of categories. Fields that are given all apply.
#[derive(InputObject, Default)]
pub struct CategoryFilterInput {
    /// The category that they are within, at any depth; it is listed itself too.
    within_id: Option<ID>,
    /// Lists only categories that are within no other, if true.
    is_root: Option<bool>,
    /// Lists archived categories alone if true, and those in use otherwise.
    is_archived: Option<bool>,
}

impl CategoryFilterInput {
    fn parse(self) -> ApiResult<CategoryFilter> {
        Ok(CategoryFilter {
            within: self.within_id.as_ref().map(parse_id).transpose()?,
            is_root: self.is_root.unwrap_or(false),
            archived: self.is_archived.unwrap_or(false),
        })
    }
}

/// What a list of categories knows beside its items.
pub struct CategoryTotal {
    filter: CategoryFilter,
}

#[Object]
impl CategoryTotal {
    /// The number of categories in the list; counted when it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> ApiResult<Option<i64>> {
        let shop = Shop::of(ctx)?;
        let count = service::category_count(&shop.read().await?, shop.actor(), &self.filter).await;
        count.map(Some).map_err(|failure| into_error(failure, shop.actor()))
    }
}

/// A page of categories.
pub type CategoryConnection = Connection<NamedCursor, CategoryNode, CategoryTotal>;

fn edge(sort: NamedSort) -> impl Fn(Category) -> (NamedCursor, CategoryNode) {
    move |category| (NamedCursor::new(sort, &category.name_key, category.id.0), CategoryNode(category))
}

/// Queries about categories.
#[derive(Default)]
pub struct CategoryQuery;

#[Object]
impl CategoryQuery {
    /// A category by id.
    #[graphql(directive = access::apply(needs(Permission::CatalogRead)))]
    async fn category(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<CategoryNode>> {
        let shop = Shop::of(ctx)?;
        let category = service::category_by_id(&shop.reads(ctx)?, shop.actor(), parse_id(&id)?).await;
        category.map(|category| category.map(CategoryNode)).map_err(|failure| into_error(failure, shop.actor()))
    }

    /// Lists categories, by name unless another order is asked for.
    #[graphql(directive = access::apply(needs(Permission::CatalogRead)))]
    #[expect(clippy::too_many_arguments, reason = "they are the field's arguments in the API")]
    async fn categories(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The categories to list.")] filter: Option<CategoryFilterInput>,
        #[graphql(desc = "The order of the list; by name if it is not given.")] sort: Option<NamedSortInput>,
    ) -> ApiResult<CategoryConnection> {
        let shop = Shop::of(ctx)?;
        let filter = filter.unwrap_or_default().parse()?;
        let sort = sort.map(NamedSort::from).unwrap_or_default();
        let request = named_request(PageArgs::new(after, before, first, last), sort)?;
        let page = service::category_list(&shop.read().await?, shop.actor(), &filter, sort, request).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, CategoryTotal { filter }, edge(sort)))
    }
}

/// A new category.
#[derive(InputObject)]
pub struct CategoryCreateInput {
    /// The name for people.
    name: String,
    /// The category that it will be within; none for a root.
    parent_id: Option<ID>,
}

/// Changes of a category. A field that is not given stays.
#[derive(InputObject)]
pub struct CategoryUpdateInput {
    /// The name for people.
    name: Option<String>,
    /// The category that it will be within; null makes it a root.
    parent_id: MaybeUndefined<ID>,
}

payload!(
    /// The answer to `categoryCreate`.
    CategoryCreatePayload {
        /// The new category.
        category: CategoryNode(Category)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `categoryUpdate`.
    CategoryUpdatePayload {
        /// The category as it is now.
        category: CategoryNode(Category)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `categoryArchive`.
    CategoryArchivePayload {
        /// The category as it is now.
        category: CategoryNode(Category)
    },
    CatalogUserError(CatalogErrorCode)
);
payload!(
    /// The answer to `categoryUnarchive`.
    CategoryUnarchivePayload {
        /// The category as it is now.
        category: CategoryNode(Category)
    },
    CatalogUserError(CatalogErrorCode)
);

/// Mutations of categories.
#[derive(Default)]
pub struct CategoryMutation;

#[Object]
impl CategoryMutation {
    /// Adds a category, within another or as a root.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn category_create(
        &self,
        ctx: &Context<'_>,
        input: CategoryCreateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<CategoryCreatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let parent = input.parent_id.as_ref().map(parse_id).transpose()?;
        let work = async |tx: &mut _| {
            service::category_create(tx, call.actor(), call.request.clock(), &input.name, parent).await
        };
        CategoryCreatePayload::new(call.write("category.create", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Renames a category, or moves it with all that is within it.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn category_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The version that the change was made for.")] version: i32,
        input: CategoryUpdateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<CategoryUpdatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let (id, name, parent) = (parse_id(&id)?, input.name.as_deref(), patch_id(input.parent_id)?);
        let work = async |tx: &mut _| {
            service::category_update(tx, call.actor(), call.request.clock(), id, version, name, parent).await
        };
        CategoryUpdatePayload::new(call.write("category.update", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Archives a category: books keep it, new ones cannot have it.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn category_archive(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the category has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<CategoryArchivePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| {
            service::category_set_archived(tx, call.actor(), call.request.clock(), id, version, true).await
        };
        CategoryArchivePayload::new(call.write("category.archive", Permission::CatalogWrite, work).await, call.actor())
    }

    /// Takes an archived category back.
    #[graphql(directive = access::apply(needs(Permission::CatalogWrite)))]
    async fn category_unarchive(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "Refuse if the category has another version than this.")] version: Option<i32>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<CategoryUnarchivePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| {
            service::category_set_archived(tx, call.actor(), call.request.clock(), id, version, false).await
        };
        CategoryUnarchivePayload::new(
            call.write("category.unarchive", Permission::CatalogWrite, work).await,
            call.actor(),
        )
    }
}
