//! The shop's people at the edge.

use async_graphql::connection::CursorType;
use async_graphql::{Context, Enum, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::model::{User, UserStatus};
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::loaders::load;
use crate::graphql::payload::{into_error, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::user_error::IdentityUserError;
use crate::graphql::{ApiResult, Call, IdempotencyKey, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::RoleId;
use crate::tenant::identity::error::IdentityErrorCode;
use crate::tenant::identity::roles::graphql::RoleNode;
use crate::tenant::identity::roles::model::permissions_of;

/// A user's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "UserStatus", remote = "UserStatus")]
pub enum UserStatusValue {
    /// The account can log in.
    Active,
    /// The account cannot log in until it is enabled again.
    Disabled,
    /// The invitation has not been accepted yet.
    Invited,
}

/// A user: one of the shop's people.
#[derive(Clone)]
pub struct UserNode(pub User);

impl From<User> for UserNode {
    fn from(user: User) -> Self {
        Self(user)
    }
}

/// A user: one of the shop's people.
#[Object(name = "User")]
impl UserNode {
    /// The user's id.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The e-mail address, by which the user logs in too.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// The name for people; empty until somebody gives one.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The state.
    async fn status(&self) -> UserStatusValue {
        self.0.status().into()
    }

    /// The roles of the user, by name.
    async fn roles(&self, ctx: &Context<'_>) -> ApiResult<Vec<RoleNode>> {
        let roles = load(&Shop::of(ctx)?.loaders().roles_by_user, self.0.id).await?;
        Ok(roles.iter().cloned().map(RoleNode).collect())
    }

    /// The number of the present version; an update names the version that it was made for.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// The time when the user was invited.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the user was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// Tells whether the caller may change, disable and enable this user.
    async fn viewer_can_update(&self, ctx: &Context<'_>) -> ApiResult<bool> {
        let shop = Shop::of(ctx)?;
        if !shop.actor().may(Permission::UsersWrite) {
            return Ok(false);
        }
        let roles = load(&shop.loaders().roles_by_user, self.0.id).await?;
        Ok(shop.actor().permissions().covers(permissions_of(&roles)))
    }
}

/// A place in the list of users, which is ordered by address.
pub struct UserCursor(String, Uuid);

impl CursorType for UserCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, email_key, id] = decode_parts(text).ok_or("malformed")?;
        let id = id.parse().map_err(|_| "malformed")?;
        if kind == "EMAIL" { Ok(Self(email_key, id)) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["EMAIL", &self.0, &self.1.to_string()])
    }
}

/// What the list of users knows beside its items.
pub struct UserTotal;

#[Object]
impl UserTotal {
    /// The number of users that the shop has; counted when it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> ApiResult<Option<i64>> {
        let shop = Shop::of(ctx)?;
        let count = service::user_count(&shop.read().await?, shop.actor()).await;
        count.map(Some).map_err(|failure| into_error(failure, shop.actor()))
    }
}

/// Queries about the shop's people.
#[derive(Default)]
pub struct UserQuery;

#[Object]
impl UserQuery {
    /// A user by id.
    #[graphql(directive = access::apply(needs(Permission::UsersRead)))]
    async fn user(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<UserNode>> {
        let shop = Shop::of(ctx)?;
        let user = service::user_by_id(&shop.read().await?, shop.actor(), parse_id(&id)?).await;
        user.map(|user| user.map(UserNode)).map_err(|failure| into_error(failure, shop.actor()))
    }

    /// The shop's people in the order of their addresses.
    #[graphql(directive = access::apply(needs(Permission::UsersRead)))]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<Connection<UserCursor, UserNode, UserTotal>> {
        let shop = Shop::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<UserCursor>()?;
        let page = page.map(|UserCursor(email_key, id)| (email_key, id));
        let page = service::user_list(&shop.read().await?, shop.actor(), page).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        let edge = |user: User| (UserCursor(user.email_key.clone(), user.id.0), UserNode(user));
        Ok(connection(page, UserTotal, edge))
    }
}

/// A user who is to join the shop.
#[derive(InputObject)]
pub struct UserInviteInput {
    /// The e-mail address that the invitation goes to.
    email: String,
    /// The name for people.
    name: String,
    /// The roles of the user: at least one, and no more permissions than the caller has.
    role_ids: Vec<ID>,
}

/// Changes of a user. A field that is not given stays.
#[derive(InputObject)]
pub struct UserUpdateInput {
    /// The name for people.
    name: Option<String>,
    /// The roles of the user: these and no others.
    role_ids: Option<Vec<ID>>,
}

payload!(
    /// The answer to `userInvite`.
    UserInvitePayload {
        /// The invited user.
        user: UserNode(User)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `userReinvite`.
    UserReinvitePayload {
        /// The invited user.
        user: UserNode(User)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `userUpdate`.
    UserUpdatePayload {
        /// The user as it is now.
        user: UserNode(User)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `userDisable`.
    UserDisablePayload {
        /// The user as it is now.
        user: UserNode(User)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `userEnable`.
    UserEnablePayload {
        /// The user as it is now.
        user: UserNode(User)
    },
    IdentityUserError(IdentityErrorCode)
);

/// Mutations of the shop's people.
#[derive(Default)]
pub struct UserMutation;

#[Object]
impl UserMutation {
    /// Adds a user and mails an invitation, which works for seven days.
    #[graphql(directive = access::apply(needs(Permission::UsersWrite)))]
    async fn user_invite(
        &self,
        ctx: &Context<'_>,
        input: UserInviteInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<UserInvitePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let roles = role_ids(&input.role_ids)?;
        let work = async |tx: &mut _| {
            service::user_invite(tx, call.actor(), call.request.clock(), &input.email, &input.name, &roles).await
        };
        UserInvitePayload::new(call.write("user.invite", Permission::UsersWrite, work).await, call.actor())
    }

    /// Mails the invitation again to a user who has not accepted it yet.
    #[graphql(directive = access::apply(needs(Permission::UsersWrite)))]
    async fn user_reinvite(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<UserReinvitePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::user_reinvite(tx, call.actor(), call.request.clock(), id).await;
        UserReinvitePayload::new(call.write("user.reinvite", Permission::UsersWrite, work).await, call.actor())
    }

    /// Changes a user's name and roles.
    #[graphql(directive = access::apply(needs(Permission::UsersWrite)))]
    async fn user_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(desc = "The version that the change was made for.")] version: i32,
        input: UserUpdateInput,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<UserUpdatePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let roles = input.role_ids.as_deref().map(role_ids).transpose()?;
        let changes = (input.name.as_deref(), roles.as_deref());
        let work =
            async |tx: &mut _| service::user_update(tx, call.actor(), call.request.clock(), id, version, changes).await;
        UserUpdatePayload::new(call.write("user.update", Permission::UsersWrite, work).await, call.actor())
    }

    /// Disables a user, within a second everywhere: log-ins end, and the user's API keys stop working.
    #[graphql(directive = access::apply(needs(Permission::UsersWrite)))]
    async fn user_disable(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<UserDisablePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::user_disable(tx, call.actor(), call.request.clock(), id).await;
        UserDisablePayload::new(call.write("user.disable", Permission::UsersWrite, work).await, call.actor())
    }

    /// Enables a disabled user again.
    #[graphql(directive = access::apply(needs(Permission::UsersWrite)))]
    async fn user_enable(
        &self,
        ctx: &Context<'_>,
        id: ID,
        idempotency_key: Option<IdempotencyKey>,
    ) -> ApiResult<UserEnablePayload> {
        let call = Call::of(ctx, idempotency_key.as_ref())?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut _| service::user_enable(tx, call.actor(), call.request.clock(), id).await;
        UserEnablePayload::new(call.write("user.enable", Permission::UsersWrite, work).await, call.actor())
    }
}

fn role_ids(ids: &[ID]) -> ApiResult<Vec<RoleId>> {
    ids.iter().map(parse_id).collect()
}
