//! The use of what goes away at the edge.

use std::sync::Arc;

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, Enum, ID, InputObject, Object};
use chrono::{DateTime, Utc};

use super::model::{CredentialKind, Usage, UsageFilter, UsageKey, credential_of};
use super::service;
use crate::graphql::access::{access, needs, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::loaders::load;
use crate::graphql::payload::into_error;
use crate::graphql::scalars::{Date, parse_id};
use crate::graphql::{ApiError, ApiResult, Request, Shop};
use crate::kernel::actor::{Access, Permission};
use crate::kernel::deprecation::Part;
use crate::kernel::ids::ApiKeyId;
use crate::tenant::identity::api_keys::graphql::ApiKeyNode;

/// The kind of credential that a program used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "CredentialKind", remote = "CredentialKind")]
pub enum CredentialKindValue {
    /// An API key.
    ApiKey,
    /// A token of the shop's own identity provider.
    IdentityProvider,
    /// A token that an operator of the platform has made out.
    Operator,
    /// A token of a log-in.
    Session,
}

/// A part of the API that goes away.
pub struct DeprecationNode(Arc<Part>);

/// A part of the API that goes away.
#[Object(name = "Deprecation")]
impl DeprecationNode {
    /// The part's schema coordinate: `Type.field`, `Type.field(argument:)`, `Input.field` or `Enum.VALUE`.
    async fn part(&self) -> &str {
        &self.0.coordinate
    }

    /// The part to use in its place.
    async fn instead(&self) -> &str {
        &self.0.reason.instead
    }

    /// The day on which the deprecation was announced.
    async fn deprecated_on(&self) -> Date {
        Date(self.0.reason.deprecated_on)
    }

    /// The first day, in UTC, on which it is gone for this shop: whoever was given more time sees when that ends.
    async fn removal_on(&self, ctx: &Context<'_>) -> ApiResult<Date> {
        Ok(Date(self.0.removal_on(&Shop::of(ctx)?.tenant().extensions)))
    }
}

/// The use of a part of the API that goes away: by operation, credential and client.
pub struct DeprecatedUsageNode(Usage);

/// The use of a part of the API that goes away: by operation, credential and client.
#[Object(name = "DeprecatedUsage")]
impl DeprecatedUsageNode {
    /// The part's schema coordinate.
    async fn part(&self) -> &str {
        &self.0.key.part
    }

    /// The deprecation of the part; null once it is gone from the API for everybody.
    async fn deprecation(&self, ctx: &Context<'_>) -> ApiResult<Option<DeprecationNode>> {
        let deprecations = &Request::of(ctx)?.services().deprecations;
        Ok(deprecations.part(&self.0.key.part).map(|part| DeprecationNode(Arc::clone(part))))
    }

    /// The operation's name; null where it has none, and `(other)` where there were too many to tell them apart.
    async fn operation_name(&self) -> Option<&str> {
        Some(self.0.key.operation.as_str()).filter(|name| !name.is_empty())
    }

    /// The program's name, by the header `GraphQL-Client-Name` or else `User-Agent`; null if it gives none, and
    /// `(other)` if there were too many to tell them apart.
    async fn client_name(&self) -> Option<&str> {
        Some(self.0.key.client.as_str()).filter(|name| !name.is_empty())
    }

    /// The kind of credential that the program used.
    async fn credential(&self) -> CredentialKindValue {
        credential_of(&self.0.key.credential).0.into()
    }

    /// The API key; null where it was none, and for who may not see the shop's keys.
    async fn api_key(&self, ctx: &Context<'_>) -> ApiResult<Option<ApiKeyNode>> {
        let shop = Shop::of(ctx)?;
        match credential_of(&self.0.key.credential).1.filter(|_| shop.actor().may(Permission::ApiKeysWrite)) {
            Some(key) => Ok(load(&shop.loaders().api_key_by_id, key).await?.map(ApiKeyNode)),
            None => Ok(None),
        }
    }

    /// The approximate number of operations: they are counted beside the requests, and written down every few seconds.
    async fn operation_count(&self) -> i64 {
        self.0.count
    }

    /// The time of the first of them.
    async fn first_used_at(&self) -> DateTime<Utc> {
        self.0.first_used_at
    }

    /// The time of the last of them.
    async fn last_used_at(&self) -> DateTime<Utc> {
        self.0.last_used_at
    }
}

/// A filter of the use of deprecated parts. Fields that are given all apply.
#[derive(InputObject, Default)]
pub struct DeprecatedUsageFilterInput {
    /// The part's schema coordinate.
    part: Option<String>,
    /// The API key that was used.
    api_key_id: Option<ID>,
    /// The start of the time range: use at or after this time.
    used_since: Option<DateTime<Utc>>,
}

impl DeprecatedUsageFilterInput {
    fn parse(self) -> ApiResult<UsageFilter> {
        let key: Option<ApiKeyId> = self.api_key_id.as_ref().map(parse_id).transpose()?;
        Ok(UsageFilter {
            // PostgreSQL takes no NUL, and no coordinate has one.
            part: self.part.map(|part| part.replace('\0', "")),
            credential: key.map(|key| key.to_string()),
            used_since: self.used_since,
        })
    }
}

/// A place in the list, which is in the order of its keys.
pub struct UsageCursor(UsageKey);

impl CursorType for UsageCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, part, operation, credential, client] = decode_parts(text).ok_or("malformed")?;
        if kind != "USAGE" {
            return Err("another list's");
        }
        Ok(Self(UsageKey { part, operation, credential, client }))
    }

    fn encode_cursor(&self) -> String {
        let UsageKey { part, operation, credential, client } = &self.0;
        encode_parts(&["USAGE", part, operation, credential, client])
    }
}

/// Queries about what goes away.
#[derive(Default)]
pub struct DeprecationQuery;

#[Object]
impl DeprecationQuery {
    /// Lists the parts of the API that go away, in the order of their coordinates. What is past its day is refused, and
    /// is listed until it is gone from the schema.
    #[graphql(directive = access::apply(signed_in()))]
    async fn deprecations(&self, ctx: &Context<'_>) -> ApiResult<Vec<DeprecationNode>> {
        let request = Request::of(ctx)?;
        Shop::of(ctx)?.actor().require(Access::SignedIn).map_err(|_| ApiError::unauthenticated())?;
        Ok(request.services().deprecations.parts().iter().map(|part| DeprecationNode(Arc::clone(part))).collect())
    }

    /// Lists the use of deprecated parts of the API by the shop's programs, in the order of the parts. It is a few
    /// seconds old.
    #[graphql(directive = access::apply(needs(Permission::EventsRead)))]
    async fn deprecated_usage(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The use to list.")] filter: Option<DeprecatedUsageFilterInput>,
    ) -> ApiResult<Connection<UsageCursor, DeprecatedUsageNode>> {
        let shop = Shop::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<UsageCursor>()?.map(|cursor| cursor.0);
        let filter = filter.unwrap_or_default().parse()?;
        let page = service::usage_list(&shop.read().await?, shop.actor(), filter, page).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, EmptyFields, |usage| (UsageCursor(usage.key.clone()), DeprecatedUsageNode(usage))))
    }
}
