//! The two schemas: one for all tenants, one for operators. Each is compiled once and serves everybody.

use async_graphql::{Context, EmptyMutation, EmptySubscription, ID, MergedObject, Object, SDLExportOptions, Schema};

use super::access::{access, signed_in};
use super::context::Shop;
use super::error::ApiResult;
use super::node::{Node, NodeId};
use super::payload::into_error;
use super::user_error::UserError;
use super::watch::Streams;
use crate::control::admins::graphql::{AdminAccountMutation, AdminAccountQuery};
use crate::control::admins::sessions::graphql::AdminSessionMutation;
use crate::control::archives::graphql::{ArchiveMutation, ArchiveQuery};
use crate::control::audit::graphql::AuditQuery;
use crate::control::deprecations::graphql::{DeprecationMutation, TenantDeprecationQuery};
use crate::control::drift::graphql::DriftQuery;
use crate::control::flags::graphql::{FlagMutation, FlagQuery};
use crate::control::graphql::{AdminMutation, AdminQuery, AdminUserError};
use crate::control::health::graphql::HealthQuery;
use crate::control::jobs::graphql::{JobMutation, JobQuery};
use crate::control::migrations::graphql::{MigrationMutation, MigrationQuery, MigrationSubscription};
use crate::control::offboarding::graphql::{OffboardingMutation, OffboardingQuery};
use crate::control::plans::graphql::{PlanMutation, PlanQuery};
use crate::control::provisioning::graphql::ProvisioningMutation;
use crate::control::sandboxes::graphql::SandboxMutation;
use crate::control::settings::graphql::{SettingMutation as RuledSettingMutation, SettingQuery as RuledSettingQuery};
use crate::control::webhooks::graphql::{TenantWebhookMutation, TenantWebhookQuery};
use crate::db::TenantRead;
use crate::kernel::actor::Actor;
use crate::tenant::audit::graphql::AuditQuery as TrailQuery;
use crate::tenant::catalog::authors::graphql::{AuthorMutation, AuthorNode, AuthorQuery};
use crate::tenant::catalog::authors::service::author_by_id;
use crate::tenant::catalog::books::graphql::{BookMutation, BookNode, BookQuery, StockSubscription};
use crate::tenant::catalog::books::service::book_by_id;
use crate::tenant::catalog::categories::graphql::{CategoryMutation, CategoryNode, CategoryQuery};
use crate::tenant::catalog::categories::service::category_by_id;
use crate::tenant::catalog::import::graphql::{ImportMutation, ImportNode, ImportQuery, ImportSubscription};
use crate::tenant::catalog::import::service::import_by_id;
use crate::tenant::deprecations::graphql::DeprecationQuery;
use crate::tenant::events::graphql::EventQuery;
use crate::tenant::identity::IdentityError;
use crate::tenant::identity::api_keys::graphql::{ApiKeyMutation, ApiKeyNode, ApiKeyQuery};
use crate::tenant::identity::api_keys::service::api_key_by_id;
use crate::tenant::identity::provider::graphql::{IdentityProviderMutation, IdentityProviderQuery};
use crate::tenant::identity::roles::graphql::{RoleMutation, RoleNode, RoleQuery};
use crate::tenant::identity::roles::service::role_by_id;
use crate::tenant::identity::sessions::graphql::mutation::SessionMutation;
use crate::tenant::identity::sessions::graphql::viewer::ViewerQuery;
use crate::tenant::identity::users::graphql::{UserMutation, UserNode, UserQuery};
use crate::tenant::identity::users::service::user_by_id;
use crate::tenant::orders::customers::graphql::CustomerMutation;
use crate::tenant::orders::order::graphql::{OrderMutation, OrderNode, OrderQuery, OrderSubscription};
use crate::tenant::orders::order::service::order_by_id;
use crate::tenant::orders::sales::graphql::SalesQuery;
use crate::tenant::plan::graphql::PlanQuery as OwnPlanQuery;
use crate::tenant::settings::graphql::{SettingMutation, SettingQuery};
use crate::tenant::webhooks::WebhookError;
use crate::tenant::webhooks::deliveries::graphql::{
    WebhookDeliveryMutation, WebhookDeliveryNode, WebhookDeliveryQuery,
};
use crate::tenant::webhooks::deliveries::service::delivery_by_id;
use crate::tenant::webhooks::endpoints::graphql::mutation::WebhookEndpointMutation;
use crate::tenant::webhooks::endpoints::graphql::{WebhookEndpointNode, WebhookEndpointQuery};
use crate::tenant::webhooks::endpoints::service::endpoint_by_id;

/// The deepest nesting that the library follows; the guard has refused deeper documents before.
const RECURSION_MAX: usize = 64;

/// Reads a shop's data.
#[derive(MergedObject, Default)]
pub struct Query(
    NodeQuery,
    IdentityQuery,
    CatalogQuery,
    OrdersQuery,
    WebhooksQuery,
    TrailQuery,
    SettingQuery,
    OwnPlanQuery,
    DeprecationQuery,
);

/// Reads about the shop's people.
#[derive(MergedObject, Default)]
pub struct IdentityQuery(ViewerQuery, UserQuery, RoleQuery, ApiKeyQuery, IdentityProviderQuery);

/// Reads the catalogue.
#[derive(MergedObject, Default)]
pub struct CatalogQuery(BookQuery, AuthorQuery, CategoryQuery, ImportQuery);

/// Reads orders.
#[derive(MergedObject, Default)]
pub struct OrdersQuery(OrderQuery, SalesQuery);

/// Reads what has happened and where it is sent.
#[derive(MergedObject, Default)]
pub struct WebhooksQuery(EventQuery, WebhookEndpointQuery, WebhookDeliveryQuery);

/// Changes a shop's data. Fields run one after the other, each in a transaction of its own.
#[derive(MergedObject, Default)]
pub struct Mutation(IdentityMutation, CatalogMutation, OrdersMutation, WebhooksMutation, SettingMutation);

/// Changes what is about the shop's people.
#[derive(MergedObject, Default)]
pub struct IdentityMutation(SessionMutation, UserMutation, RoleMutation, ApiKeyMutation, IdentityProviderMutation);

/// Changes the catalogue.
#[derive(MergedObject, Default)]
pub struct CatalogMutation(BookMutation, AuthorMutation, CategoryMutation, ImportMutation);

/// Changes orders.
#[derive(MergedObject, Default)]
pub struct OrdersMutation(OrderMutation, CustomerMutation);

/// Changes where events are sent.
#[derive(MergedObject, Default)]
pub struct WebhooksMutation(WebhookEndpointMutation, WebhookDeliveryMutation);

/// Follows what happens in a shop. An operation has one field; it is answered again whenever something has happened.
#[derive(MergedObject, Default)]
pub struct Subscription(OrderSubscription, StockSubscription, ImportSubscription);

/// The schema that serves every tenant.
pub type TenantSchema = Schema<Query, Mutation, Streams<Subscription>>;

/// The schema that answers the tenants' subscriptions.
pub type WatchSchema = Schema<Subscription, EmptyMutation, EmptySubscription>;

/// Reads the platform's data.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub struct PlatformQuery(
    AdminAccountQuery,
    AdminQuery,
    ArchiveQuery,
    DriftQuery,
    OffboardingQuery,
    PlanQuery,
    TenantWebhookQuery,
    JobQuery,
    MigrationQuery,
    AuditQuery,
    RuledSettingQuery,
    FlagQuery,
    TenantDeprecationQuery,
    HealthQuery,
);

/// Changes the platform. Fields run one after the other, each in a transaction of its own.
#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub struct PlatformMutation(
    AdminSessionMutation,
    AdminAccountMutation,
    AdminMutation,
    ProvisioningMutation,
    SandboxMutation,
    ArchiveMutation,
    OffboardingMutation,
    PlanMutation,
    TenantWebhookMutation,
    JobMutation,
    MigrationMutation,
    RuledSettingMutation,
    FlagMutation,
    DeprecationMutation,
);

/// Follows what happens on the platform. An operation has one field; it is answered again for as long as something
/// happens.
#[derive(MergedObject, Default)]
#[graphql(name = "Subscription")]
pub struct PlatformSubscription(MigrationSubscription);

/// The operators' schema.
pub type AdminSchema = Schema<PlatformQuery, PlatformMutation, Streams<PlatformSubscription>>;

/// The schema that answers the operators' subscriptions.
pub type AdminWatchSchema = Schema<PlatformSubscription, EmptyMutation, EmptySubscription>;

/// Any object by its id.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// An object by its id, of any type that implements `Node`; null if the shop has none with this id. Needs the
    /// permission that its type needs.
    #[graphql(directive = access::apply(signed_in()))]
    async fn node(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<Node>> {
        let shop = Shop::of(ctx)?;
        let (reads, actor, id) = (shop.reads(ctx)?, shop.actor(), NodeId::parse(&id)?);
        let kept = match &id {
            NodeId::Book(id) => Some(book_by_id(&reads, actor, *id).await.map(|b| b.map(|b| Node::Book(BookNode(b))))),
            NodeId::Category(id) => {
                Some(category_by_id(&reads, actor, *id).await.map(|c| c.map(|c| Node::Category(CategoryNode(c)))))
            }
            _ => None,
        };
        if let Some(node) = kept {
            return node.map_err(|failure| into_error(failure, actor));
        }
        let read = shop.read().await?;
        let node = match id {
            NodeId::Author(id) => author_by_id(&read, actor, id).await.map(|a| a.map(|a| Node::Author(AuthorNode(a)))),
            NodeId::Import(id) => import_by_id(&read, actor, id).await.map(|i| i.map(|i| Node::Import(ImportNode(i)))),
            NodeId::Order(id) => {
                let order = order_by_id(&read, actor, id).await.map(|o| o.map(|o| Node::Order(OrderNode(o))));
                return order.map_err(|failure| into_error(failure, actor));
            }
            id @ (NodeId::WebhookEndpoint(_) | NodeId::WebhookDelivery(_)) => {
                return webhook_node(&read, actor, id).await.map_err(|failure| into_error(failure, actor));
            }
            id => return person_node(&read, actor, id).await.map_err(|failure| into_error(failure, actor)),
        };
        node.map_err(|failure| into_error(failure, actor))
    }
}

/// An object about the shop's people.
async fn person_node(read: &TenantRead, actor: &Actor, id: NodeId) -> Result<Option<Node>, IdentityError> {
    Ok(match id {
        NodeId::User(id) => user_by_id(read, actor, id).await?.map(|user| Node::User(UserNode(user))),
        NodeId::Role(id) => role_by_id(read, actor, id).await?.map(|role| Node::Role(RoleNode(role))),
        NodeId::ApiKey(id) => api_key_by_id(read, actor, id).await?.map(|key| Node::ApiKey(ApiKeyNode(key))),
        _ => None,
    })
}

/// An object about webhooks.
async fn webhook_node(read: &TenantRead, actor: &Actor, id: NodeId) -> Result<Option<Node>, WebhookError> {
    Ok(match id {
        NodeId::WebhookEndpoint(id) => {
            endpoint_by_id(read, actor, id).await?.map(|found| Node::WebhookEndpoint(WebhookEndpointNode(found)))
        }
        NodeId::WebhookDelivery(id) => {
            delivery_by_id(read, actor, id).await?.map(|found| Node::WebhookDelivery(WebhookDeliveryNode(found)))
        }
        _ => None,
    })
}

/// Builds the tenants' schema.
#[must_use]
pub fn tenant_schema() -> TenantSchema {
    Schema::build(Query::default(), Mutation::default(), Streams::default())
        .register_output_type::<UserError>()
        .limit_recursive_depth(RECURSION_MAX)
        .finish()
}

/// Builds the operators' schema.
#[must_use]
pub fn admin_schema() -> AdminSchema {
    Schema::build(PlatformQuery::default(), PlatformMutation::default(), Streams::default())
        .register_output_type::<AdminUserError>()
        .limit_recursive_depth(RECURSION_MAX)
        .finish()
}

/// Builds the schema that answers the tenants' subscriptions.
#[must_use]
pub fn watch_schema() -> WatchSchema {
    Schema::build(Subscription::default(), EmptyMutation, EmptySubscription)
        .register_output_type::<Node>()
        .register_output_type::<UserError>()
        .limit_recursive_depth(RECURSION_MAX)
        .finish()
}

/// Builds the schema that answers the operators' subscriptions.
#[must_use]
pub fn admin_watch_schema() -> AdminWatchSchema {
    Schema::build(PlatformSubscription::default(), EmptyMutation, EmptySubscription)
        .register_output_type::<AdminUserError>()
        .limit_recursive_depth(RECURSION_MAX)
        .finish()
}

/// A schema's text as it is committed: everything sorted, so that a change shows as itself.
#[must_use]
pub fn sdl_options() -> SDLExportOptions {
    SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().use_space_ident().indent_width(2)
}
