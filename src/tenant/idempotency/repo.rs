//! SQL of the keys.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Jsonb};
use diesel::upsert::excluded;
use futures_util::future::try_join;
use serde_json::Value;

use super::key::Key;
use crate::db::schema::tenant::idempotency_keys;
use crate::db::{DbError, TenantRead, TenantTx};

diesel::define_sql_function! {
    /// Takes a lock until the transaction ends, or answers false where another has it.
    fn pg_try_advisory_xact_lock(key: BigInt) -> Bool;
}

diesel::infix_operator!(Merged, " || ", Jsonb, backend: diesel::pg::Pg);

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

/// Keeps an outcome, beside those of the same request. A row that has expired is written anew.
pub async fn outcome_keep(
    tx: &TenantRead,
    key: &Key,
    outcome: Value,
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    is_first: bool,
) -> Result<(), DbError> {
    let outcomes = serde_json::json!({ key.place.clone(): outcome });
    let insert = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::key.eq(key.id.to_vec()),
            idempotency_keys::fingerprint.eq(key.fingerprint.to_vec()),
            idempotency_keys::outcomes.eq(outcomes),
            idempotency_keys::created_at.eq(now),
            idempotency_keys::expires_at.eq(expires_at),
        ))
        .on_conflict(idempotency_keys::key)
        .do_update();
    if is_first {
        let anew = (
            idempotency_keys::fingerprint.eq(excluded(idempotency_keys::fingerprint)),
            idempotency_keys::outcomes.eq(excluded(idempotency_keys::outcomes)),
            idempotency_keys::created_at.eq(excluded(idempotency_keys::created_at)),
            idempotency_keys::expires_at.eq(excluded(idempotency_keys::expires_at)),
        );
        return tx.one::<_, Vec<u8>, _>(insert.set(anew).returning(idempotency_keys::key)).await.map(drop);
    }
    let merged = Merged::new(idempotency_keys::outcomes, excluded(idempotency_keys::outcomes));
    let merge = insert.set(idempotency_keys::outcomes.eq(merged)).returning(idempotency_keys::key);
    tx.one::<_, Vec<u8>, _>(merge).await.map(drop)
}

/// Removes keys that have expired, and answers whether others are left.
pub async fn keys_sweep(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<bool, DbError> {
    tx.execute(diesel::delete(idempotency_keys::table.filter(idempotency_keys::expires_at.le(now)))).await?;
    let left = tx.first::<_, Vec<u8>, _>(idempotency_keys::table.select(idempotency_keys::key).limit(1)).await?;
    Ok(left.is_some())
}
