//! SQL of the journal: one statement for the head, the trail and the events.

use chrono::{DateTime, Utc};
use diesel::Queryable;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Jsonb, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use crate::db::statement::statement;
use crate::db::{DbError, TenantRead};
use crate::kernel::journal::Event;

statement!(
    /// An entry of the trail and the events of its transaction, under the next numbers of the shop's head.
    pub(super) JournalInsert {
        /// When.
        at: DateTime<Utc> => Timestamptz,
        /// How many events there are.
        count: i64 => BigInt,
        /// The digest of the entry.
        digest: Vec<u8> => Binary,
        /// Who.
        actor: String => Text,
        /// By which credential.
        via: Option<String> => Nullable<Text>,
        /// What was done.
        action: &'static str => Text,
        /// To what.
        entity: String => Text,
        /// What it was, as JSON.
        before: Option<String> => Nullable<Text>,
        /// What it is, as JSON.
        after: Option<String> => Nullable<Text>,
        /// What is sealed.
        sealed: Option<Vec<u8>> => Nullable<Binary>,
        /// By which request.
        request_id: Option<String> => Nullable<Text>,
        /// From which address.
        address: Option<String> => Nullable<Text>,
        /// Which request they are of.
        cause: Option<Value> => Nullable<Jsonb>,
        /// The events.
        event_ids: Vec<Uuid> => Array<SqlUuid>,
        /// What happened by each.
        event_kinds: Vec<&'static str> => Array<Text>,
        /// The shape of each one's data.
        event_versions: Vec<i16> => Array<SmallInt>,
        /// What each happened to.
        event_entities: Vec<String> => Array<Text>,
        /// What is told of each.
        event_data: Vec<Value> => Array<Jsonb>,
    } -> (Bool, Bool) =
    // The first two are named again below; here they are given their places.
    "WITH shared AS (SELECT {}::timestamptz, {}::bigint),
     head AS (
         UPDATE tenant_head SET audit_sequence = audit_sequence + 1,
             audit_hash = sha256(audit_hash || int8send(audit_sequence + 1) || {}),
             event_position = event_position + $2,
             dispatch_from = CASE
                 WHEN $2 > 0 AND dispatch_from IS NULL
                     AND EXISTS (SELECT FROM webhook_endpoints WHERE status = 'active') THEN event_position + 1
                 ELSE dispatch_from END
         RETURNING audit_sequence, audit_hash, event_position, anchored_sequence, dispatch_from),
     entry AS (
         INSERT INTO audit_log (sequence, at, actor, via, action, entity, before, after, sealed, request_id, address,
             hash)
         SELECT audit_sequence, $1, {}, {}, {}, {}, {}::json, {}::json, {}, {}, {}, audit_hash FROM head),
     event AS (
         INSERT INTO events (position, id, kind, version, entity, data, at, cause)
         SELECT event_position - $2 + new.ordinality, new.id, new.kind, new.version, new.entity, new.data, $1, {}
         FROM head, unnest({}, {}, {}, {}, {}) WITH ORDINALITY AS new (id, kind, version, entity, data, ordinality))
     SELECT (audit_sequence - anchored_sequence) % 1000 = 1,
         coalesce((event_position - dispatch_from + 1000) / 1000
             <> (event_position - $2 - dispatch_from + 1000) / 1000, false)
     FROM head"
);

impl JournalInsert {
    /// The same with the events.
    pub(super) fn with(mut self, events: Vec<Event>) -> Self {
        self.count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        for event in events {
            self.event_ids.push(event.id);
            self.event_kinds.push(event.kind);
            self.event_versions.push(event.version);
            self.event_entities.push(event.entity);
            self.event_data.push(event.data);
        }
        self
    }
}

/// What a transaction is to ask for, because nobody before it has.
#[derive(Debug, Clone, Copy, Queryable)]
pub(super) struct Wanted {
    /// That the trail is anchored.
    pub(super) anchor: bool,
    /// That the events are offered to those who have them sent.
    pub(super) dispatch: bool,
}

/// Writes it, and answers what is to be asked for: by the first since it was done, and by every thousandth, should the job
/// of the first have been lost. A schema without a head is a defect that must not pass in silence.
pub(super) async fn journal_insert(tx: &TenantRead, journal: JournalInsert) -> Result<Wanted, DbError> {
    tx.one(journal).await
}
