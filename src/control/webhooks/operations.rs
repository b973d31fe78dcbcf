//! What operators do to a tenant's webhooks, be the tenant suspended or not.
//!
//! An act is noted in the operators' trail first and done then: the trail is of the control plane and the endpoints are of the
//! tenant's schema, so no transaction has both. A try without effect is better in the trail than an effect without a try.

use serde_json::{Value, json};

use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode, ControlRefusal};
use crate::control::tenants::service::{tenant_by_slug, valid_reason};
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::{ControlDb, ControlTx, DbError, TenantDb, TenantSession};
use crate::failure::Failure;
use crate::kernel::clock::Clock;
use crate::kernel::ids::{WebhookDeliveryId, WebhookEndpointId};
use crate::tenant::webhooks::deliveries::model::{Delivery, DeliveryFilter};
use crate::tenant::webhooks::endpoints::model::Endpoint;
use crate::tenant::webhooks::operations::Operations;
use crate::tenant::webhooks::{WebhookError, WebhookErrorCode, WebhookRefusal};
use crate::vault::Vault;

/// Who acts on tenants' webhooks, and by what.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Where tenants and the operators' trail are.
    pub control: &'a ControlDb,
    /// Where endpoints are.
    pub tenants: &'a TenantDb,
    /// Seals for the tenants' trails.
    pub vault: &'a Vault,
    /// Time and ids.
    pub clock: &'a dyn Clock,
    /// Who acts.
    pub operator: &'a Operator,
}

impl Desk<'_> {
    /// Stops sending to all active endpoints of a tenant, and answers to how many. Events wait for them.
    ///
    /// # Errors
    /// There is no such tenant, or the reason is blank or too long.
    pub async fn suspend(&self, slug: &str, reason: &str) -> Result<usize, ControlError> {
        let reason = valid_reason(reason)?;
        let session = self.session(slug, &["slug"]).await?;
        self.note(("tenant.webhooks_suspend", slug), json!({ "reason": reason })).await?;
        self.operations(&session).suspend_all(&reason).await.map_err(of_shop)
    }

    /// Sends to all suspended endpoints of a tenant again, and answers to how many: with what has waited, or without.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn resume(&self, slug: &str, skips_backlog: bool) -> Result<usize, ControlError> {
        let session = self.session(slug, &["slug"]).await?;
        self.note(("tenant.webhooks_resume", slug), json!({ "skipBacklog": skips_backlog })).await?;
        self.operations(&session).resume_all(skips_backlog).await.map_err(of_shop)
    }

    /// Sends finished deliveries to an endpoint once more, and answers how many.
    ///
    /// # Errors
    /// There is no such tenant, it has no such endpoint, the time range is empty, or deliveries are asked for that have not
    /// ended.
    pub async fn replay(
        &self,
        slug: &str,
        endpoint: WebhookEndpointId,
        filter: DeliveryFilter,
    ) -> Result<usize, ControlError> {
        let session = self.session(slug, &["input", "slug"]).await?;
        // PostgreSQL takes no NUL, and no kind has one.
        let filter = DeliveryFilter { kind: filter.kind.map(|kind| kind.replace('\0', "")), ..filter };
        let mut details = filter.trail();
        details["endpoint"] = json!(endpoint.to_string());
        self.note(("tenant.webhooks_replay", slug), details).await?;
        self.operations(&session).replay(endpoint, filter).await.map_err(of_shop)
    }

    /// Sends a finished delivery once more.
    ///
    /// # Errors
    /// There is no such tenant, it has no such delivery, or the delivery is on its way already.
    pub async fn delivery_replay(&self, slug: &str, id: WebhookDeliveryId) -> Result<Delivery, ControlError> {
        let session = self.session(slug, &["slug"]).await?;
        self.note(("tenant.webhook_delivery_replay", slug), json!({ "delivery": id.to_string() })).await?;
        self.operations(&session).delivery_replay(id).await.map_err(of_shop)
    }

    /// All endpoints of a tenant, the oldest first, each with how much waits for it.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn endpoint_list(&self, slug: &str) -> Result<Vec<(Endpoint, i64)>, ControlError> {
        let session = self.session(slug, &["slug"]).await?;
        let endpoints = self.operations(&session).list().await;
        session.finish().await;
        Ok(endpoints?)
    }

    /// A session of a tenant that has a schema, whatever its status is otherwise.
    async fn session(&self, slug: &str, path: &[&'static str]) -> Result<TenantSession, ControlError> {
        let tenant: Tenant = tenant_by_slug(self.control, slug).await?.ok_or_else(|| {
            ControlRefusal::new(ControlErrorCode::TenantNotFound, format!("There is no tenant `{slug}`."), path)
        })?;
        if matches!(tenant.status(), TenantStatus::Provisioning | TenantStatus::Deleted) {
            let message = format!("The tenant is {}; it has no webhooks.", tenant.status);
            return Err(ControlError::refused(ControlErrorCode::TenantStatusConflict, message, path));
        }
        let unreadable = || DbError::Other(format!("the entry of `{slug}` holds what this version cannot read"));
        Ok(self.tenants.session(tenant.context().ok_or_else(unreadable)?))
    }

    fn operations<'b>(&'b self, session: &'b TenantSession) -> Operations<'b> {
        Operations { session, vault: self.vault, clock: self.clock, operator: &self.operator.name }
    }

    async fn note(&self, act: (&'static str, &str), details: Value) -> Result<(), DbError> {
        self.control.write(async |tx: &mut ControlTx| record(tx, self.clock, self.operator, act, details).await).await
    }
}

/// A shop's failure as the control plane's.
fn of_shop(failure: WebhookError) -> ControlError {
    match failure {
        Failure::Refused(refusals) => match refusals.into_iter().map(refusal).collect() {
            Ok(refusals) => Failure::Refused(refusals),
            Err(error) => Failure::Db(error),
        },
        Failure::Forbidden(forbidden) => Failure::Forbidden(forbidden),
        Failure::Db(error) => Failure::Db(error),
        Failure::Busy => Failure::Busy,
        Failure::Key(error) => Failure::Key(error),
        Failure::Repeated(problem) => Failure::Repeated(problem),
        Failure::Gone => Failure::Gone,
    }
}

/// A shop's refusal as the control plane's. Most codes are about what only a shop's own people do.
fn refusal(refusal: WebhookRefusal) -> Result<ControlRefusal, DbError> {
    let code = match refusal.code {
        WebhookErrorCode::DeliveryNotFound => ControlErrorCode::WebhookDeliveryNotFound,
        WebhookErrorCode::DeliveryPending => ControlErrorCode::WebhookDeliveryPending,
        WebhookErrorCode::EndpointNotFound => ControlErrorCode::WebhookEndpointNotFound,
        WebhookErrorCode::ReasonInvalid => ControlErrorCode::ReasonInvalid,
        WebhookErrorCode::TimeRangeInvalid => ControlErrorCode::TimeRangeInvalid,
        other => return Err(DbError::Other(format!("a shop refused an operator by {other:?}"))),
    };
    let (path, fact, is_passing) = (refusal.path, refusal.fact, refusal.is_passing);
    Ok(ControlRefusal { code, message: refusal.message, path, fact, is_passing })
}
