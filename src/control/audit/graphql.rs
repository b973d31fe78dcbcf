//! The trail at the edge.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, ID, Json, Object};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::model::AuditEntry;
use super::service;
use crate::graphql::access::{access, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::ids::base32_encode;

/// An entry of the platform's audit trail: what an operator did.
pub struct AuditEntryNode(AuditEntry);

/// An entry of the platform's audit trail: what an operator did.
#[Object(name = "AuditEntry")]
impl AuditEntryNode {
    /// The entry's id; ids are made in the order of time.
    async fn id(&self) -> ID {
        ID(format!("audit_{}", base32_encode(self.0.id)))
    }

    /// The time when it was done.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }

    /// The operator: the id of an administrator, `cli:` and the name of whoever had the platform's keys at hand, or
    /// `platform` if nobody asked.
    async fn operator(&self) -> &str {
        &self.0.operator
    }

    /// The action, as `tenant.suspend`.
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// The target: a tenant's slug, or an administrator's address.
    async fn target(&self) -> &str {
        &self.0.target
    }

    /// The details, an object whose fields depend on the action.
    async fn details(&self) -> Json<&Value> {
        Json(&self.0.details)
    }

    /// The id of the request; null at the command line.
    async fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The network address of the request; null at the command line.
    async fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }
}

/// A place in the trail.
pub struct AuditCursor(Uuid);

impl CursorType for AuditCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, id] = decode_parts(text).ok_or("malformed")?;
        let id = id.parse().map_err(|_| "malformed")?;
        if kind == "AUDIT" { Ok(Self(id)) } else { Err("another list's") }
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
    /// The audit trail: what operators did, the newest first. Nothing of it can be changed or deleted.
    #[graphql(directive = access::apply(signed_in()))]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(
            desc = "The tenant or administrator that it was done to: a slug, or an address as it was first typed."
        )]
        target: Option<String>,
    ) -> ApiResult<Connection<AuditCursor, AuditEntryNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<AuditCursor>()?.map(|cursor| cursor.0);
        // PostgreSQL takes no NUL, and no target has one.
        let target = target.map(|target| target.replace('\0', ""));
        let page = service::entry_list(&request.control, target.as_deref(), page).await?;
        Ok(connection(page, EmptyFields, |entry| (AuditCursor(entry.id), AuditEntryNode(entry))))
    }
}
