//! SQL of endpoints.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{Endpoint, EndpointStatus};
use crate::db::schema::tenant::{tenant_head, webhook_endpoints};
use crate::db::statement::{kept, statement};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::WebhookEndpointId;
use crate::tenant::idempotency::Recall;
use crate::tenant::webhooks::breaker::Breaker;

impl Recall for Endpoint {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        endpoint_by_id(read, WebhookEndpointId(id)).await
    }
}

/// All endpoints, the oldest first.
pub async fn endpoint_list(read: &TenantRead) -> Result<Vec<Endpoint>, DbError> {
    read.load(webhook_endpoints::table.order(webhook_endpoints::id).select(Endpoint::as_select())).await
}

/// Endpoints by id, in any order.
pub async fn endpoints_by_id(read: &TenantRead, ids: &[WebhookEndpointId]) -> Result<Vec<Endpoint>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    read.load(webhook_endpoints::table.filter(webhook_endpoints::id.eq_any(ids)).select(Endpoint::as_select())).await
}

/// An endpoint by id.
pub async fn endpoint_by_id(read: &TenantRead, id: WebhookEndpointId) -> Result<Option<Endpoint>, DbError> {
    read.first(webhook_endpoints::table.filter(webhook_endpoints::id.eq(id.0)).select(Endpoint::as_select())).await
}

/// An endpoint, locked until the transaction ends.
pub async fn endpoint_lock(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<Option<Endpoint>, DbError> {
    let query = webhook_endpoints::table.filter(webhook_endpoints::id.eq(id.0));
    tx.first(query.select(Endpoint::as_select()).for_update()).await
}

/// All endpoints with a status, locked until the transaction ends, in the order of ids.
pub async fn endpoints_lock(tx: &mut TenantTx, status: EndpointStatus) -> Result<Vec<Endpoint>, DbError> {
    let query = webhook_endpoints::table.filter(webhook_endpoints::status.eq(status.as_str()));
    tx.load(query.order(webhook_endpoints::id).select(Endpoint::as_select()).for_update()).await
}

/// Has those who add endpoints come one after the other, until the transaction ends.
pub async fn endpoints_count_lock(tx: &mut TenantTx) -> Result<(), DbError> {
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended(pg_catalog.current_schema() || '.webhook_endpoints', 0))";
    tx.execute(diesel::sql_query(lock)).await.map(drop)
}

/// How many endpoints there are.
pub async fn endpoint_count(read: &TenantRead) -> Result<i64, DbError> {
    read.one(webhook_endpoints::table.count()).await
}

/// The position of the last event that is committed. Nobody is waited for.
pub async fn position_last(read: &TenantRead) -> Result<i64, DbError> {
    read.one(tenant_head::table.select(tenant_head::event_position)).await
}

/// Adds an endpoint.
pub async fn endpoint_insert(tx: &mut TenantTx, endpoint: &Endpoint) -> Result<Endpoint, DbError> {
    let insert = diesel::insert_into(webhook_endpoints::table)
        .values((
            webhook_endpoints::id.eq(endpoint.id.0),
            webhook_endpoints::url.eq(endpoint.url.clone()),
            webhook_endpoints::description.eq(endpoint.description.clone()),
            webhook_endpoints::kinds.eq(endpoint.kinds.clone()),
            webhook_endpoints::ordering.eq(endpoint.ordering.clone()),
            webhook_endpoints::status.eq(endpoint.status.clone()),
            webhook_endpoints::status_at.eq(endpoint.status_at),
            webhook_endpoints::secret.eq(endpoint.secret.clone()),
            webhook_endpoints::headers.eq(endpoint.headers.clone()),
            webhook_endpoints::cursor.eq(endpoint.cursor),
            webhook_endpoints::created_at.eq(endpoint.created_at),
            webhook_endpoints::updated_at.eq(endpoint.updated_at),
        ))
        .returning(Endpoint::as_returning());
    tx.one(insert).await
}

/// Writes what a person may change of an endpoint.
pub async fn endpoint_update(tx: &mut TenantTx, endpoint: &Endpoint, now: DateTime<Utc>) -> Result<Endpoint, DbError> {
    let update = diesel::update(webhook_endpoints::table.filter(webhook_endpoints::id.eq(endpoint.id.0)))
        .set((
            webhook_endpoints::url.eq(endpoint.url.clone()),
            webhook_endpoints::description.eq(endpoint.description.clone()),
            webhook_endpoints::kinds.eq(endpoint.kinds.clone()),
            webhook_endpoints::ordering.eq(endpoint.ordering.clone()),
            webhook_endpoints::headers.eq(endpoint.headers.clone()),
            webhook_endpoints::secret.eq(endpoint.secret.clone()),
            webhook_endpoints::previous_secret.eq(endpoint.previous_secret.clone()),
            webhook_endpoints::previous_expires_at.eq(endpoint.previous_expires_at),
            webhook_endpoints::version.eq(webhook_endpoints::version + 1),
            webhook_endpoints::updated_at.eq(now),
        ))
        .returning(Endpoint::as_returning());
    tx.one(kept(update)).await
}

/// Writes whether an endpoint gets events, and from where it goes on.
pub async fn endpoint_status_set(tx: &mut TenantTx, endpoint: &Endpoint) -> Result<Endpoint, DbError> {
    let update = diesel::update(webhook_endpoints::table.filter(webhook_endpoints::id.eq(endpoint.id.0)))
        .set((
            webhook_endpoints::status.eq(endpoint.status.clone()),
            webhook_endpoints::status_reason.eq(endpoint.status_reason.clone()),
            webhook_endpoints::status_at.eq(endpoint.status_at),
            webhook_endpoints::cursor.eq(endpoint.cursor),
            webhook_endpoints::breaker.eq(endpoint.breaker.clone()),
            webhook_endpoints::failures.eq(endpoint.failures),
            webhook_endpoints::rests_until.eq(endpoint.rests_until),
            webhook_endpoints::drain_to.eq(endpoint.drain_to),
            webhook_endpoints::version.eq(webhook_endpoints::version + 1),
        ))
        .returning(Endpoint::as_returning());
    tx.one(kept(update)).await
}

/// Writes how the sending goes: the breaker, what has become deliveries, what is drained, and the next job.
pub async fn endpoint_progress_set(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    breaker: Breaker,
    (cursor, drain_to): (i64, i64),
    job: Option<Uuid>,
) -> Result<(), DbError> {
    let update = diesel::update(webhook_endpoints::table.filter(webhook_endpoints::id.eq(id.0))).set((
        webhook_endpoints::breaker.eq(breaker.state.as_str()),
        webhook_endpoints::failures.eq(breaker.failures),
        webhook_endpoints::rests_until.eq(breaker.rests_until),
        webhook_endpoints::cursor.eq(cursor),
        webhook_endpoints::drain_to.eq(drain_to),
        webhook_endpoints::job_id.eq(job),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Names the job that looks after an endpoint next.
pub async fn endpoint_job_set(tx: &mut TenantTx, id: WebhookEndpointId, job: Uuid) -> Result<(), DbError> {
    let update = diesel::update(webhook_endpoints::table.filter(webhook_endpoints::id.eq(id.0)))
        .set(webhook_endpoints::job_id.eq(Some(job)));
    tx.execute(kept(update)).await.map(drop)
}

/// Writes what is sealed of an endpoint, sealed anew.
pub async fn endpoint_sealed_set(tx: &mut TenantTx, endpoint: &Endpoint) -> Result<(), DbError> {
    let update = diesel::update(webhook_endpoints::table.filter(webhook_endpoints::id.eq(endpoint.id.0))).set((
        webhook_endpoints::secret.eq(endpoint.secret.clone()),
        webhook_endpoints::previous_secret.eq(endpoint.previous_secret.clone()),
        webhook_endpoints::headers.eq(endpoint.headers.clone()),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Removes an endpoint with its deliveries.
pub async fn endpoint_delete(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<(), DbError> {
    tx.execute(diesel::delete(webhook_endpoints::table.filter(webhook_endpoints::id.eq(id.0)))).await.map(drop)
}

statement!(
    /// Counts what waits for endpoints. Of ten thousand of each kind no more are counted, and of the events behind a cursor
    /// no more are looked at.
    Backlogs {
        /// The endpoints.
        ids: Vec<Uuid> => Array<SqlUuid>,
    } -> (SqlUuid, BigInt) =
    "SELECT endpoint.id, (
         SELECT count(*) FROM (
             (SELECT FROM webhook_deliveries WHERE endpoint_id = endpoint.id AND state = 'pending' LIMIT 10000)
             UNION ALL
             (SELECT FROM events
              WHERE endpoint.status <> 'disabled'
                  AND position > endpoint.cursor AND position <= endpoint.cursor + 10000
                  AND (endpoint.kinds = '{ }' OR kind = ANY (endpoint.kinds)))
         ) AS waiting)
     FROM webhook_endpoints AS endpoint WHERE id = ANY ({})"
);

/// How many events and deliveries wait for endpoints, in any order.
pub async fn backlogs(read: &TenantRead, ids: &[WebhookEndpointId]) -> Result<Vec<(WebhookEndpointId, i64)>, DbError> {
    let ids = ids.iter().map(|id| id.0).collect();
    let rows: Vec<(Uuid, i64)> = read.load(Backlogs { ids }).await?;
    Ok(rows.into_iter().map(|(id, count)| (WebhookEndpointId(id), count)).collect())
}

/// Whether any endpoint takes events.
pub async fn active_exists(read: &TenantRead) -> Result<bool, DbError> {
    let active = webhook_endpoints::table.filter(webhook_endpoints::status.eq(EndpointStatus::Active.as_str()));
    let any: Option<Uuid> = read.first(active.select(webhook_endpoints::id).limit(1)).await?;
    Ok(any.is_some())
}

/// Takes down the sign that somebody was asked to look for who wants the events. Events that commit after this ask anew.
pub async fn dispatch_taken(tx: &mut TenantTx) -> Result<(), DbError> {
    let update = diesel::update(tenant_head::table.filter(tenant_head::dispatch_from.is_not_null()))
        .set(tenant_head::dispatch_from.eq(None::<i64>));
    tx.execute(kept(update)).await.map(drop)
}
