//! Who the caller is, and what the caller may do.

use async_graphql::{Context, Object, SimpleObject};

use crate::graphql::access::{access, public};
use crate::graphql::loaders::load;
use crate::graphql::{ApiResult, Shop};
use crate::kernel::actor::{Actor, Principal};
use crate::tenant::identity::roles::graphql::{PermissionValue, RoleNode, permission_values};
use crate::tenant::identity::users::graphql::UserNode;

/// The caller.
pub struct Viewer(Principal);

/// The shop as its people see it.
#[derive(SimpleObject)]
pub struct ViewerTenant {
    /// The name in addresses.
    slug: String,
    /// The name for people.
    name: String,
    /// The currency of all prices (ISO 4217).
    currency: String,
    /// The code of the plan.
    plan: String,
}

/// The caller.
#[Object]
impl Viewer {
    /// The user who calls, or for whom the program acts.
    async fn user(&self, ctx: &Context<'_>) -> ApiResult<Option<UserNode>> {
        Ok(load(&Shop::of(ctx)?.loaders().user_by_id, self.0.user).await?.map(UserNode))
    }

    /// The user's roles, by name.
    async fn roles(&self, ctx: &Context<'_>) -> ApiResult<Vec<RoleNode>> {
        let roles = load(&Shop::of(ctx)?.loaders().roles_by_user, self.0.user).await?;
        Ok(roles.iter().cloned().map(RoleNode).collect())
    }

    /// The permissions that the credential gives; an API key may give fewer than the roles do.
    async fn permissions(&self) -> Vec<PermissionValue> {
        permission_values(self.0.permissions)
    }

    /// The shop.
    async fn tenant(&self, ctx: &Context<'_>) -> ApiResult<ViewerTenant> {
        let tenant = Shop::of(ctx)?.tenant();
        Ok(ViewerTenant {
            slug: tenant.slug.to_string(),
            name: tenant.name.clone(),
            currency: tenant.currency.code().to_owned(),
            plan: tenant.plan.clone(),
        })
    }
}

/// Queries about the caller.
#[derive(Default)]
pub struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// The caller; null for a stranger.
    #[graphql(directive = access::apply(public()))]
    async fn viewer(&self, ctx: &Context<'_>) -> ApiResult<Option<Viewer>> {
        let shop = crate::graphql::Request::of(ctx)?.known_shop();
        Ok(shop.and_then(|shop| match shop.actor() {
            Actor::User(principal) => Some(Viewer(*principal)),
            Actor::Anonymous | Actor::System => None,
        }))
    }
}
