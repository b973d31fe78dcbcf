//! Archives at the operators' edge. What is in them is not shown: it is the shop's.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::contents::row::hex;
use super::manifest::Manifest;
use super::model::{Archive, ArchiveStatus, Purpose};
use super::restore::restore_request;
use super::service;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::graphql::ControlUserError;
use crate::control::jobs::graphql::JobNode;
use crate::control::jobs::model::JobRow;
use crate::control::jobs::service::job_by_id;
use crate::control::tenants::service::tenant_by_slug;
use crate::db::DbError;
use crate::graphql::access::{access, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::payload::payload;
use crate::graphql::scalars::parse_id;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;

/// The purpose of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ArchivePurpose {
    /// The trail of a tenant who left, kept for years.
    Audit,
    /// An export that was asked for.
    Export,
    /// The data of a tenant who left.
    Offboarding,
}

impl From<Purpose> for ArchivePurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Export => Self::Export,
            Purpose::Offboarding => Self::Offboarding,
            Purpose::Audit => Self::Audit,
        }
    }
}

/// The state of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "ArchiveStatus")]
pub enum ArchiveStatusValue {
    /// The archive was written, and found whole when it was read back.
    Completed,
    /// The archive's key is destroyed: nobody can read it any more.
    Expired,
    /// The archive was given up.
    Failed,
    /// The archive is asked for.
    Pending,
    /// The archive is being written.
    Running,
}

impl From<ArchiveStatus> for ArchiveStatusValue {
    fn from(status: ArchiveStatus) -> Self {
        match status {
            ArchiveStatus::Pending => Self::Pending,
            ArchiveStatus::Running => Self::Running,
            ArchiveStatus::Completed => Self::Completed,
            ArchiveStatus::Failed => Self::Failed,
            ArchiveStatus::Expired => Self::Expired,
        }
    }
}

/// A table within an archive.
#[derive(SimpleObject)]
pub struct ArchiveTable {
    /// The table.
    name: String,
    /// The number of rows.
    row_count: i64,
    /// The SHA-256 over its rows as the shop had them, in hexadecimal.
    content_sha256: String,
}

/// An archive: all that a tenant has, in one sealed file.
pub struct ArchiveNode(pub Archive);

impl From<Archive> for ArchiveNode {
    fn from(archive: Archive) -> Self {
        Self(archive)
    }
}

/// An archive: all that a tenant has, in one sealed file.
#[Object(name = "Archive")]
impl ArchiveNode {
    /// The archive's id; ids are made in the order of time.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The tenant's slug when it was asked for.
    async fn tenant_slug(&self) -> &str {
        &self.0.slug
    }

    /// The purpose of the archive.
    async fn purpose(&self) -> ArchivePurpose {
        self.0.purpose().into()
    }

    /// The state.
    async fn status(&self) -> ArchiveStatusValue {
        self.0.status().into()
    }

    /// The reason why it failed, or why the last try did.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// The newest migration that the tenant's schema had.
    async fn schema_version(&self) -> Option<&str> {
        self.0.schema_version.as_deref()
    }

    /// The bytes of the zip, as text: there may be more than an `Int` counts.
    async fn bytes(&self) -> Option<String> {
        self.0.bytes.map(|bytes| bytes.to_string())
    }

    /// The zip's SHA-256, in hexadecimal.
    async fn sha256(&self) -> Option<String> {
        self.0.sha256.as_deref().map(hex)
    }

    /// The SHA-256 over what the shop's tables held: equal if two archives hold the same.
    async fn content_sha256(&self) -> Option<String> {
        self.0.content_hash.as_deref().map(hex)
    }

    /// The tables that it holds, in the order in which they are filled; empty before it is written.
    async fn tables(&self) -> Vec<ArchiveTable> {
        let manifest = self.0.manifest.clone().and_then(|manifest| serde_json::from_value::<Manifest>(manifest).ok());
        let tables = manifest.map(|manifest| manifest.tables).unwrap_or_default();
        let table = |table: super::manifest::TableFacts| ArchiveTable {
            name: table.name,
            row_count: i64::try_from(table.rows).unwrap_or(i64::MAX),
            content_sha256: table.content_sha256,
        };
        tables.into_iter().map(table).collect()
    }

    /// The one who asked for the archive.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// The time when the archive was asked for.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when it was written, or given up.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// The time until which it is kept.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }
}

/// A place in the list of archives, which is ordered by time.
pub struct ArchiveCursor(Uuid);

impl CursorType for ArchiveCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, id] = decode_parts(text).ok_or("malformed")?;
        let id = id.parse().map_err(|_| "malformed")?;
        if kind == "ARCHIVE" { Ok(Self(id)) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["ARCHIVE", &self.0.to_string()])
    }
}

/// Queries about archives.
#[derive(Default)]
pub struct ArchiveQuery;

#[Object]
impl ArchiveQuery {
    /// An archive by id; null where there is none.
    #[graphql(directive = access::apply(signed_in()))]
    async fn archive(&self, ctx: &Context<'_>, id: ID) -> ApiResult<Option<ArchiveNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::archive_by_id(&request.control, parse_id(&id)?).await?.map(ArchiveNode))
    }

    /// Lists archives, the newest first.
    #[graphql(directive = access::apply(signed_in()))]
    async fn archives(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The slug of the tenant whose archives are listed; none if there is no such tenant.")] tenant: Option<
            String,
        >,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
    ) -> ApiResult<Connection<ArchiveCursor, ArchiveNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<ArchiveCursor>()?.map(|cursor| cursor.0);
        let of = match tenant {
            None => None,
            Some(slug) => match tenant_by_slug(&request.control, &slug).await? {
                Some(tenant) => Some(tenant.id),
                None => {
                    return Ok(connection(page.cut(Vec::new()), EmptyFields, |archive: Archive| {
                        (ArchiveCursor(archive.id.0), ArchiveNode(archive))
                    }));
                }
            },
        };
        let page = service::archive_list(&request.control, of, page).await?;
        Ok(connection(page, EmptyFields, |archive| (ArchiveCursor(archive.id.0), ArchiveNode(archive))))
    }
}

payload!(
    /// The answer to `tenantExport`.
    TenantExportPayload {
        /// The archive that is being made, or that is under way already.
        archive: ArchiveNode(Archive)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantRestore`.
    TenantRestorePayload {
        /// The job that restores.
        job: JobNode(JobRow)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations of archives.
#[derive(Default)]
pub struct ArchiveMutation;

#[Object]
impl ArchiveMutation {
    /// Starts a job that makes an archive of a tenant. Its owners are mailed a link when it is there.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_export(&self, ctx: &Context<'_>, slug: String) -> ApiResult<TenantExportPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let result = service::tenant_export(&request.control, request.clock(), operator, &slug, false).await;
        if result.is_ok() {
            request.services.bell.ring();
        }
        TenantExportPayload::new(result, &Actor::System)
    }

    /// Starts a job that restores an archive as a new tenant. The slug may be that of the very tenant whose archive it
    /// is, once that one is deleted.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_restore(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The archive.")] archive: ID,
        #[graphql(desc = "The new tenant's name in addresses.")] slug: String,
        #[graphql(desc = "The new tenant's name for people; the one in the archive if none is given.")] name: Option<
            String,
        >,
    ) -> ApiResult<TenantRestorePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let what = (parse_id(&archive)?, slug.as_str(), name.as_deref());
        let result = async {
            let id = restore_request(&request.control, request.clock(), operator, what).await?;
            request.services.bell.ring();
            let job = job_by_id(&request.control, id).await?;
            job.ok_or_else(|| ControlError::from(DbError::Other("the new job's row was not found".to_owned())))
        };
        TenantRestorePayload::new(result.await, &Actor::System)
    }
}
