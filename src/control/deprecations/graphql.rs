//! What goes away at the operators' edge.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::model::{Extension, TenantUsage, UsageFilter, UsagePlace};
use super::service;
use crate::control::error::ControlErrorCode;
use crate::control::graphql::ControlUserError;
use crate::graphql::access::{access, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::payload::payload;
use crate::graphql::scalars::Date;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;
use crate::kernel::deprecation::Part;

/// A part of the tenants' API that goes away.
pub struct DeprecationNode {
    part: Arc<Part>,
    tenants: i64,
}

/// A part of the tenants' API that goes away.
#[Object(name = "Deprecation")]
impl DeprecationNode {
    /// The part's schema coordinate: `Type.field`, `Type.field(argument:)`, `Input.field` or `Enum.VALUE`.
    async fn part(&self) -> &str {
        &self.part.coordinate
    }

    /// The part to use in its place.
    async fn instead(&self) -> &str {
        &self.part.reason.instead
    }

    /// The day on which the deprecation was announced.
    async fn deprecated_on(&self) -> Date {
        Date(self.part.reason.deprecated_on)
    }

    /// The first day, in UTC, on which it is gone for all who were not given more time.
    async fn removal_on(&self) -> Date {
        Date(self.part.reason.removal_on)
    }

    /// The last day up to which more time may be given.
    async fn extendable_until(&self) -> Date {
        Date(self.part.reason.extendable_until())
    }

    /// The number of tenants that have used it in the last 30 days.
    async fn tenant_count(&self) -> i64 {
        self.tenants
    }
}

/// The use of a part by one program of a tenant.
pub struct TenantDeprecatedUsageNode(TenantUsage);

/// The use of a part by one program of a tenant.
#[Object(name = "TenantDeprecatedUsage")]
impl TenantDeprecatedUsageNode {
    /// The tenant's slug.
    async fn tenant_slug(&self) -> &str {
        &self.0.slug
    }

    /// The part's schema coordinate.
    async fn part(&self) -> &str {
        &self.0.used.part
    }

    /// The operation's name; null where it has none, and `(other)` where there were too many to tell them apart.
    async fn operation_name(&self) -> Option<&str> {
        Some(self.0.used.operation.as_str()).filter(|name| !name.is_empty())
    }

    /// The program's name; null if it gives none, and `(other)` if there were too many to tell them apart.
    async fn client_name(&self) -> Option<&str> {
        Some(self.0.used.client.as_str()).filter(|name| !name.is_empty())
    }

    /// The credential that was used: the id of an API key, or `session`, `identity_provider` or `operator`.
    async fn credential(&self) -> &str {
        &self.0.used.credential
    }

    /// The approximate number of operations.
    async fn operation_count(&self) -> i64 {
        self.0.used.count
    }

    /// The time of the first of them.
    async fn first_used_at(&self) -> DateTime<Utc> {
        self.0.used.first_used_at
    }

    /// The time of the last of them.
    async fn last_used_at(&self) -> DateTime<Utc> {
        self.0.used.last_used_at
    }
}

/// A filter of the use of deprecated parts. Fields that are given all apply.
#[derive(InputObject, Default)]
pub struct TenantDeprecatedUsageFilterInput {
    /// The slug of the tenant.
    slug: Option<String>,
    /// The part's schema coordinate.
    part: Option<String>,
    /// The start of the time range: use at or after this time.
    used_since: Option<DateTime<Utc>>,
}

/// PostgreSQL takes no NUL, and neither a slug nor a coordinate has one.
fn plain(text: &str) -> String {
    text.replace('\0', "")
}

/// A place in the list, which is in the order of tenants and parts.
pub struct UsageCursor(UsagePlace);

impl CursorType for UsageCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, tenant, part, operation, credential, client] = decode_parts(text).ok_or("malformed")?;
        let tenant = tenant.parse().map_err(|_| "malformed")?;
        if kind == "USAGE" { Ok(Self((tenant, [part, operation, credential, client]))) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        let (tenant, [part, operation, credential, client]) = &self.0;
        encode_parts(&["USAGE", &tenant.to_string(), part, operation, credential, client])
    }
}

/// An extension: more time for a tenant to use a part that goes away.
#[derive(SimpleObject)]
#[graphql(name = "DeprecationExtension")]
pub struct ExtensionNode {
    /// The tenant's slug.
    tenant_slug: String,
    /// The part's schema coordinate.
    part: String,
    /// The first day, in UTC, on which it is gone for the tenant.
    until: Date,
    /// The reason.
    reason: String,
    /// The operator who gave it.
    made_by: String,
    /// The time when it was given.
    made_at: DateTime<Utc>,
}

impl From<Extension> for ExtensionNode {
    fn from(extension: Extension) -> Self {
        let Extension { slug, part, until, reason, made_by, made_at } = extension;
        Self { tenant_slug: slug, part, until: Date(until), reason, made_by, made_at }
    }
}

/// Queries about what goes away.
#[derive(Default)]
pub struct TenantDeprecationQuery;

#[Object]
impl TenantDeprecationQuery {
    /// Lists the parts of the tenants' API that go away, in the order of their coordinates.
    #[graphql(directive = access::apply(signed_in()))]
    async fn deprecations(&self, ctx: &Context<'_>) -> ApiResult<Vec<DeprecationNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let counts = service::part_counts(&request.control, request.clock()).await?;
        let counts: HashMap<String, i64> = counts.into_iter().map(|count| (count.part, count.tenants)).collect();
        let node = |part: &Arc<Part>| DeprecationNode {
            part: Arc::clone(part),
            tenants: counts.get(&part.coordinate).copied().unwrap_or(0),
        };
        Ok(request.services.deprecations.parts().iter().map(node).collect())
    }

    /// Lists the use of deprecated parts by tenants' programs, in the order of tenants and parts. It is a minute old;
    /// that of a closed tenant is as of its closing.
    #[graphql(directive = access::apply(signed_in()))]
    async fn deprecated_usage(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The use to list.")] filter: Option<TenantDeprecatedUsageFilterInput>,
    ) -> ApiResult<Connection<UsageCursor, TenantDeprecatedUsageNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<UsageCursor>()?.map(|cursor| cursor.0);
        let TenantDeprecatedUsageFilterInput { slug, part, used_since } = filter.unwrap_or_default();
        let filter = UsageFilter { slug: slug.as_deref().map(plain), part: part.as_deref().map(plain), used_since };
        let page = service::usage_list(&request.control, filter, page).await?;
        let place = |TenantUsage { tenant, used, .. }: &TenantUsage| {
            let parts = [&used.part, &used.operation, &used.credential, &used.client];
            UsageCursor((tenant.0, parts.map(Clone::clone)))
        };
        Ok(connection(page, EmptyFields, |usage| (place(&usage), TenantDeprecatedUsageNode(usage))))
    }

    /// Lists the extensions that tenants were given, the first to end first; at most 1,000.
    #[graphql(directive = access::apply(signed_in()))]
    async fn deprecation_extensions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The slug of the tenant whose extensions are listed.")] slug: Option<String>,
    ) -> ApiResult<Vec<ExtensionNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let extensions = service::extension_list(&request.control, slug.as_deref().map(plain).as_deref()).await?;
        Ok(extensions.into_iter().map(ExtensionNode::from).collect())
    }
}

/// A part that a tenant has no more time for than others.
#[derive(SimpleObject)]
pub struct DeprecationExtensionRemoved {
    /// The part's schema coordinate.
    part: String,
}

impl From<String> for DeprecationExtensionRemoved {
    fn from(part: String) -> Self {
        Self { part }
    }
}

payload!(
    /// The answer to `deprecationExtensionSet`.
    DeprecationExtensionSetPayload {
        /// The extension.
        extension: ExtensionNode(Extension)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `deprecationExtensionRemove`.
    DeprecationExtensionRemovePayload {
        /// The part that the tenant has no more time for.
        removed: DeprecationExtensionRemoved(String)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations of extensions.
#[derive(Default)]
pub struct DeprecationMutation;

#[Object]
impl DeprecationMutation {
    /// Gives a tenant more time for a part of the API that goes away, in place of what it was given before. Every server knows
    /// within a second.
    #[graphql(directive = access::apply(signed_in()))]
    async fn deprecation_extension_set(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The part's schema coordinate.")] part: String,
        #[graphql(desc = "The first day, in UTC, on which it is gone for the tenant: up to 184 days after its own.")]
        until: Date,
        #[graphql(desc = "The reason, in 1 to 500 characters.")] reason: String,
    ) -> ApiResult<DeprecationExtensionSetPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let parts = request.services.deprecations.parts();
        let (slug, part) = (plain(&slug), plain(&part));
        let given = (until.0, reason.as_str());
        let result = service::extension_set(&request.control, request.clock(), operator, (&slug, &part), given, parts);
        DeprecationExtensionSetPayload::new(result.await, &Actor::System)
    }

    /// Takes back the time that a tenant was given for a part: it is gone for it when it is for all.
    #[graphql(directive = access::apply(signed_in()))]
    async fn deprecation_extension_remove(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The part's schema coordinate.")] part: String,
    ) -> ApiResult<DeprecationExtensionRemovePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let (slug, part) = (plain(&slug), plain(&part));
        let result = service::extension_remove(&request.control, request.clock(), operator, (&slug, &part));
        DeprecationExtensionRemovePayload::new(result.await, &Actor::System)
    }
}
