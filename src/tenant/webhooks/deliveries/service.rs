//! Who sees deliveries, and what is delivered once more.

use serde_json::json;
use uuid::Uuid;

use super::model::{Delivery, DeliveryFilter, DeliveryState, TEST_KIND};
use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::{Clock, storable};
use crate::kernel::ids::{EventId, WebhookDeliveryId, WebhookEndpointId};
use crate::kernel::journal::Change;
use crate::kernel::page::{Page, PageRequest};
use crate::tenant::webhooks::courier::repo::{NewDelivery, deliveries_insert};
use crate::tenant::webhooks::dispatch::wake;
use crate::tenant::webhooks::endpoints::model::{Endpoint, EndpointStatus};
use crate::tenant::webhooks::endpoints::repo as endpoints;
use crate::tenant::webhooks::{WebhookError, WebhookErrorCode, WebhookRefusal};

/// Deliveries that one call begins anew at most.
pub const REPLAY_MAX: i64 = 10_000;

/// Deliveries that one statement removes at most.
const SWEPT_MAX: usize = 10_000;

/// A delivery by id.
///
/// # Errors
/// The actor may not see it, or the database failed.
pub async fn delivery_by_id(
    read: &TenantRead,
    actor: &Actor,
    id: WebhookDeliveryId,
) -> Result<Option<Delivery>, WebhookError> {
    actor.require(Permission::WebhooksRead)?;
    Ok(repo::delivery_by_id(read, id).await?)
}

/// One page of deliveries, the newest first.
///
/// # Errors
/// As [`delivery_by_id`].
pub async fn delivery_list(
    read: &TenantRead,
    actor: &Actor,
    filter: DeliveryFilter,
    page: PageRequest<Uuid>,
) -> Result<Page<Delivery>, WebhookError> {
    actor.require(Permission::WebhooksRead)?;
    Ok(page.cut(repo::delivery_list(read, stored(filter), &page).await?))
}

/// Begins a finished delivery anew, with all its attempts and under the same id.
///
/// # Errors
/// There is no such delivery, or it is on its way already.
pub async fn delivery_replay(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: WebhookDeliveryId,
) -> Result<Delivery, WebhookError> {
    actor.require(Permission::WebhooksWrite)?;
    let not_found = || {
        let message = format!("There is no delivery `{id}`.");
        WebhookRefusal::new(WebhookErrorCode::DeliveryNotFound, message, &["id"])
    };
    // The endpoint before the delivery, as whoever sends does.
    let found = repo::delivery_by_id(tx, id).await?.ok_or_else(not_found)?;
    let endpoint = endpoints::endpoint_lock(tx, found.endpoint_id).await?.ok_or_else(not_found)?;
    let before = repo::delivery_lock(tx, id).await?.ok_or_else(not_found)?;
    not_disabled(&endpoint)?;
    if before.state() == DeliveryState::Pending {
        let message = "The delivery is on its way already.";
        return Err(WebhookError::refused_for_now(WebhookErrorCode::DeliveryPending, message, &["id"]));
    }
    let delivery = repo::delivery_replay(tx, id, clock.now()).await?;
    wake(tx, clock, &endpoint, None).await?;
    tx.note(Change::changed(id, before.trail(), delivery.trail()));
    Ok(delivery)
}

/// Begins finished deliveries to an endpoint anew, and answers how many.
///
/// # Errors
/// There is no such endpoint, the time range is empty, or deliveries are asked for that have not ended.
pub async fn deliveries_replay(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: WebhookEndpointId,
    filter: DeliveryFilter,
) -> Result<(Endpoint, usize), WebhookError> {
    actor.require(Permission::WebhooksWrite)?;
    let filter = stored(filter);
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && from >= to
    {
        let message = "The time range ends before it begins.";
        return Err(WebhookError::refused(WebhookErrorCode::TimeRangeInvalid, message, &["input", "to"]));
    }
    if filter.state == Some(DeliveryState::Pending) {
        let message = "Deliveries that are on their way are not sent once more; only `DEAD` and `DELIVERED` ones are.";
        return Err(WebhookError::refused(WebhookErrorCode::DeliveryPending, message, &["input", "state"]));
    }
    let Some(endpoint) = endpoints::endpoint_lock(tx, id).await? else {
        let message = format!("There is no endpoint `{id}`.");
        return Err(WebhookError::refused(WebhookErrorCode::EndpointNotFound, message, &["input", "endpointId"]));
    };
    not_disabled(&endpoint)?;
    let trail = filter.trail();
    let count = repo::deliveries_replay(tx, id, filter, clock.now(), REPLAY_MAX).await?;
    if count > 0 {
        wake(tx, clock, &endpoint, None).await?;
    }
    tx.note(Change::changed(id, json!({}), json!({ "replayed": count, "filter": trail })));
    Ok((endpoint, count))
}

/// Puts a test event on its way to an endpoint.
pub(in crate::tenant::webhooks) async fn test_insert(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    endpoint: &Endpoint,
) -> Result<(), DbError> {
    let (event, now) = (EventId(clock.new_id()), clock.now());
    let body = json!({
        "id": event.to_string(), "type": TEST_KIND, "version": 1, "position": "0", "timestamp": now,
        "entity": endpoint.id.to_string(), "data": {},
    });
    let delivery = NewDelivery {
        id: clock.new_id(),
        event: event.0,
        position: 0,
        kind: TEST_KIND.to_owned(),
        ordering_key: None,
        body: body.to_string().into_bytes(),
    };
    deliveries_insert(tx, endpoint.id, vec![delivery], now).await
}

/// Has what waits for an endpoint tried at once.
pub(in crate::tenant::webhooks) async fn pending_refresh(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    id: WebhookEndpointId,
) -> Result<(), DbError> {
    repo::pending_refresh(tx, id, clock.now()).await
}

/// Gives up what waits for an endpoint: dead letters, which can be replayed.
pub(in crate::tenant::webhooks) async fn pending_give_up(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    id: WebhookEndpointId,
) -> Result<(), DbError> {
    repo::pending_give_up(tx, id, clock.now()).await
}

/// Removes deliveries that ended before a time, as many as one statement may, and answers whether there may be more of them.
///
/// # Errors
/// The database failed.
pub async fn sweep(tx: &mut TenantTx, kept_from: chrono::DateTime<chrono::Utc>) -> Result<bool, DbError> {
    Ok(repo::deliveries_sweep(tx, kept_from).await? == SWEPT_MAX)
}

/// Whether the shop has any delivery that is to be removed one day.
///
/// # Errors
/// The database failed.
pub async fn delivery_exists(read: &TenantRead) -> Result<bool, DbError> {
    repo::delivery_exists(read).await
}

/// Nothing waits for an endpoint that is disabled.
fn not_disabled(endpoint: &Endpoint) -> Result<(), WebhookError> {
    if endpoint.status() == EndpointStatus::Disabled {
        let message = "The endpoint is disabled; resume it first.";
        return Err(WebhookError::refused_for_now(WebhookErrorCode::EndpointNotActive, message, &[]));
    }
    Ok(())
}

/// A filter with times that PostgreSQL knows.
fn stored(filter: DeliveryFilter) -> DeliveryFilter {
    DeliveryFilter { from: filter.from.map(storable), to: filter.to.map(storable), ..filter }
}
