//! SQL of sending: events become deliveries, some are picked, and what became of them is written down.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid,
};
use serde_json::Value;
use uuid::Uuid;

use crate::db::schema::tenant::webhook_deliveries;
use crate::db::statement::statement;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::ids::WebhookEndpointId;

/// An event that is to become a delivery.
#[derive(Debug, Clone, Queryable)]
pub struct WantedEvent {
    /// Its position.
    pub position: i64,
    /// Its id.
    pub id: Uuid,
    /// What happened.
    pub kind: String,
    /// The version of its data.
    pub version: i16,
    /// To what it happened.
    pub entity: String,
    /// What is told.
    pub data: Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// A delivery that is to be made.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// The delivery.
    pub id: Uuid,
    /// The event.
    pub event: Uuid,
    /// The event's position.
    pub position: i64,
    /// What happened.
    pub kind: String,
    /// What has the same key arrives in order.
    pub ordering_key: Option<String>,
    /// What is signed and sent.
    pub body: Vec<u8>,
}

/// A delivery that is to be sent now.
#[derive(Debug, Clone, Queryable)]
pub struct Picked {
    /// The delivery.
    pub id: Uuid,
    /// The event.
    pub event: Uuid,
    /// The event's position.
    pub position: i64,
    /// What is signed and sent.
    pub body: Vec<u8>,
    /// Attempts since it was last begun.
    pub attempts: i16,
    /// All attempts.
    pub attempts_total: i32,
    /// Deliveries that wait, this one and those that may not be sent yet included.
    pub pending: i64,
    /// Which request the event is of, as far as it is known.
    pub cause: Option<Value>,
}

/// What became of an attempt, and of the delivery by it.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The delivery.
    pub id: Uuid,
    /// Which attempt it was, of all.
    pub number: i32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// What was answered.
    pub status: Option<i16>,
    /// Why nothing was answered.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: i32,
    /// The beginning of the answer.
    pub response: Option<String>,
    /// How far the delivery has come.
    pub state: &'static str,
    /// When it is tried next.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

statement!(
    /// The position of the last event.
    LastPosition {} -> Nullable<BigInt> = "SELECT max(position) FROM events"
);

statement!(
    /// Events behind a position that an endpoint wants, in order.
    Wanted {
        /// Those behind this one.
        after: i64 => BigInt,
        /// Those up to this one.
        last: i64 => BigInt,
        /// Whether it wants all kinds.
        wants_all: bool => Bool,
        /// Or these.
        kinds: Vec<String> => Array<Text>,
        /// So many at most.
        max: i64 => BigInt,
    } -> (BigInt, SqlUuid, Text, SmallInt, Text, Jsonb, Timestamptz) =
    "SELECT position, id, kind, version, entity, data, at FROM events
     WHERE position > {} AND position <= {} AND ({} OR kind = ANY ({}))
     ORDER BY position LIMIT {}"
);

/// Events that are gone through at a time.
const SCANNED_MAX: i64 = 10_000;

/// The next events that an endpoint wants, up to which position it has been asked, and whether that is the end.
pub(super) async fn events_wanted(
    read: &TenantRead,
    after: i64,
    kinds: &[String],
    max: i64,
) -> Result<(Vec<WantedEvent>, i64, bool), DbError> {
    // Positions are in the order of commits: whoever sees this one sees all before it.
    let newest = read.one::<_, Option<i64>, _>(LastPosition {}).await?.unwrap_or(0).max(after);
    let last = newest.min(after.saturating_add(SCANNED_MAX));
    let wanted = Wanted { after, last, wants_all: kinds.is_empty(), kinds: kinds.to_vec(), max };
    let events: Vec<WantedEvent> = read.load(wanted).await?;
    let is_full = i64::try_from(events.len()).is_ok_and(|found| found == max);
    let asked = events.last().filter(|_| is_full).map_or(last, |event| event.position);
    Ok((events, asked, asked >= newest))
}

statement!(
    /// Makes deliveries.
    Insert {
        endpoint: Uuid => SqlUuid,
        now: DateTime<Utc> => Timestamptz,
        ids: Vec<Uuid> => Array<SqlUuid>,
        events: Vec<Uuid> => Array<SqlUuid>,
        positions: Vec<i64> => Array<BigInt>,
        kinds: Vec<String> => Array<Text>,
        keys: Vec<Option<String>> => Array<Nullable<Text>>,
        bodies: Vec<Vec<u8>> => Array<Binary>,
    } -> SqlUuid =
    "WITH asked AS (SELECT {}::uuid AS endpoint, {}::timestamptz AS now)
     INSERT INTO webhook_deliveries
         (id, endpoint_id, event_id, position, kind, ordering_key, body, state, next_attempt_at, created_at)
     SELECT new.id, $1, new.event, new.position, new.kind, new.key, new.body, 'pending', $2, $2
     FROM unnest({}, {}, {}, {}, {}, {}) AS new (id, event, position, kind, key, body)
     ON CONFLICT ON CONSTRAINT webhook_deliveries_event_key DO NOTHING
     RETURNING id"
);

/// Makes deliveries to an endpoint. An event is delivered once: what is there already stays as it is.
pub(in crate::tenant::webhooks) async fn deliveries_insert(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    new: Vec<NewDelivery>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut insert = Insert {
        endpoint: endpoint.0,
        now,
        ids: Vec::new(),
        events: Vec::new(),
        positions: Vec::new(),
        kinds: Vec::new(),
        keys: Vec::new(),
        bodies: Vec::new(),
    };
    for delivery in new {
        insert.ids.push(delivery.id);
        insert.events.push(delivery.event);
        insert.positions.push(delivery.position);
        insert.kinds.push(delivery.kind);
        insert.keys.push(delivery.ordering_key);
        insert.bodies.push(delivery.body);
    }
    tx.load::<_, Uuid, _>(insert).await.map(drop)
}

statement!(
    /// Deliveries that may be sent: pending, and the first of their key.
    Pick {
        /// To this endpoint.
        endpoint: Uuid => SqlUuid,
        /// Those whose time has come.
        now: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        /// So many at most.
        max: i64 => BigInt,
    } -> (SqlUuid, SqlUuid, BigInt, Binary, SmallInt, Integer, BigInt, Nullable<Jsonb>) =
    "SELECT delivery.id, event_id, position, body, attempts, attempts_total, first.pending,
         (SELECT events.cause FROM events WHERE events.position = delivery.position)
     FROM webhook_deliveries AS delivery JOIN (
         SELECT id, pending FROM (
             SELECT id, ordering_key, position, next_attempt_at, attempts, count(*) OVER () AS pending,
                 row_number() OVER (PARTITION BY ordering_key ORDER BY position, id) AS place
             FROM webhook_deliveries WHERE endpoint_id = {} AND state = 'pending'
         ) AS waiting
         WHERE (place = 1 OR ordering_key IS NULL) AND next_attempt_at <= coalesce({}, 'infinity')
         ORDER BY CASE WHEN $2 IS NULL THEN attempts END, position, id LIMIT {}
     ) AS first ON first.id = delivery.id
     ORDER BY position, delivery.id"
);

/// The next deliveries to an endpoint, in order: those whose time has come by `now`, or whichever where it is not said.
pub(super) async fn deliveries_pick(
    read: &TenantRead,
    endpoint: WebhookEndpointId,
    now: Option<DateTime<Utc>>,
    max: i64,
) -> Result<Vec<Picked>, DbError> {
    read.load(Pick { endpoint: endpoint.0, now, max }).await
}

/// How many deliveries to an endpoint wait.
pub(super) async fn pending_count(read: &TenantRead, endpoint: WebhookEndpointId) -> Result<i64, DbError> {
    let pending = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(endpoint.0))
        .filter(webhook_deliveries::state.eq("pending"));
    read.one(pending.count()).await
}

statement!(
    /// When the next delivery may be sent.
    NextDue {
        /// To this endpoint.
        endpoint: Uuid => SqlUuid,
    } -> Nullable<Timestamptz> =
    "SELECT min(next_attempt_at) FROM (
         SELECT next_attempt_at, ordering_key,
             row_number() OVER (PARTITION BY ordering_key ORDER BY position, id) AS place
         FROM webhook_deliveries WHERE endpoint_id = {} AND state = 'pending'
     ) AS waiting
     WHERE place = 1 OR ordering_key IS NULL"
);

/// When the next delivery to an endpoint may be sent; nothing where none waits.
pub(super) async fn due_next(read: &TenantRead, endpoint: WebhookEndpointId) -> Result<Option<DateTime<Utc>>, DbError> {
    read.one(NextDue { endpoint: endpoint.0 }).await
}

statement!(
    /// Writes down attempts and what became of their deliveries.
    Settle {
        ids: Vec<Uuid> => Array<SqlUuid>,
        numbers: Vec<i32> => Array<Integer>,
        ats: Vec<DateTime<Utc>> => Array<Timestamptz>,
        statuses: Vec<Option<i16>> => Array<Nullable<SmallInt>>,
        errors: Vec<Option<String>> => Array<Nullable<Text>>,
        latencies: Vec<i32> => Array<Integer>,
        responses: Vec<Option<String>> => Array<Nullable<Text>>,
        states: Vec<&'static str> => Array<Text>,
        nexts: Vec<Option<DateTime<Utc>>> => Array<Nullable<Timestamptz>>,
        now: DateTime<Utc> => Timestamptz,
    } -> SqlUuid =
    "WITH settled AS MATERIALIZED (
         SELECT * FROM unnest({}, {}, {}, {}, {}, {}, {}, {}, {})
             AS settled (id, number, at, status, error, latency_ms, response, state, next_attempt_at)
     ), delivery AS (
         UPDATE webhook_deliveries SET
             state = settled.state, attempts = attempts + 1, attempts_total = settled.number,
             next_attempt_at = settled.next_attempt_at, status = settled.status, latency_ms = settled.latency_ms,
             error = settled.error, finished_at = CASE WHEN settled.state = 'pending' THEN NULL ELSE {} END
         FROM settled WHERE webhook_deliveries.id = settled.id AND webhook_deliveries.state = 'pending'
         RETURNING webhook_deliveries.id
     )
     INSERT INTO webhook_attempts (delivery_id, number, at, status, error, latency_ms, response)
     SELECT settled.id, settled.number, settled.at, settled.status, settled.error, settled.latency_ms, settled.response
     FROM settled JOIN delivery ON delivery.id = settled.id
     RETURNING delivery_id"
);

/// Writes down attempts and what became of their deliveries.
pub(super) async fn deliveries_settle(
    tx: &mut TenantTx,
    settled: Vec<Settled>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut settle = Settle {
        ids: Vec::new(),
        numbers: Vec::new(),
        ats: Vec::new(),
        statuses: Vec::new(),
        errors: Vec::new(),
        latencies: Vec::new(),
        responses: Vec::new(),
        states: Vec::new(),
        nexts: Vec::new(),
        now,
    };
    for one in settled {
        settle.ids.push(one.id);
        settle.numbers.push(one.number);
        settle.ats.push(one.at);
        settle.statuses.push(one.status);
        settle.errors.push(one.error);
        settle.latencies.push(one.latency_ms);
        settle.responses.push(one.response);
        settle.states.push(one.state);
        settle.nexts.push(one.next_attempt_at);
    }
    tx.load::<_, Uuid, _>(settle).await.map(drop)
}
