//! SQL of the journal: one statement for the head, the trail and the events.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Jsonb, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use crate::db::{DbError, TenantTx};
use crate::kernel::journal::Event;

/// An entry of the trail that is about to be written.
pub struct NewEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// By which credential.
    pub via: Option<String>,
    /// What was done.
    pub action: &'static str,
    /// To what.
    pub entity: String,
    /// What it was, as JSON.
    pub before: Option<String>,
    /// What it is, as JSON.
    pub after: Option<String>,
    /// What is sealed.
    pub sealed: Option<Vec<u8>>,
    /// By which request.
    pub request_id: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// The digest of all of these.
    pub digest: [u8; 32],
}

/// Writes an entry of the trail and the events of its transaction, under the next numbers of the shop's head.
pub async fn journal_insert(tx: &mut TenantTx, entry: NewEntry, events: Vec<Event>) -> Result<(), DbError> {
    // A schema without a head is a defect that must not pass in silence.
    tx.one::<_, i64, _>(JournalInsert::new(entry, events)).await.map(drop)
}

/// The statement. Written by hand, because diesel has no inserts within a WITH; its text never changes, so the
/// connection keeps it prepared.
#[derive(QueryId)]
struct JournalInsert {
    entry: NewEntry,
    count: i64,
    ids: Vec<Uuid>,
    kinds: Vec<&'static str>,
    versions: Vec<i16>,
    entities: Vec<String>,
    data: Vec<Value>,
}

impl JournalInsert {
    fn new(entry: NewEntry, events: Vec<Event>) -> Self {
        let mut statement = Self {
            entry,
            count: i64::try_from(events.len()).unwrap_or(i64::MAX),
            ids: Vec::new(),
            kinds: Vec::new(),
            versions: Vec::new(),
            entities: Vec::new(),
            data: Vec::new(),
        };
        for event in events {
            statement.ids.push(event.id);
            statement.kinds.push(event.kind);
            statement.versions.push(event.version);
            statement.entities.push(event.entity);
            statement.data.push(event.data);
        }
        statement
    }
}

impl Query for JournalInsert {
    type SqlType = BigInt;
}

impl QueryFragment<Pg> for JournalInsert {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let entry = &self.entry;
        out.push_sql(
            "WITH head AS (UPDATE tenant_head SET audit_sequence = audit_sequence + 1, \
             audit_hash = sha256(audit_hash || int8send(audit_sequence + 1) || ",
        );
        out.push_bind_param::<Binary, _>(&entry.digest)?;
        out.push_sql("), event_position = event_position + ");
        out.push_bind_param::<BigInt, _>(&self.count)?;
        out.push_sql(
            " RETURNING audit_sequence, audit_hash, event_position), \
             entry AS (INSERT INTO audit_log (sequence, at, actor, via, action, entity, before, after, sealed, \
             request_id, address, hash) SELECT head.audit_sequence, ",
        );
        out.push_bind_param::<Timestamptz, _>(&entry.at)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&entry.actor)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&entry.via)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&entry.action)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&entry.entity)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&entry.before)?;
        out.push_sql("::json, ");
        out.push_bind_param::<Nullable<Text>, _>(&entry.after)?;
        out.push_sql("::json, ");
        out.push_bind_param::<Nullable<Binary>, _>(&entry.sealed)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&entry.request_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&entry.address)?;
        out.push_sql(
            ", head.audit_hash FROM head), \
             event AS (INSERT INTO events (position, id, kind, version, entity, data, at) \
             SELECT head.event_position - ",
        );
        out.push_bind_param::<BigInt, _>(&self.count)?;
        out.push_sql(" + new.ordinality, new.id, new.kind, new.version, new.entity, new.data, ");
        out.push_bind_param::<Timestamptz, _>(&entry.at)?;
        out.push_sql(" FROM head, unnest(");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.kinds)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SmallInt>, _>(&self.versions)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.entities)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Jsonb>, _>(&self.data)?;
        out.push_sql(
            ") WITH ORDINALITY AS new (id, kind, version, entity, data, ordinality)) \
             SELECT audit_sequence FROM head",
        );
        Ok(())
    }
}
