//! Waking endpoints: each has one job that looks after it, or none.
//!
//! The job is named by the endpoint's row, and whoever changes which it is has locked that row. A job that the row does not
//! name any more finds nothing to do.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::endpoints::model::{Endpoint, EndpointStatus};
use super::endpoints::repo;
use super::{DELIVER, DISPATCH};
use crate::db::{DbError, TenantSession, TenantTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::WebhookEndpointId;

/// Longer than a transaction may take.
const LOOK_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(90);

/// Wakes all endpoints that take events. Twice is safe: one that is awake stays so.
///
/// # Errors
/// The database failed.
pub async fn dispatch(session: &TenantSession, clock: &dyn Clock, job: (uuid::Uuid, i64)) -> Result<(), DbError> {
    // In a transaction of its own: no lock is taken after the head's. Events that commit after it ask anew, and those
    // before it are found by the endpoints.
    let is_ours = session
        .write(async |tx: &mut TenantTx| {
            if !tx.hold_job(job.0, job.1).await? {
                return Ok::<_, DbError>(false);
            }
            repo::dispatch_taken(tx).await?;
            Ok(true)
        })
        .await?;
    if !is_ours {
        return Ok(());
    }
    session
        .write(async |tx: &mut TenantTx| {
            for endpoint in repo::endpoints_lock(tx, EndpointStatus::Active).await? {
                // One that rests is looked at when it has rested, and its events wait with it.
                let at = endpoint.rests_until.filter(|until| *until > clock.now());
                wake(tx, clock, &endpoint, at).await?;
            }
            Ok(())
        })
        .await
}

/// Has an endpoint looked after at a time, or now where none is said, or sooner if it is to be anyway. Its row is locked.
///
/// # Errors
/// The database failed.
pub(super) async fn wake(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    endpoint: &Endpoint,
    at: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    // The job that is named is either yet to begin, or will look once more before it ends.
    if let Some(job) = endpoint.job_id
        && tx.advance_job(job, at).await?
    {
        return Ok(());
    }
    let job = clock.new_id();
    tx.enqueue_at(job, DELIVER, payload(endpoint.id), None, at).await?;
    repo::endpoint_job_set(tx, endpoint.id, job).await
}

/// Has all endpoints looked at once more in a while: an event whose transaction was under way when an endpoint began to take
/// events did not know of it, and may commit after the endpoint was looked at. No transaction takes so long.
///
/// # Errors
/// The database failed.
pub(super) async fn look_again(tx: &mut TenantTx, clock: &dyn Clock) -> Result<(), DbError> {
    let at = clock.now() + LOOK_AGAIN_AFTER;
    tx.enqueue_at(clock.new_id(), DISPATCH, json!({}), None, Some(at)).await.map(drop)
}

/// Has all endpoints looked at now, should a job that was to do it be lost; nothing where none takes events.
///
/// # Errors
/// The database failed.
pub async fn look_enqueue(tx: &mut TenantTx, clock: &dyn Clock) -> Result<(), DbError> {
    if repo::active_exists(tx).await? {
        tx.enqueue(clock.new_id(), DISPATCH, json!({}), Some("sweep".to_owned())).await?;
    }
    Ok(())
}

/// Has it noticed that an endpoint is gone.
///
/// # Errors
/// The database failed.
pub(super) async fn wake_gone(tx: &mut TenantTx, clock: &dyn Clock, id: WebhookEndpointId) -> Result<(), DbError> {
    tx.enqueue(clock.new_id(), DELIVER, payload(id), None).await.map(drop)
}

/// What a job of [`DELIVER`] is about.
pub(super) fn payload(id: WebhookEndpointId) -> serde_json::Value {
    json!({ "endpoint": id.to_string() })
}
