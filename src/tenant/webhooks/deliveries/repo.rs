//! SQL of deliveries, as the shop sees and replays them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{Attempt, Delivery, DeliveryFilter, DeliveryState};
use crate::db::schema::tenant::{webhook_attempts, webhook_deliveries};
use crate::db::statement::{kept, statement};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::{WebhookDeliveryId, WebhookEndpointId};
use crate::kernel::page::{Direction, PageRequest};
use crate::tenant::idempotency::Recall;

impl Recall for Delivery {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        delivery_by_id(read, WebhookDeliveryId(id)).await
    }
}

/// A delivery by id.
pub async fn delivery_by_id(read: &TenantRead, id: WebhookDeliveryId) -> Result<Option<Delivery>, DbError> {
    read.first(webhook_deliveries::table.filter(webhook_deliveries::id.eq(id.0)).select(Delivery::as_select())).await
}

/// One page's rows, the newest first, read in the page's direction.
pub async fn delivery_list(
    read: &TenantRead,
    filter: DeliveryFilter,
    page: &PageRequest<Uuid>,
) -> Result<Vec<Delivery>, DbError> {
    let mut query = webhook_deliveries::table.select(Delivery::as_select()).limit(page.rows()).into_boxed();
    if let Some(endpoint) = filter.endpoint {
        query = query.filter(webhook_deliveries::endpoint_id.eq(endpoint.0));
    }
    if let Some(state) = filter.state {
        query = query.filter(webhook_deliveries::state.eq(state.as_str()));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(webhook_deliveries::kind.eq(kind));
    }
    if let Some(from) = filter.from {
        query = query.filter(webhook_deliveries::created_at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(webhook_deliveries::created_at.lt(to));
    }
    let query = match (page.direction, page.from) {
        (Direction::Forward, None) => query.order(webhook_deliveries::id.desc()),
        (Direction::Forward, Some(from)) => {
            query.filter(webhook_deliveries::id.lt(from)).order(webhook_deliveries::id.desc())
        }
        (Direction::Backward, None) => query.order(webhook_deliveries::id.asc()),
        (Direction::Backward, Some(from)) => {
            query.filter(webhook_deliveries::id.gt(from)).order(webhook_deliveries::id.asc())
        }
    };
    read.load(query).await
}

/// The newest attempts of deliveries, at most `each_max` of each, the newest first.
pub async fn attempts_by_delivery(
    read: &TenantRead,
    ids: &[WebhookDeliveryId],
    each_max: i32,
) -> Result<Vec<Attempt>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    // Numbers are without gaps, so the newest are those close to the total.
    let query = webhook_attempts::table
        .inner_join(webhook_deliveries::table)
        .filter(webhook_attempts::delivery_id.eq_any(ids))
        .filter(webhook_attempts::number.gt(webhook_deliveries::attempts_total - each_max))
        .order((webhook_attempts::delivery_id, webhook_attempts::number.desc()));
    read.load(query.select(Attempt::as_select())).await
}

/// A delivery, locked until the transaction ends.
pub async fn delivery_lock(tx: &mut TenantTx, id: WebhookDeliveryId) -> Result<Option<Delivery>, DbError> {
    let query = webhook_deliveries::table.filter(webhook_deliveries::id.eq(id.0));
    tx.first(query.select(Delivery::as_select()).for_update()).await
}

/// Begins a finished delivery anew.
pub async fn delivery_replay(
    tx: &mut TenantTx,
    id: WebhookDeliveryId,
    now: DateTime<Utc>,
) -> Result<Delivery, DbError> {
    let update = diesel::update(webhook_deliveries::table.filter(webhook_deliveries::id.eq(id.0)))
        .set((
            webhook_deliveries::state.eq(DeliveryState::Pending.as_str()),
            webhook_deliveries::attempts.eq(0_i16),
            webhook_deliveries::next_attempt_at.eq(Some(now)),
            webhook_deliveries::finished_at.eq(None::<DateTime<Utc>>),
        ))
        .returning(Delivery::as_returning());
    tx.one(kept(update)).await
}

statement!(
    /// Begins finished deliveries to an endpoint anew, the oldest first.
    Replay {
        /// The endpoint.
        endpoint: Uuid => SqlUuid,
        /// Now.
        now: DateTime<Utc> => Timestamptz,
        /// Only what has come so far.
        state: Option<&'static str> => Nullable<Text>,
        /// Only events of this kind.
        kind: Option<String> => Nullable<Text>,
        /// Only what was made then or later.
        from: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        /// Only what was made before.
        to: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        /// So many at most.
        max: i64 => BigInt,
    } -> SqlUuid =
    "WITH asked AS (SELECT {}::uuid AS endpoint, {}::timestamptz AS now)
     UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_attempt_at = $2, finished_at = NULL
     WHERE id IN (
         SELECT id FROM webhook_deliveries
         WHERE endpoint_id = $1 AND state <> 'pending' AND state = coalesce({}, state) AND kind = coalesce({}, kind)
             AND created_at >= coalesce({}, '-infinity') AND created_at < coalesce({}, 'infinity')
         ORDER BY position, id LIMIT {} FOR UPDATE)
     RETURNING id"
);

/// Begins finished deliveries anew, at most `max` of them, and answers how many.
pub async fn deliveries_replay(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    filter: DeliveryFilter,
    now: DateTime<Utc>,
    max: i64,
) -> Result<usize, DbError> {
    let DeliveryFilter { state, kind, from, to, .. } = filter;
    let state = state.map(DeliveryState::as_str);
    let replayed = tx.load(Replay { endpoint: endpoint.0, now, state, kind, from, to, max }).await?;
    Ok(Vec::<Uuid>::len(&replayed))
}

/// Has what waits for an endpoint tried at once.
pub async fn pending_refresh(tx: &mut TenantTx, id: WebhookEndpointId, now: DateTime<Utc>) -> Result<(), DbError> {
    let pending = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(id.0))
        .filter(webhook_deliveries::state.eq(DeliveryState::Pending.as_str()));
    let update = diesel::update(pending).set(webhook_deliveries::next_attempt_at.eq(Some(now)));
    tx.execute(kept(update)).await.map(drop)
}

/// Gives up what waits for an endpoint: dead letters, which can be replayed.
pub async fn pending_give_up(tx: &mut TenantTx, id: WebhookEndpointId, now: DateTime<Utc>) -> Result<(), DbError> {
    let pending = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(id.0))
        .filter(webhook_deliveries::state.eq(DeliveryState::Pending.as_str()));
    let update = diesel::update(pending).set((
        webhook_deliveries::state.eq(DeliveryState::Dead.as_str()),
        webhook_deliveries::next_attempt_at.eq(None::<DateTime<Utc>>),
        webhook_deliveries::finished_at.eq(Some(now)),
    ));
    tx.execute(kept(update)).await.map(drop)
}

statement!(
    /// Removes deliveries that have ended before a time, the oldest first: ten thousand at most.
    Sweep {
        /// The time.
        kept_from: DateTime<Utc> => Timestamptz,
    } -> SqlUuid =
    "DELETE FROM webhook_deliveries WHERE finished_at < {} AND id IN (
         SELECT id FROM webhook_deliveries WHERE finished_at < $1 ORDER BY finished_at LIMIT 10000
         FOR UPDATE SKIP LOCKED)
     RETURNING id"
);

/// Removes deliveries that ended before a time, ten thousand at most, and answers how many.
pub async fn deliveries_sweep(tx: &mut TenantTx, kept_from: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(tx.load::<_, Uuid, _>(Sweep { kept_from }).await?.len())
}

/// Whether there is any delivery.
pub async fn delivery_exists(read: &TenantRead) -> Result<bool, DbError> {
    let any: Option<Uuid> = read.first(webhook_deliveries::table.select(webhook_deliveries::id).limit(1)).await?;
    Ok(any.is_some())
}
