//! The dataloaders of one operation: built for it, dropped with it, all on its one connection.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use dataloader::BatchFn;
use dataloader::cached::Loader;
use tracing::Instrument as _;

use super::error::{ApiError, ApiResult};
use crate::db::{DbError, TenantSession};
use crate::detail;
use crate::kernel::ids::{
    ApiKeyId, BookId, CategoryId, CustomerId, OrderId, UserId, WebhookDeliveryId, WebhookEndpointId,
};
use crate::tenant::catalog::authors::loaders::{AuthorsByBook, BookAuthors};
use crate::tenant::catalog::books::loaders::{BookById, MaybeBook};
use crate::tenant::catalog::categories::loaders::{CategoriesByParent, CategoryById, Children, MaybeCategory};
use crate::tenant::identity::api_keys::loaders::{ApiKeyById, MaybeApiKey};
use crate::tenant::identity::users::loaders::{MaybeUser, RolesByUser, UserById, UserRoles};
use crate::tenant::orders::customers::loaders::{CustomerById, MaybeCustomer};
use crate::tenant::orders::order::loaders::{Lines, LinesByOrder};
use crate::tenant::orders::payments::loaders::{MaybePayment, PaymentByOrder};
use crate::tenant::webhooks::deliveries::loaders::{Attempts, AttemptsByDelivery};
use crate::tenant::webhooks::endpoints::loaders::{Backlog, BacklogByEndpoint, EndpointById, MaybeEndpoint};

/// How often a load lets others go first before it runs the batch: enough for resolvers that await once before they load.
const YIELD_COUNT: usize = 2;

/// The most keys of a batch: no page is longer, so a page is one batch.
const BATCH_MAX: usize = 1_000;

/// Every loader of the tenant plane.
pub struct Loaders {
    /// The authors of a book.
    pub authors_by_book: Loader<BookId, BookAuthors, Traced<AuthorsByBook>>,
    /// A book by its id.
    pub book_by_id: Loader<BookId, MaybeBook, Traced<BookById>>,
    /// A category by its id.
    pub category_by_id: Loader<CategoryId, MaybeCategory, Traced<CategoryById>>,
    /// The categories within another.
    pub categories_by_parent: Loader<CategoryId, Children, Traced<CategoriesByParent>>,
    /// An API key by id.
    pub api_key_by_id: Loader<ApiKeyId, MaybeApiKey, Traced<ApiKeyById>>,
    /// A user by id.
    pub user_by_id: Loader<UserId, MaybeUser, Traced<UserById>>,
    /// The roles of a user.
    pub roles_by_user: Loader<UserId, UserRoles, Traced<RolesByUser>>,
    /// The lines of an order.
    pub lines_by_order: Loader<OrderId, Lines, Traced<LinesByOrder>>,
    /// A customer by id.
    pub customer_by_id: Loader<CustomerId, MaybeCustomer, Traced<CustomerById>>,
    /// The newest payment of an order.
    pub payment_by_order: Loader<OrderId, MaybePayment, Traced<PaymentByOrder>>,
    /// An endpoint by id.
    pub endpoint_by_id: Loader<WebhookEndpointId, MaybeEndpoint, Traced<EndpointById>>,
    /// How much waits for an endpoint.
    pub backlog_by_endpoint: Loader<WebhookEndpointId, Backlog, Traced<BacklogByEndpoint>>,
    /// The newest attempts of a delivery.
    pub attempts_by_delivery: Loader<WebhookDeliveryId, Attempts, Traced<AttemptsByDelivery>>,
}

impl Loaders {
    /// Fresh loaders over an operation's session.
    #[must_use]
    pub fn new(session: &Arc<TenantSession>) -> Self {
        Self {
            authors_by_book: loader(AuthorsByBook(Arc::clone(session))),
            book_by_id: loader(BookById(Arc::clone(session))),
            category_by_id: loader(CategoryById(Arc::clone(session))),
            categories_by_parent: loader(CategoriesByParent(Arc::clone(session))),
            api_key_by_id: loader(ApiKeyById(Arc::clone(session))),
            user_by_id: loader(UserById(Arc::clone(session))),
            roles_by_user: loader(RolesByUser(Arc::clone(session))),
            lines_by_order: loader(LinesByOrder(Arc::clone(session))),
            customer_by_id: loader(CustomerById(Arc::clone(session))),
            payment_by_order: loader(PaymentByOrder(Arc::clone(session))),
            endpoint_by_id: loader(EndpointById(Arc::clone(session))),
            backlog_by_endpoint: loader(BacklogByEndpoint(Arc::clone(session))),
            attempts_by_delivery: loader(AttemptsByDelivery(Arc::clone(session))),
        }
    }

    /// Forgets all that was loaded.
    pub async fn clear(&self) {
        self.authors_by_book.clear_all().await;
        self.book_by_id.clear_all().await;
        self.category_by_id.clear_all().await;
        self.categories_by_parent.clear_all().await;
        self.api_key_by_id.clear_all().await;
        self.user_by_id.clear_all().await;
        self.roles_by_user.clear_all().await;
        self.lines_by_order.clear_all().await;
        self.customer_by_id.clear_all().await;
        self.payment_by_order.clear_all().await;
        self.endpoint_by_id.clear_all().await;
        self.backlog_by_endpoint.clear_all().await;
        self.attempts_by_delivery.clear_all().await;
    }
}

fn loader<K: Eq + Hash + Clone + std::fmt::Debug, V: Clone, F: BatchFn<K, V>>(batch: F) -> Loader<K, V, Traced<F>> {
    Loader::new(Traced(batch)).with_yield_count(YIELD_COUNT).with_max_batch_size(BATCH_MAX)
}

/// A batch whose load is a span of its own.
pub struct Traced<F>(F);

impl<K, V, F: BatchFn<K, V>> BatchFn<K, V> for Traced<F> {
    async fn load(&mut self, keys: &[K]) -> HashMap<K, V> {
        let name = std::any::type_name::<F>();
        let name = name.rsplit("::").next().unwrap_or(name);
        let span = detail!(
            "load",
            otel.name = format!("load {name}"),
            otel.kind = "internal",
            shelfwise.loader = name,
            shelfwise.keys = keys.len(),
        );
        self.0.load(keys).instrument(span).await
    }
}

/// Loads one key. Every batch answers every key, so a missing one means that the resolver which ran the batch was
/// dropped in the middle of it; the second try runs a batch of its own.
///
/// # Errors
/// The database failed.
pub async fn load<K, T, F>(loader: &Loader<K, Result<T, DbError>, F>, key: K) -> ApiResult<T>
where
    K: Eq + Hash + Copy + std::fmt::Debug,
    T: Clone,
    F: BatchFn<K, Result<T, DbError>>,
{
    let loaded = match loader.try_load(key).await {
        Ok(loaded) => loaded,
        Err(_) => loader.try_load(key).await.map_err(|_| ApiError::internal())?,
    };
    Ok(loaded?)
}
