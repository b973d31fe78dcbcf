//! Offboardings at the operators' edge.

use async_graphql::connection::{CursorType, EmptyFields};
use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Offboarding, OffboardingStatus};
use super::{certificate, service};
use crate::control::error::ControlErrorCode;
use crate::control::graphql::{ControlUserError, TenantNode};
use crate::control::tenants::service::tenant_by_id;
use crate::graphql::access::{access, signed_in};
use crate::graphql::connection::{Connection, PageArgs, connection, decode_parts, encode_parts};
use crate::graphql::payload::payload;
use crate::graphql::{AdminRequest, ApiError, ApiResult};
use crate::kernel::actor::Actor;

/// The state of an offboarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "OffboardingStatus")]
pub enum OffboardingStatusValue {
    /// The offboarding was called off: the tenant is what it was before.
    Canceled,
    /// The tenant is gone, and the certificate says so.
    Completed,
    /// The tenant's keys are destroyed, and the rest is going. It cannot be called off any more.
    Deleting,
    /// The tenant is closed, and its archives are being written and read back.
    Exporting,
    /// The tenant is archived, and waits for the end of the grace period.
    Waiting,
}

impl From<OffboardingStatus> for OffboardingStatusValue {
    fn from(status: OffboardingStatus) -> Self {
        match status {
            OffboardingStatus::Exporting => Self::Exporting,
            OffboardingStatus::Waiting => Self::Waiting,
            OffboardingStatus::Deleting => Self::Deleting,
            OffboardingStatus::Completed => Self::Completed,
            OffboardingStatus::Canceled => Self::Canceled,
        }
    }
}

impl From<OffboardingStatusValue> for OffboardingStatus {
    fn from(status: OffboardingStatusValue) -> Self {
        match status {
            OffboardingStatusValue::Exporting => Self::Exporting,
            OffboardingStatusValue::Waiting => Self::Waiting,
            OffboardingStatusValue::Deleting => Self::Deleting,
            OffboardingStatusValue::Completed => Self::Completed,
            OffboardingStatusValue::Canceled => Self::Canceled,
        }
    }
}

/// An offboarding: how a tenant leaves the platform.
pub struct OffboardingNode(Offboarding);

impl From<Offboarding> for OffboardingNode {
    fn from(offboarding: Offboarding) -> Self {
        Self(offboarding)
    }
}

/// An offboarding: how a tenant leaves the platform.
#[Object(name = "Offboarding")]
impl OffboardingNode {
    /// The offboarding's id.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The tenant's slug when it was asked for.
    async fn tenant_slug(&self) -> &str {
        &self.0.slug
    }

    /// The tenant as it is now; its entry stays when all else is gone.
    async fn tenant(&self, ctx: &Context<'_>) -> ApiResult<Option<TenantNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(tenant_by_id(&request.control, self.0.tenant_id).await?.map(TenantNode))
    }

    /// The state of the offboarding.
    async fn status(&self) -> ApiResult<OffboardingStatusValue> {
        self.0.status().map(Into::into).ok_or_else(ApiError::internal)
    }

    /// The reason for the offboarding.
    async fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The operator who asked for it: the id of an administrator, or `cli:` and a name.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// The time when the offboarding was asked for.
    async fn requested_at(&self) -> DateTime<Utc> {
        self.0.requested_at
    }

    /// The end of the grace period: nothing is destroyed before.
    async fn delete_after(&self) -> DateTime<Utc> {
        self.0.delete_after
    }

    /// The id of the archive of all that the shop had.
    async fn archive_id(&self) -> ID {
        ID(self.0.archive_id.to_string())
    }

    /// The id of the archive of the shop's trail, which is kept for longer.
    async fn audit_archive_id(&self) -> ID {
        ID(self.0.audit_archive_id.to_string())
    }

    /// The last error that has not been mended; the tenant is kept as it is until then.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// The number of failures.
    async fn failure_count(&self) -> i32 {
        self.0.failures
    }

    /// The time when another archive is asked for instead of one that failed.
    async fn retry_at(&self) -> Option<DateTime<Utc>> {
        self.0.retry_at
    }

    /// The time when the tenant's keys were destroyed: from then on it cannot be called off.
    async fn keys_destroyed_at(&self) -> Option<DateTime<Utc>> {
        self.0.keys_destroyed_at
    }

    /// The number of tables that are gone.
    async fn tables_dropped_count(&self) -> i64 {
        self.0.tables_dropped.as_object().and_then(|tables| i64::try_from(tables.len()).ok()).unwrap_or(0)
    }

    /// The number of rows that went with the tables.
    async fn rows_dropped_count(&self) -> i64 {
        certificate::total(&self.0.tables_dropped)
    }

    /// The certificate of deletion; null before the tenant is gone.
    async fn certificate(&self, ctx: &Context<'_>) -> ApiResult<Option<DeletionCertificate>> {
        let (Some(signed), Some(key)) = (&self.0.certificate, &self.0.certificate_key) else { return Ok(None) };
        let (request, _) = AdminRequest::of(ctx)?;
        let statement = certificate::verified_by(&request.services.tokens, signed, key).map_err(|error| {
            tracing::error!(offboarding.id = %self.0.id, %error, "A certificate of deletion was tampered with");
            ApiError::internal()
        })?;
        Ok(Some(DeletionCertificate {
            signature: signed.clone(),
            public_key: Json(key.clone()),
            statement: Json(statement),
        }))
    }

    /// The time when it was completed or called off.
    async fn completed_at(&self) -> Option<DateTime<Utc>> {
        self.0.completed_at
    }

    /// The time of its last progress.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// A certificate of deletion: what was destroyed, signed.
#[derive(SimpleObject)]
pub struct DeletionCertificate {
    /// The certificate itself: a JSON Web Signature in its compact form (RFC 7515).
    signature: String,
    /// The public key that verifies it, as a JSON Web Key (RFC 7517). Compare it with the platform's published keys of that
    /// time.
    public_key: Json<Value>,
    /// The statement that is signed: what was destroyed, how much of it, when, on whose word, and what is not covered.
    statement: Json<Value>,
}

/// A place in the list of offboardings.
pub struct OffboardingCursor(Uuid);

impl CursorType for OffboardingCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let [kind, id] = decode_parts(text).ok_or("malformed")?;
        let id = id.parse().map_err(|_| "malformed")?;
        if kind == "OFFBOARDING" { Ok(Self(id)) } else { Err("another list's") }
    }

    fn encode_cursor(&self) -> String {
        encode_parts(&["OFFBOARDING", &self.0.to_string()])
    }
}

/// Queries about offboardings.
#[derive(Default)]
pub struct OffboardingQuery;

#[Object]
impl OffboardingQuery {
    /// The newest offboarding of the tenant that has or had a slug; null where there was none.
    #[graphql(directive = access::apply(signed_in()))]
    async fn offboarding(&self, ctx: &Context<'_>, slug: String) -> ApiResult<Option<OffboardingNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::offboarding_by_slug(&request.control, &slug).await?.map(OffboardingNode))
    }

    /// Lists offboardings, the newest first.
    #[graphql(directive = access::apply(signed_in()))]
    async fn offboardings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Start after the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "End before the item with this cursor.")] before: Option<String>,
        #[graphql(desc = "Items from the start, 1 to 100; 20 by default.")] first: Option<i32>,
        #[graphql(desc = "Items from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "The state of the offboardings.")] status: Option<OffboardingStatusValue>,
    ) -> ApiResult<Connection<OffboardingCursor, OffboardingNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        let page = PageArgs::new(after, before, first, last).parse::<OffboardingCursor>()?.map(|cursor| cursor.0);
        let page = service::offboarding_list(&request.control, status.map(Into::into), page).await?;
        let place = |offboarding: &Offboarding| OffboardingCursor(offboarding.id.0);
        Ok(connection(page, EmptyFields, |offboarding| (place(&offboarding), OffboardingNode(offboarding))))
    }
}

payload!(
    /// The answer to `tenantOffboard`.
    TenantOffboardPayload {
        /// The offboarding of the tenant.
        offboarding: OffboardingNode(Offboarding)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tenantOffboardCancel`.
    TenantOffboardCancelPayload {
        /// The offboarding that was called off.
        offboarding: OffboardingNode(Offboarding)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations of offboardings.
#[derive(Default)]
pub struct OffboardingMutation;

#[Object]
impl OffboardingMutation {
    /// Offboards a tenant: closes it to its users, within a second everywhere, archives it and its audit trail, and
    /// deletes it after the grace period, keys first. Nothing is deleted before the archives were read back.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_offboard(
        &self,
        ctx: &Context<'_>,
        slug: String,
        #[graphql(desc = "The reason, in 1 to 500 characters; the certificate has it.")] reason: String,
    ) -> ApiResult<TenantOffboardPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let (clock, grace) = (request.clock(), request.services.offboarding_grace);
        let result = service::tenant_offboard(&request.control, clock, operator, grace, (&slug, &reason)).await;
        if result.is_ok() {
            request.services.bell.ring();
        }
        TenantOffboardPayload::new(result, &Actor::System)
    }

    /// Calls an offboarding off before the tenant's keys are destroyed: the tenant is what it was before, and what waited goes
    /// on.
    #[graphql(directive = access::apply(signed_in()))]
    async fn tenant_offboard_cancel(&self, ctx: &Context<'_>, slug: String) -> ApiResult<TenantOffboardCancelPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let result = service::tenant_offboard_cancel(&request.control, request.clock(), operator, &slug).await;
        if result.is_ok() {
            request.services.bell.ring();
        }
        TenantOffboardCancelPayload::new(result, &Actor::System)
    }
}
