//! Roles at the edge.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use chrono::{DateTime, Utc};

use super::model::RoleRow;
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::payload::{into_error, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::IdentityUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey, Shop};
use crate::kernel::actor::{Permission, Permissions};
use crate::tenant::identity::error::IdentityErrorCode;

/// A permission that a role may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "Permission", remote = "Permission")]
pub enum PermissionValue {
    /// See, make, rotate and revoke API keys (`api_keys.write`).
    ApiKeysWrite,
    /// See who changed what (`audit.read`).
    AuditRead,
    /// Import a catalogue and see the reports of imports (`catalog.import`).
    CatalogImport,
    /// See books, authors and categories (`catalog.read`).
    CatalogRead,
    /// Create, change and archive books, authors and categories (`catalog.write`).
    CatalogWrite,
    /// See what has happened in the shop, event by event (`events.read`).
    EventsRead,
    /// Choose the identity provider whose tokens log the shop's people in (`identity_provider.write`).
    IdentityProviderWrite,
    /// See orders, their customers and what was sold (`orders.read`).
    OrdersRead,
    /// Refund orders, and erase customers (`orders.refund`).
    OrdersRefund,
    /// Enter, place and move orders, and take payments (`orders.write`).
    OrdersWrite,
    /// Make, change and delete the shop's own roles (`roles.write`).
    RolesWrite,
    /// See and change the shop's settings (`settings.manage`).
    SettingsManage,
    /// See the shop's people and roles (`users.read`).
    UsersRead,
    /// Invite, change and disable the shop's people (`users.write`).
    UsersWrite,
    /// See where events are sent, and what became of each (`webhooks.read`).
    WebhooksRead,
    /// Choose where events are sent, and send them once more (`webhooks.write`).
    WebhooksWrite,
}

/// Permissions as the API lists them.
#[must_use]
pub fn permission_values(permissions: Permissions) -> Vec<PermissionValue> {
    permissions.iter().map(PermissionValue::from).collect()
}

/// Permissions as the API was given them.
#[must_use]
pub fn permission_set(values: &[PermissionValue]) -> Permissions {
    values.iter().copied().map(Permission::from).collect()
}

/// A role: a set of permissions that users have by it.
#[derive(Clone)]
pub struct RoleNode(pub RoleRow);

impl From<RoleRow> for RoleNode {
    fn from(role: RoleRow) -> Self {
        Self(role)
    }
}

/// A role: a set of permissions that users have by it.
#[Object(name = "Role")]
impl RoleNode {
    /// The role's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Tells whether every shop has this role, and none can change it.
    async fn is_default(&self) -> bool {
        self.0.key.is_some()
    }

    /// The permissions of the role.
    async fn permissions(&self) -> Vec<PermissionValue> {
        permission_values(self.0.permissions())
    }

    /// The number of the present version; an update names the version that it was made for.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The time when the role was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the role was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Tells whether the caller may change and delete this role.
    async fn viewer_can_update(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        let actor = Shop::of(ctx)?.actor();
        let may = actor.may(Permission::RolesWrite) && actor.permissions().covers(self.0.permissions());
        Ok(may && self.0.key.is_none())
    }

    /// Tells whether the caller may give this role to others.
    async fn viewer_can_grant(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        let actor = Shop::of(ctx)?.actor();
        Ok(actor.may(Permission::UsersWrite) && actor.permissions().covers(self.0.permissions()))
    }
}

/// Queries about roles.
#[derive(Default)]
pub struct RoleQuery;

#[Object]
impl RoleQuery {
    /// A role by id.
    #[graphql(directive = access::apply(needs(Permission::UsersRead)))]
    async fn role(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<RoleNode>> {
        let shop = Shop::of(ctx)?;
        let role = service::role_by_id(&shop.read().await?, shop.actor(), parse_id(&id)?).await;
        role.map(|role| role.map(RoleNode)).map_err(|failure| into_error(failure, shop.actor()))
    }

    /// Lists the roles of the shop, by name; a shop has at most 100.
    #[graphql(directive = access::apply(needs(Permission::UsersRead)))]
    async fn roles(&self, ctx: &Context<'_>) -> ApiResult<Vec<RoleNode>> {
        let shop = Shop::of(ctx)?;
        let roles = service::role_list(&shop.read().await?, shop.actor()).await;
        let roles = roles.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(roles.into_iter().map(RoleNode).collect())
    }
}

/// A new role.
#[derive(InputObject)]
pub struct RoleCreateInput {
    /// The name for people.
    name: String,
    /// The permissions of the role: at least one, and no more than the caller has.
    permissions: Vec<PermissionValue>,
}

/// Changes of a role. A field that is not given stays.
#[derive(InputObject)]
pub struct RoleUpdateInput {
    /// The name for people.
    name: Option<String>,
    /// The permissions of the role: these and no others.
    permissions: Option<Vec<PermissionValue>>,
}

payload!(
    /// The answer to `roleCreate`.
    RoleCreatePayload {
        /// The new role.
        role: RoleNode(RoleRow)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `roleUpdate`.
    RoleUpdatePayload {
        /// The role as it is now.
        role: RoleNode(RoleRow)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `roleDelete`.
    RoleDeletePayload {
        /// The role as it was.
        role: RoleNode(RoleRow)
    },
    IdentityUserError(IdentityErrorCode)
);

/// Mutations of roles.
#[derive(Default)]
pub struct RoleMutation;

#[Object]
impl RoleMutation {
    /// Makes a role of permissions that the caller has.
    #[graphql(directive = access::apply(needs(Permission::RolesWrite)))]
    async fn role_create(
        &self,
        ctx: &Context<'_>,
        input: RoleCreateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<RoleCreatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let permissions = permission_set(&input.permissions);
        let work = async |tx: &mut _| {
            service::role_create(tx, call.actor(), call.request.clock(), &input.name, permissions).await
        };
        RoleCreatePayload::new(call.write("role.create", Permission::RolesWrite, work).await, call.actor())
    }

    /// Changes a role of the shop's own, for everybody who has it, within a second.
    #[graphql(directive = access::apply(needs(Permission::RolesWrite)))]
    async fn role_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The version that the change was made for.")] version: i32,
        input: RoleUpdateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<RoleUpdatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let changes = (input.name.as_deref(), input.permissions.as_deref().map(permission_set));
        let work =
            async |tx: &mut _| service::role_update(tx, call.actor(), call.request.clock(), id, version, changes).await;
        RoleUpdatePayload::new(call.write("role.update", Permission::RolesWrite, work).await, call.actor())
    }

    /// Deletes a role of the shop's own that nobody has.
    #[graphql(directive = access::apply(needs(Permission::RolesWrite)))]
    async fn role_delete(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<RoleDeletePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::role_delete(tx, call.actor(), id).await;
        RoleDeletePayload::new(call.write("role.delete", Permission::RolesWrite, work).await, call.actor())
    }
}
