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

/// What was done in the shop: one entry for each mutation that changed something.
pub struct AuditEntryNode(Entry);

/// What was done in the shop: one entry for each mutation that changed something.
#[Object(name = "AuditEntry")]
impl AuditEntryNode {
    /// The number, from 1 up without gaps; a text, for it may outgrow `Int`.
    async fn sequence(&self) -> String {
        self.0.sequence.to_string()
    }

    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }

    /// Who; null where it was no user, and for who may not see the shop's people.
    async fn actor(&self, ctx: &Context<'_>) -> ApiResult<Option<UserNode>> {
        let shop = Shop::of(ctx)?;
        match self.0.user().filter(|_| shop.actor().may(Permission::UsersRead)) {
            Some(user) => Ok(load(&shop.loaders().user_by_id, user).await?.map(UserNode)),
            None => Ok(None),
        }
    }

    /// Who, in a word: a user's id, `anonymous` for who was about to get in, `system` for the platform itself.
    async fn actor_name(&self) -> &str {
        &self.0.actor
    }

    /// By which credential: the id of a log-in or of an API key, `identity_provider` for a token of the shop's own log-in,
    /// or `operator` for a token of the platform's operators.
    async fn via(&self) -> Option<&str> {
        self.0.via.as_deref()
    }

    /// What, as `book.create`.
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// To what.
    async fn entity_id(&self) -> ID {
        ID(self.0.entity.clone())
    }

    /// What it was, an object whose fields depend on the entity; null for a new one.
    async fn before(&self) -> Option<Json<&Value>> {
        self.0.before.as_ref().map(Json)
    }

    /// What it is since; null for one that is gone. Where both are null, its own data stayed as they were.
    async fn after(&self) -> Option<Json<&Value>> {
        self.0.after.as_ref().map(Json)
    }

    /// What it tells of people, as `before` and `after`. Kept encrypted: null where it tells nothing of any, where the key is
    /// destroyed, and for who may not see the shop's people.
    async fn personal(&self, ctx: &Context<'_>) -> ApiResult<Option<Json<Value>>> {
        let (request, shop) = (Request::of(ctx)?, Shop::of(ctx)?);
        let personal = service::entry_personal(&request.services().vault, shop.tenant(), shop.actor(), &self.0);
        Ok(personal.map_err(ApiError::from)?.map(Json))
    }

    /// By which request; null for the platform itself.
    async fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// From which address; null for the platform itself.
    async fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// The SHA-256 over this entry and all before it, in hexadecimal: whoever notes one can tell later whether anything up
    /// to it was changed.
    async fn hash(&self) -> String {
        self.0.hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Which entries of the trail are wanted.
#[derive(InputObject, Default)]
pub struct AuditLogFilterInput {
    /// What was done to the entity with this id, of whichever type.
    entity_id: Option<ID>,
    /// What was done, as `book.create`.
    action: Option<String>,
    /// What this user did.
    actor_id: Option<ID>,
    /// What was done then or later.
    from: Option<DateTime<Utc>>,
    /// What was done before.
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
    /// What was done in the shop, the newest first. Nothing of it can be changed or deleted.
    #[graphql(directive = access::apply(needs(Permission::AuditRead)))]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Which entries to list.")] filter: Option<AuditLogFilterInput>,
    ) -> ApiResult<Connection<AuditCursor, AuditEntryNode>> {
        let shop = Shop::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<AuditCursor>()?.map(|cursor| cursor.0);
        let filter = filter.unwrap_or_default().parse()?;
        let page = service::entry_list(&shop.read().await?, shop.actor(), filter, page).await;
        let page = page.map_err(|failure| into_error(failure, shop.actor()))?;
        Ok(connection(page, EmptyFields, |entry| (AuditCursor(entry.sequence), AuditEntryNode(entry))))
    }
}
