//! Decisions about endpoints.

use chrono::TimeDelta;
use uuid::Uuid;

use super::model::{DESCRIPTION_LEN_MAX, Endpoint, EndpointStatus, Ordering, REASON_LEN_MAX};
use super::repo;
use super::sealed::{Header, Sealing};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::failure::Refusal;
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::Clock;
use crate::kernel::ids::WebhookEndpointId;
use crate::kernel::journal::Change;
use crate::outbound::{Policy, check_url};
use crate::tenant::events::is_kind;
use crate::tenant::idempotency::Recall;
use crate::tenant::webhooks::breaker::{Breaker, BreakerState};
use crate::tenant::webhooks::deliveries::service::{pending_give_up, pending_refresh, test_insert};
use crate::tenant::webhooks::dispatch::{look_again, wake, wake_gone};
use crate::tenant::webhooks::signing::{HEADERS_MAX, Secret, header_problem};
use crate::tenant::webhooks::{WebhookError, WebhookErrorCode, WebhookRefusal};
use crate::vault::KeyError;

/// The longest time that a rotated secret goes on signing.
const OVERLAP_MAX: TimeDelta = TimeDelta::days(7);

/// Whoever acts on endpoints, and what it takes.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Who acts.
    pub actor: &'a Actor,
    /// Time, ids and secrets.
    pub clock: &'a dyn Clock,
    /// Seals.
    pub sealing: Sealing<'a>,
    /// Which addresses may be called.
    pub policy: Policy,
}

/// An endpoint as somebody wants it; what is `None` stays as it is, or is what is usual.
#[derive(Debug, Clone, Default)]
pub struct EndpointInput {
    /// The address.
    pub url: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The kinds of events; none: all.
    pub kinds: Option<Vec<String>>,
    /// What must arrive in order.
    pub ordering: Option<Ordering>,
    /// Headers that are sent along.
    pub headers: Option<Vec<Header>>,
}

/// An endpoint and its secret, which is shown this once.
pub struct Shown {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What its deliveries are signed with; nothing where an earlier request was answered with it.
    pub secret: Option<Secret>,
}

impl Recall for Shown {
    fn id(&self) -> Uuid {
        self.endpoint.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        Ok(Endpoint::recall(read, id).await?.map(|endpoint| Self { endpoint, secret: None }))
    }
}

/// All endpoints of the shop, the oldest first.
///
/// # Errors
/// The actor may not see them, or the database failed.
pub async fn endpoint_list(read: &TenantRead, actor: &Actor) -> Result<Vec<Endpoint>, WebhookError> {
    actor.require(Permission::WebhooksRead)?;
    Ok(repo::endpoint_list(read).await?)
}

/// How many endpoints the shop has.
///
/// # Errors
/// As [`endpoint_list`].
pub async fn endpoint_count(read: &TenantRead, actor: &Actor) -> Result<i64, WebhookError> {
    actor.require(Permission::WebhooksRead)?;
    Ok(repo::endpoint_count(read).await?)
}

/// An endpoint by id.
///
/// # Errors
/// As [`endpoint_list`].
pub async fn endpoint_by_id(
    read: &TenantRead,
    actor: &Actor,
    id: WebhookEndpointId,
) -> Result<Option<Endpoint>, WebhookError> {
    actor.require(Permission::WebhooksRead)?;
    Ok(repo::endpoint_by_id(read, id).await?)
}

/// How many events and deliveries wait for an endpoint, up to about 10,000, for the platform itself.
///
/// # Errors
/// The database failed.
pub async fn backlog(read: &TenantRead, id: WebhookEndpointId) -> Result<i64, DbError> {
    Ok(repo::backlogs(read, &[id]).await?.pop().map_or(0, |(_, count)| count))
}

/// How an endpoint is not well, and how much waits for it; nothing where it is well or gone.
///
/// # Errors
/// The database failed.
pub async fn trouble(read: &TenantRead, id: WebhookEndpointId) -> Result<Option<(&'static str, i64)>, DbError> {
    let Some(endpoint) = repo::endpoint_by_id(read, id).await? else { return Ok(None) };
    let state = match (endpoint.status(), endpoint.breaker().state) {
        (EndpointStatus::Suspended, _) => "suspended",
        (EndpointStatus::Disabled, _) | (EndpointStatus::Active, BreakerState::Closed) => return Ok(None),
        (EndpointStatus::Active, state) => state.as_str(),
    };
    Ok(Some((state, backlog(read, id).await?)))
}

/// Adds an endpoint: it gets what happens from now on.
///
/// # Errors
/// Something of the input is malformed, or there are too many endpoints.
pub async fn endpoint_create(tx: &mut TenantTx, desk: Desk<'_>, input: EndpointInput) -> Result<Shown, WebhookError> {
    desk.actor.require(Permission::WebhooksWrite)?;
    let valid = valid(desk, input)?;
    // Those who add come one after the other, and each counts those before it.
    repo::endpoints_count_lock(tx).await?;
    let most = desk.sealing.tenant.limits.webhook_endpoints;
    if repo::endpoint_count(tx).await? >= i64::from(most) {
        let message = format!("This shop's plan allows {most} endpoints.");
        return Err(WebhookError::refused_for_now(WebhookErrorCode::EndpointLimitReached, message, &[]));
    }
    let (id, now) = (WebhookEndpointId(desk.clock.new_id()), desk.clock.now());
    let secret = Secret::new(desk.clock.secret());
    let endpoint = Endpoint {
        id,
        url: valid.url.unwrap_or_default(),
        description: valid.description.unwrap_or_default(),
        kinds: valid.kinds.unwrap_or_default(),
        ordering: valid.ordering.unwrap_or(Ordering::Entity).as_str().to_owned(),
        status: EndpointStatus::Active.as_str().to_owned(),
        status_reason: None,
        status_at: now,
        secret: desk.sealing.secret(id, &secret)?,
        previous_secret: None,
        previous_expires_at: None,
        headers: desk.sealing.headers(id, &valid.headers.unwrap_or_default())?,
        cursor: repo::position_last(tx).await?,
        breaker: Breaker::CLOSED.state.as_str().to_owned(),
        failures: 0,
        rests_until: None,
        drain_to: 0,
        job_id: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let endpoint = repo::endpoint_insert(tx, &endpoint).await?;
    look_again(tx, desk.clock).await?;
    tx.note(Change::created(id, endpoint.trail()));
    Ok(Shown { endpoint, secret: Some(secret) })
}

/// Changes an endpoint. What waits for it is sent to where it is then.
///
/// # Errors
/// There is no such endpoint, it has another version, or something of the input is malformed.
pub async fn endpoint_update(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    (id, version): (WebhookEndpointId, i32),
    input: EndpointInput,
) -> Result<Endpoint, WebhookError> {
    let before = locked(tx, desk.actor, id).await?;
    if version != before.version {
        return Err(Refusal::stale(WebhookErrorCode::VersionConflict, before.version).passing().into());
    }
    let url = input.url.or_else(|| Some(before.url.clone()));
    let valid = valid(desk, EndpointInput { url, ..input })?;
    let mut endpoint = before.clone();
    endpoint.url = valid.url.unwrap_or(endpoint.url);
    endpoint.description = valid.description.unwrap_or(endpoint.description);
    endpoint.kinds = valid.kinds.unwrap_or(endpoint.kinds);
    endpoint.ordering = valid.ordering.map_or(endpoint.ordering, |ordering| ordering.as_str().to_owned());
    if let Some(headers) = valid.headers {
        endpoint.headers = desk.sealing.headers(id, &headers)?;
    }
    changed(tx, desk, &before, &endpoint).await
}

/// Gives an endpoint another secret. Both sign for as long as the overlap, so that receivers can change over.
///
/// # Errors
/// There is no such endpoint, or the overlap is out of bounds.
pub async fn endpoint_rotate(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    (id, overlap): (WebhookEndpointId, TimeDelta),
) -> Result<Shown, WebhookError> {
    if !(TimeDelta::zero()..=OVERLAP_MAX).contains(&overlap) {
        let message = format!("The overlap is 0 to {} seconds.", OVERLAP_MAX.num_seconds());
        return Err(WebhookError::refused(WebhookErrorCode::OverlapInvalid, message, &["overlapSeconds"]));
    }
    let before = locked(tx, desk.actor, id).await?;
    let secret = Secret::new(desk.clock.secret());
    let mut endpoint = before.clone();
    endpoint.secret = desk.sealing.secret(id, &secret)?;
    endpoint.previous_secret = Some(before.secret.clone());
    endpoint.previous_expires_at = Some(desk.clock.now() + overlap);
    let endpoint = changed(tx, desk, &before, &endpoint).await?;
    Ok(Shown { endpoint, secret: Some(secret) })
}

/// Stops sending to an endpoint: events wait for it, or pass it by.
///
/// # Errors
/// There is no such endpoint, or the reason is malformed.
pub async fn endpoint_stop(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    id: WebhookEndpointId,
    (status, reason): (EndpointStatus, &str),
) -> Result<Endpoint, WebhookError> {
    let reason = valid_reason(reason)?;
    let before = locked(tx, desk.actor, id).await?;
    let endpoint = stopped(tx, desk.clock, &before, status, reason).await?;
    tx.note(Change::changed(id, before.trail(), endpoint.trail()));
    Ok(endpoint)
}

/// Sends to an endpoint again: first what has waited, in order and no faster than is bearable. One that was disabled goes on
/// with what happens from now on.
///
/// # Errors
/// There is no such endpoint.
pub async fn endpoint_resume(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    id: WebhookEndpointId,
) -> Result<Endpoint, WebhookError> {
    let before = locked(tx, desk.actor, id).await?;
    let endpoint = resumed(tx, desk.clock, &before, false).await?;
    tx.note(Change::changed(id, before.trail(), endpoint.trail()));
    Ok(endpoint)
}

/// Removes an endpoint, with what waits for it and what is known of its deliveries.
///
/// # Errors
/// There is no such endpoint.
pub async fn endpoint_delete(tx: &mut TenantTx, desk: Desk<'_>, id: WebhookEndpointId) -> Result<(), WebhookError> {
    let before = locked(tx, desk.actor, id).await?;
    repo::endpoint_delete(tx, id).await?;
    wake_gone(tx, desk.clock, id).await?;
    tx.note(Change::removed(id, before.trail()));
    Ok(())
}

/// Sends an endpoint an event of its own, by which its owner sees whether it works.
///
/// # Errors
/// There is no such endpoint, or it is not active.
pub async fn endpoint_test(tx: &mut TenantTx, desk: Desk<'_>, id: WebhookEndpointId) -> Result<Endpoint, WebhookError> {
    let endpoint = locked(tx, desk.actor, id).await?;
    if endpoint.status() != EndpointStatus::Active {
        let message = "Nothing is sent to the endpoint; resume it first.";
        return Err(WebhookError::refused_for_now(WebhookErrorCode::EndpointNotActive, message, &["id"]));
    }
    test_insert(tx, desk.clock, &endpoint).await?;
    wake(tx, desk.clock, &endpoint, None).await?;
    tx.note(Change::done(id));
    Ok(endpoint)
}

/// An endpoint that is stopped, its breaker as it was. The job that looks after it finds that nothing is to be done.
pub(in crate::tenant::webhooks) async fn stopped(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    before: &Endpoint,
    status: EndpointStatus,
    reason: String,
) -> Result<Endpoint, DbError> {
    let mut endpoint = before.clone();
    endpoint.status = status.as_str().to_owned();
    endpoint.status_reason = Some(reason);
    endpoint.status_at = clock.now();
    if before.status() == EndpointStatus::Disabled {
        // What has passed it by has passed it by.
        endpoint.cursor = repo::position_last(tx).await?;
    }
    let endpoint = repo::endpoint_status_set(tx, &endpoint).await?;
    if status == EndpointStatus::Disabled {
        pending_give_up(tx, clock, endpoint.id).await?;
    }
    // Whoever keeps the books of all shops' endpoints hears of it by the job.
    wake(tx, clock, &endpoint, None).await?;
    Ok(endpoint)
}

/// An endpoint that is sent to again, with what has waited, or without.
pub(in crate::tenant::webhooks) async fn resumed(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    before: &Endpoint,
    skips_backlog: bool,
) -> Result<Endpoint, DbError> {
    let mut endpoint = before.clone();
    endpoint.drain_to = repo::position_last(tx).await?;
    let skips_backlog = skips_backlog || before.status() == EndpointStatus::Disabled;
    if skips_backlog {
        endpoint.cursor = endpoint.drain_to;
    }
    endpoint.status = EndpointStatus::Active.as_str().to_owned();
    endpoint.status_reason = None;
    endpoint.status_at = clock.now();
    endpoint.breaker = Breaker::CLOSED.state.as_str().to_owned();
    (endpoint.failures, endpoint.rests_until) = (0, None);
    let endpoint = repo::endpoint_status_set(tx, &endpoint).await?;
    if skips_backlog {
        pending_give_up(tx, clock, endpoint.id).await?;
    } else {
        pending_refresh(tx, clock, endpoint.id).await?;
    }
    wake(tx, clock, &endpoint, None).await?;
    look_again(tx, clock).await?;
    Ok(endpoint)
}

/// Seals what is sealed of all endpoints under the tenant's key of now, and answers how many are not what was sealed. Twice is
/// safe: it is only done again.
///
/// # Errors
/// The database failed, or the tenant's key cannot be used.
pub async fn endpoints_reseal(tx: &mut TenantTx, sealing: Sealing<'_>) -> Result<usize, WebhookError> {
    let mut damaged = 0;
    for endpoint in repo::endpoint_list(tx).await? {
        let Some(endpoint) = repo::endpoint_lock(tx, endpoint.id).await? else { continue };
        match sealing.reseal(endpoint) {
            Ok(endpoint) => repo::endpoint_sealed_set(tx, &endpoint).await?,
            Err(KeyError::Seal(_) | KeyError::Gone) => damaged += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(damaged)
}

/// A reason as it is stored.
pub(in crate::tenant::webhooks) fn valid_reason(reason: &str) -> Result<String, WebhookError> {
    let reason = reason.trim();
    if !(1..=REASON_LEN_MAX).contains(&reason.chars().count()) || reason.contains(char::is_control) {
        let message = format!("A reason has 1 to {REASON_LEN_MAX} characters.");
        return Err(WebhookError::refused(WebhookErrorCode::ReasonInvalid, message, &["reason"]));
    }
    Ok(reason.to_owned())
}

async fn changed(
    tx: &mut TenantTx,
    desk: Desk<'_>,
    before: &Endpoint,
    endpoint: &Endpoint,
) -> Result<Endpoint, WebhookError> {
    let endpoint = repo::endpoint_update(tx, endpoint, desk.clock.now()).await?;
    tx.note(Change::changed(endpoint.id, before.trail(), endpoint.trail()));
    Ok(endpoint)
}

/// An endpoint, locked until the transaction ends.
async fn locked(tx: &mut TenantTx, actor: &Actor, id: WebhookEndpointId) -> Result<Endpoint, WebhookError> {
    actor.require(Permission::WebhooksWrite)?;
    let not_found = || {
        let message = format!("There is no endpoint `{id}`.");
        WebhookRefusal::new(WebhookErrorCode::EndpointNotFound, message, &["id"])
    };
    Ok(repo::endpoint_lock(tx, id).await?.ok_or_else(not_found)?)
}

/// The input as it is stored, or everything that is wrong with it.
fn valid(desk: Desk<'_>, mut input: EndpointInput) -> Result<EndpointInput, WebhookError> {
    let mut refusals = Vec::new();
    let mut refuse = |code, message: String, field: &'static str| {
        refusals.push(WebhookRefusal::new(code, message, &["input", field]));
    };
    match check_url(input.url.as_deref().unwrap_or_default(), desk.policy) {
        Ok(url) => input.url = Some(url.into()),
        Err(error) => refuse(WebhookErrorCode::UrlInvalid, format!("The address cannot be called: {error}."), "url"),
    }
    if let Some(description) = &mut input.description {
        *description = description.trim().to_owned();
        if description.chars().count() > DESCRIPTION_LEN_MAX || description.contains(char::is_control) {
            let message = format!("A description has at most {DESCRIPTION_LEN_MAX} characters, on one line.");
            refuse(WebhookErrorCode::DescriptionInvalid, message, "description");
        }
    }
    if let Some(kinds) = &mut input.kinds {
        kinds.sort();
        kinds.dedup();
        for kind in kinds.iter().filter(|kind| !is_kind(kind)) {
            // What is not one is told in part: it may be long.
            let kind: String = kind.chars().take(80).collect();
            refuse(WebhookErrorCode::EventTypeUnknown, format!("There is no event type `{kind}`."), "eventTypes");
        }
    }
    if let Some(headers) = &input.headers {
        if headers.len() > HEADERS_MAX {
            refuse(WebhookErrorCode::HeaderInvalid, format!("There are at most {HEADERS_MAX} headers."), "headers");
        }
        for (index, (name, value)) in headers.iter().enumerate() {
            let is_twice = headers[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            let problem = header_problem(name, value).map(|problem| problem.to_string());
            if let Some(problem) = problem.or_else(|| is_twice.then(|| "it is named twice".to_owned())) {
                let message = format!("The header number {} cannot be sent: {problem}.", index + 1);
                refuse(WebhookErrorCode::HeaderInvalid, message, "headers");
            }
        }
    }
    // What is said at length is cut: input decides how much there is.
    refusals.truncate(20);
    if refusals.is_empty() { Ok(input) } else { Err(WebhookError::Refused(refusals)) }
}
