//! Any object by its id.

use async_graphql::{ID, Interface};

use super::error::{ApiError, ApiResult};
use crate::kernel::ids::{
    ApiKeyId, AuthorId, BookId, CategoryId, ImportId, OrderId, RoleId, UserId, WebhookDeliveryId, WebhookEndpointId,
};
use crate::tenant::catalog::authors::graphql::AuthorNode;
use crate::tenant::catalog::books::graphql::BookNode;
use crate::tenant::catalog::categories::graphql::CategoryNode;
use crate::tenant::catalog::import::graphql::ImportNode;
use crate::tenant::identity::api_keys::graphql::ApiKeyNode;
use crate::tenant::identity::roles::graphql::RoleNode;
use crate::tenant::identity::users::graphql::UserNode;
use crate::tenant::orders::order::graphql::OrderNode;
use crate::tenant::webhooks::deliveries::graphql::WebhookDeliveryNode;
use crate::tenant::webhooks::endpoints::graphql::WebhookEndpointNode;

/// An object that `node` opens by its id. Not every object with an id is one: see the types that implement this.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "The object's id: opaque, unique within the shop, prefixed by the type."
))]
pub enum Node {
    /// An author.
    Author(AuthorNode),
    /// A book.
    Book(BookNode),
    /// A category.
    Category(CategoryNode),
    /// An import.
    Import(ImportNode),
    /// A user.
    User(UserNode),
    /// A role.
    Role(RoleNode),
    /// An API key.
    ApiKey(ApiKeyNode),
    /// An order.
    Order(OrderNode),
    /// Where events are sent.
    WebhookEndpoint(WebhookEndpointNode),
    /// An event on its way there.
    WebhookDelivery(WebhookDeliveryNode),
}

/// An id of any type that a node can have.
pub enum NodeId {
    /// An author's.
    Author(AuthorId),
    /// A book's.
    Book(BookId),
    /// A category's.
    Category(CategoryId),
    /// An import's.
    Import(ImportId),
    /// A user's.
    User(UserId),
    /// A role's.
    Role(RoleId),
    /// An API key's.
    ApiKey(ApiKeyId),
    /// An order's.
    Order(OrderId),
    /// An endpoint's.
    WebhookEndpoint(WebhookEndpointId),
    /// A delivery's.
    WebhookDelivery(WebhookDeliveryId),
}

impl NodeId {
    /// Reads an id of whichever type it names.
    ///
    /// # Errors
    /// `BAD_REQUEST` for text that is no id of a node.
    pub fn parse(id: &ID) -> ApiResult<Self> {
        let prefix = id.split('_').next().unwrap_or_default();
        match prefix {
            AuthorId::PREFIX => super::scalars::parse_id(id).map(Self::Author),
            BookId::PREFIX => super::scalars::parse_id(id).map(Self::Book),
            CategoryId::PREFIX => super::scalars::parse_id(id).map(Self::Category),
            ImportId::PREFIX => super::scalars::parse_id(id).map(Self::Import),
            UserId::PREFIX => super::scalars::parse_id(id).map(Self::User),
            RoleId::PREFIX => super::scalars::parse_id(id).map(Self::Role),
            OrderId::PREFIX => super::scalars::parse_id(id).map(Self::Order),
            WebhookEndpointId::PREFIX => super::scalars::parse_id(id).map(Self::WebhookEndpoint),
            WebhookDeliveryId::PREFIX => super::scalars::parse_id(id).map(Self::WebhookDelivery),
            ApiKeyId::PREFIX => super::scalars::parse_id(id).map(Self::ApiKey),
            _ => Err(ApiError::bad_request(format!("`{}` is not an id of this API.", id.as_str()))),
        }
    }
}
