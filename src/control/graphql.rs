//! The operators' API.

use async_graphql::connection::CursorType;
use async_graphql::{Context, Enum, Interface, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::error::ControlErrorCode;
use super::plans::graphql::PlanLimits;
use super::tenants::keys::tenant_rotate_key;
use super::tenants::{Tenant, TenantStatus, service};
use crate::failure::Refusal;
use crate::graphql::access::{access, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::payload::payload;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;

/// A bookshop on the platform.
#[derive(Clone)]
pub struct TenantNode(pub Tenant);

impl From<Tenant> for TenantNode {
    fn from(tenant: Tenant) -> Self {
        Self(tenant)
    }
}

/// A tenant's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "TenantStatus")]
pub enum TenantStatusValue {
    /// The tenant is in use.
    Active,
    /// The tenant is gone.
    Deleted,
    /// The tenant is on its way out: closed to its users, waiting to be deleted.
    Offboarding,
    /// The tenant is being made.
    Provisioning,
    /// The tenant is closed to its users; its data is kept.
    Suspended,
}

impl From<TenantStatus> for TenantStatusValue {
    fn from(status: TenantStatus) -> Self {
        match status {
            TenantStatus::Provisioning => Self::Provisioning,
            TenantStatus::Active => Self::Active,
            TenantStatus::Suspended => Self::Suspended,
            TenantStatus::Offboarding => Self::Offboarding,
            TenantStatus::Deleted => Self::Deleted,
        }
    }
}

/// A bookshop on the platform.
#[Object(name = "Tenant")]
impl TenantNode {
    /// The tenant's id.
    async fn id(&self) -> async_graphql::ID {
        async_graphql::ID(self.0.id.to_string())
    }

    /// The name in addresses: the first label of the shop's host name.
    async fn slug(&self) -> &str {
        &self.0.slug
    }

    /// The name for people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The code of the plan.
    async fn plan(&self) -> &str {
        &self.0.plan
    }

    /// The limits of what it may use: its plan's, or what was agreed for it alone in their place.
    async fn limits(&self) -> Option<PlanLimits> {
        self.0.limits().map(Into::into)
    }

    /// The currency of all prices (ISO 4217).
    async fn currency(&self) -> &str {
        &self.0.currency
    }

    /// The state.
    async fn status(&self) -> TenantStatusValue {
        self.0.status().into()
    }

    /// The reason why the tenant is suspended.
    async fn suspension_reason(&self) -> Option<&str> {
        self.0.suspension_reason.as_deref()
    }

    /// The name of the tenant's schema and role in PostgreSQL.
    async fn schema_name(&self) -> String {
        crate::kernel::tenant::SchemaName::from(self.0.id).to_string()
    }

    /// The newest migration of the tenant's schema.
    async fn schema_version(&self) -> &str {
        &self.0.schema_version
    }

    /// The time when the tenant was provisioned.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the tenant's entry last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// A failure that the operator can mend.
#[derive(Interface)]
#[graphql(
    name = "UserError",
    field(name = "message", ty = "&String", desc = "The error in words, for people."),
    field(name = "path", ty = "&Option<Vec<String>>", desc = "The path to the argument or field that is wrong.")
)]
pub enum AdminUserError {
    /// In the control plane.
    Control(ControlUserError),
}

/// An error of a request to the control plane.
#[derive(SimpleObject)]
pub struct ControlUserError {
    /// The code of the error, for programs.
    code: ControlErrorCode,
    /// The error in words, for people.
    message: String,
    /// The path to the argument or field that is wrong.
    path: Option<Vec<String>>,
}

impl From<Refusal<ControlErrorCode>> for ControlUserError {
    fn from(refusal: Refusal<ControlErrorCode>) -> Self {
        let path = refusal.path.into_iter().map(Into::into).collect();
        Self { code: refusal.code, message: refusal.message, path: Some(path) }
    }
}

/// A place in the list of tenants, which is ordered by slug.
pub struct TenantCursor(String);

impl CursorType for TenantCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, slug] = decode_parts(text).ok_or("malformed")?;
        if kind == "SLUG" { Ok(Self(slug)) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["SLUG", &self.0])
    }
}

/// What the list of tenants knows beside its items.
pub struct TenantTotal;

#[Object]
impl TenantTotal {
    /// The number of tenants; counted when it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> ApiResult<Option<i64>> {
        Ok(Some(service::tenant_count(&AdminRequest::of(ctx)?.0.control).await?))
    }
}

/// Queries about tenants.
#[derive(Default)]
pub struct AdminQuery;

#[Object]
impl AdminQuery {
    /// A tenant by slug; null where there is none.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant(&self, ctx: &Context<'_>, slug: String) -> ApiResult<Option<TenantNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::tenant_by_slug(&request.control, &slug).await?.map(TenantNode))
    }

    /// Lists tenants, by slug.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenants(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<Connection<TenantCursor, TenantNode, TenantTotal>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<TenantCursor>()?.map(|cursor| cursor.0);
        let page = service::tenant_list(&request.control, page).await?;
        Ok(connection(page, TenantTotal, |tenant| (TenantCursor(tenant.slug.clone()), TenantNode(tenant))))
    }
}

/// The currency of a shop that asks for none.
pub const DEFAULT_CURRENCY: &str = "EUR";

payload!(
    /// The answer to `tenantSuspend`.
    TenantSuspendPayload {
        /// The tenant as it is now.
        tenant: TenantNode(Tenant)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantResume`.
    TenantResumePayload {
        /// The tenant as it is now.
        tenant: TenantNode(Tenant)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantRotateKey`.
    TenantRotateKeyPayload {
        /// The tenant.
        tenant: TenantNode(Tenant)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations of tenants.
#[derive(Default)]
pub struct AdminMutation;

#[Object]
impl AdminMutation {
    /// Closes a tenant to its users, within a second everywhere. Its data stays.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_suspend(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The reason, for the operators.")] reason: String,
    ) -> ApiResult<TenantSuspendPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let result = service::tenant_suspend(&request.control, request.clock(), operator, &slug, &reason).await;
        TenantSuspendPayload::new(result, &Actor::System)
    }

    /// Opens a suspended tenant again.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_resume(&self, ctx: &Context<'_>, slug: String) -> ApiResult<TenantResumePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let result = service::tenant_resume(&request.control, request.clock(), operator, &slug).await;
        TenantResumePayload::new(result, &Actor::System)
    }

    /// Gives a tenant a new data key, which seals ten minutes later, when every server knows it. What the earlier keys
    /// sealed, they open.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_rotate_key(&self, ctx: &Context<'_>, slug: String) -> ApiResult<TenantRotateKeyPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let (vault, clock) = (&request.services.vault, request.clock());
        let result = tenant_rotate_key(&request.control, vault, clock, operator, &slug).await;
        TenantRotateKeyPayload::new(result, &Actor::System)
    }
}
