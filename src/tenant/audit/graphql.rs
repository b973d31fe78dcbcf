//! The trail at the edge.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, ID, InputObject, Json, Object};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::model::{Entry, EntryFilter};
use super::service;
use crate::graphql::access::{access, needs};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::loaders::load;
use crate::graphql::payload::into_error;
use crate::graphql::scalars::parse_id;
use crate::graphql::{ApiError, ApiResult, Request, Shop};
use crate::kernel::actor::Permission;
use crate::tenant::identity::users::graphql::UserNode;

/// An entry of the shop's audit trail: one for each mutation that changed something.
pub struct AuditEntryNode(Entry);

/// An entry of the shop's audit trail: one for each mutation that changed something.
#[Object(name = "AuditEntry")]
impl AuditEntryNode {
    /// The number, from 1 up without gaps; a text, for it may outgrow `Int`.
    async fn sequence(&self) -> String {
        self.0.sequence.to_string()
    }

    /// The time when it was done.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }

    /// The user who did it; null if it was no user, or if the caller may not see the shop's people.
    async fn actor(&self, ctx: &Context<'_>) -> ApiResult<Option<UserNode>> {
        let shop = Shop::of(ctx)?;
        match self.0.user().filter(|_| shop.actor().may(Permission::UsersRead)) {
            Some(user) => Ok(load(&shop.loaders().user_by_id, user).await?.map(UserNode)),
            None => Ok(None),
        }
    }

    /// The name of the one who did it: a user's id, `anonymous` for a caller who was about to log in, or `system` for
    /// the platform itself.
    async fn actor_name(&self) -> &str {
        &self.0.actor
    }

    /// The credential that was used: the id of a log-in or of an API key, `identity_provider` for a token of the shop's
    /// identity provider, or `operator` for a token of the platform's operators.
    async fn via(&self) -> Option<&str> {
        self.0.via.as_deref()
    }

    /// The action, as `book.create`.
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// The object's id.
    async fn entity_id(&self) -> ID {
        ID(self.0.entity.clone())
    }

    /// The object's state before, in JSON whose fields depend on the entity; null if it is new.
    async fn before(&self) -> Option<Json<&Value>> {
        self.0.before.as_ref().map(Json)
    }

    /// The object's state afterwards; null if it is gone. If both `before` and `after` are null, its own data stayed as
    /// they were.
    async fn after(&self) -> Option<Json<&Value>> {
        self.0.after.as_ref().map(Json)
    }

    /// The personal data of the change, as `before` and `after`. They are kept encrypted: null if there are none, if
    /// the key is destroyed, or if the caller may not see the shop's people.
    async fn personal(&self, ctx: &Context<'_>) -> ApiResult<Option<Json<Value>>> {
        let (request, shop) = (Request::of(ctx)?, Shop::of(ctx)?);
        let personal = service::entry_personal(&request.services().vault, shop.tenant(), shop.actor(), &self.0);
        Ok(personal.map_err(ApiError::from)?.map(Json))
    }

    /// The id of the request; null for the platform itself.
    async fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The network address of the request; null for the platform itself.
    async fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// The SHA-256 over this entry and all before it, in hexadecimal: whoever notes one can tell later whether anything up
    /// to it was changed.
    async fn hash(&self) -> String {
        self.0.hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A filter of the audit trail. Fields that are given all apply.
#[derive(InputObject, Default)]
pub struct AuditLogFilterInput {
    /// The id of the object that it was done to, of whichever type.
    entity_id: Option<ID>,
    /// The action, as `book.create`.
    action: Option<String>,
    /// The id of the user who did it.
    actor_id: Option<ID>,
    /// The start of the time range: entries at or after this time.
    from: Option<DateTime<Utc>>,
    /// The end of the time range: entries before this time.
    to: Option<DateTime<Utc>>,
}

impl AuditLogFilterInput {
    fn parse(self) -> ApiResult<EntryFilter> {
        // PostgreSQL takes no NUL, and neither an id nor an action has one.
        let plain = |text: String| text.replace('\0', "");
        Ok(EntryFilter {
            entity: self.entity_id.map(|id| plain(id.0)),
            action: self.action.map(plain),
            actor: self.actor_id.as_ref().map(parse_id).transpose()?,
            from: self.from,
            to: self.to,
        })
    }
}

/// A place in the trail.
pub struct AuditCursor(i64);

impl CursorType for AuditCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, sequence] = decode_parts(text).ok_or("malformed")?;
        let sequence = sequence.parse().map_err(|_| "malformed")?;
        if kind == "AUDIT" { Ok(Self(sequence)) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["AUDIT", &self.0.to_string()])
    }
}

/// Queries about the trail.
#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// The audit trail: what was done in the shop, the newest first. Nothing of it can be changed or deleted.
    #[graphql(directive = access::apply(needs(Permission::AuditRead)))]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The entries to list.")] filter: Option<AuditLogFilterInput>,
    ) -> ApiResult<Connection<AuditCursor, AuditEntryNode>> {
        let shop = Shop::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<AuditCursor>()?.map(|cursor| cursor.0);
        let filter = filter.unwrap_or_default().parse()?;
        let page = service::entry_list(&shop.read().await?, shop.actor(), filter, page).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, EmptyFields, |entry| (AuditCursor(entry.sequence), AuditEntryNode(entry))))
    }
}
