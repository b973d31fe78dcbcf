//! SQL of the keys.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Jsonb, Timestamptz};
use futures_util::future::try_join;
use serde_json::Value;

use super::key::Key;
use crate::db::schema::tenant::idempotency_keys;
use crate::db::statement::statement;
use crate::db::{DbError, TenantRead, TenantTx};

diesel::define_sql_function! {
    /// Takes a lock until the transaction ends, or answers false where another has it.
    fn pg_try_advisory_xact_lock(key: BigInt) -> Bool;
}

statement!(
    /// Keeps an outcome: in a new row, in the place of one that has expired, or beside those of the same request.
    OutcomeUpsert {
        /// Whether it is the first of its request.
        is_first: bool => Bool,
        /// The key.
        key: Vec<u8> => Binary,
        /// The hash of the request.
        fingerprint: Vec<u8> => Binary,
        /// What became of the mutation, by its place.
        outcomes: Value => Jsonb,
        /// Now.
        now: DateTime<Utc> => Timestamptz,
        /// Until when it is kept.
        expires_at: DateTime<Utc> => Timestamptz,
    } -> Binary =
    "WITH new AS (SELECT {}::boolean AS is_first)
     INSERT INTO idempotency_keys AS known (key, fingerprint, outcomes, created_at, expires_at)
     SELECT {}, {}, {}::jsonb, {}, {} FROM new
     ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint,
         outcomes = CASE WHEN $1 THEN excluded.outcomes ELSE known.outcomes || excluded.outcomes END,
         created_at = CASE WHEN $1 THEN excluded.created_at ELSE known.created_at END,
         expires_at = CASE WHEN $1 THEN excluded.expires_at ELSE known.expires_at END
     WHERE NOT $1 OR known.expires_at <= excluded.created_at
     RETURNING key"
);

statement!(
    /// Removes keys that have expired, ten thousand at most.
    KeysDelete {
        /// Now.
        now: DateTime<Utc> => Timestamptz,
    } -> Binary =
    "DELETE FROM idempotency_keys WHERE key IN (
         SELECT key FROM idempotency_keys WHERE expires_at <= {} LIMIT 10000) RETURNING key"
);

/// A key's row.
pub struct KeyRow {
    /// The hash of the request that the key was first sent with.
    pub fingerprint: Vec<u8>,
    /// What became of its mutations.
    pub outcomes: Value,
}

/// Takes the key for this transaction, and reads its row. The answer is `None` where another transaction has the key.
///
/// Two statements in one trip: the row is read when the lock is had, so that who had it before is seen.
pub async fn key_claim(read: &TenantRead, key: &Key, now: DateTime<Utc>) -> Result<Option<Option<KeyRow>>, DbError> {
    let lock = read.one::<_, bool, _>(diesel::select(pg_try_advisory_xact_lock(key.lock)));
    let row = read.first::<_, (Vec<u8>, Value), _>(
        idempotency_keys::table
            .filter(idempotency_keys::key.eq(key.id.to_vec()))
            .filter(idempotency_keys::expires_at.gt(now))
            .select((idempotency_keys::fingerprint, idempotency_keys::outcomes)),
    );
    let (is_ours, row) = try_join(lock, row).await?;
    Ok(is_ours.then(|| row.map(|(fingerprint, outcomes)| KeyRow { fingerprint, outcomes })))
}

/// Keeps an outcome, beside those of the same request. A row that has expired is written anew. Answers false where there is
/// a row that was not there when the key was claimed, which is a defect of the claim: nothing of this may be kept then.
pub async fn outcome_keep(
    tx: &TenantRead,
    key: &Key,
    outcome: Value,
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    is_first: bool,
) -> Result<bool, DbError> {
    let upsert = OutcomeUpsert {
        is_first,
        key: key.id.to_vec(),
        fingerprint: key.fingerprint.to_vec(),
        outcomes: serde_json::json!({ key.place.clone(): outcome }),
        now,
        expires_at,
    };
    Ok(tx.first::<_, Vec<u8>, _>(upsert).await?.is_some())
}

/// Removes keys that have expired, and answers whether others are left.
pub async fn keys_sweep(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<bool, DbError> {
    tx.load::<_, Vec<u8>, _>(KeysDelete { now }).await?;
    let left = tx.first::<_, Vec<u8>, _>(idempotency_keys::table.select(idempotency_keys::key).limit(1)).await?;
    Ok(left.is_some())
}
