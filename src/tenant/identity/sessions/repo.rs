//! SQL of log-ins and of attempts at them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Timestamptz};

use crate::db::schema::tenant::{login_attempts, sessions, user_tokens};
use crate::db::statement::kept;
use crate::db::{DbError, TenantTx};
use crate::kernel::attempts::{Attempts, FORGET_AFTER};
use crate::kernel::ids::{SessionId, UserId};

/// A log-in's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub struct Session {
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Since when it is revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Adds a log-in.
pub async fn session_insert(
    tx: &mut TenantTx,
    id: SessionId,
    user: UserId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(sessions::table).values((
        sessions::id.eq(id.0),
        sessions::user_id.eq(user.0),
        sessions::created_at.eq(now),
        sessions::expires_at.eq(expires_at),
    ));
    tx.execute(insert).await.map(drop)
}

/// A log-in, locked until the transaction ends.
pub async fn session_lock(tx: &mut TenantTx, id: SessionId) -> Result<Option<Session>, DbError> {
    tx.first(sessions::table.filter(sessions::id.eq(id.0)).select(Session::as_select()).for_no_key_update()).await
}

/// Ends a log-in.
pub async fn session_revoke(
    tx: &mut TenantTx,
    id: SessionId,
    reason: &'static str,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    let update = diesel::update(sessions::table.filter(sessions::id.eq(id.0)).filter(sessions::revoked_at.is_null()));
    tx.execute(kept(update.set((sessions::revoked_at.eq(Some(now)), sessions::revocation_reason.eq(Some(reason))))))
        .await
}

/// Ends all log-ins of a user, but for one.
pub async fn session_revoke_all(
    tx: &mut TenantTx,
    user: UserId,
    except: Option<SessionId>,
    reason: &'static str,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    // No id is nil, so nothing is excepted where none is named.
    let except = except.map_or_else(uuid::Uuid::nil, |session| session.0);
    let update = diesel::update(
        sessions::table
            .filter(sessions::user_id.eq(user.0))
            .filter(sessions::revoked_at.is_null())
            .filter(sessions::id.ne(except)),
    );
    tx.execute(kept(update.set((sessions::revoked_at.eq(Some(now)), sessions::revocation_reason.eq(Some(reason))))))
        .await
}

/// A key, its attempts, until when more are refused, and when the last one was.
type AttemptsRow = (Vec<u8>, i32, DateTime<Utc>, DateTime<Utc>);

/// The attempts at some keys, locked until the transaction ends. A key that was never tried is entered first, so that
/// those who try it at once wait for each other too.
pub async fn attempts_lock(tx: &mut TenantTx, keys: &[Vec<u8>], now: DateTime<Utc>) -> Result<Vec<Attempts>, DbError> {
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            (
                login_attempts::key.eq(key.clone()),
                login_attempts::count.eq(0),
                login_attempts::blocked_until.eq(now),
                login_attempts::updated_at.eq(now),
            )
        })
        .collect();
    tx.execute(diesel::insert_into(login_attempts::table).values(rows).on_conflict_do_nothing()).await?;
    let query = login_attempts::table.filter(login_attempts::key.eq_any(keys.to_vec())).order(login_attempts::key);
    let rows: Vec<AttemptsRow> = tx.load(query.for_update()).await?;
    let attempts = |(key, count, blocked_until, updated_at)| Attempts { key, count, blocked_until, updated_at };
    Ok(rows.into_iter().map(attempts).collect())
}

/// Counts an attempt at a locked key.
pub async fn attempt_count(
    tx: &mut TenantTx,
    key: &[u8],
    blocked_until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let statement = "UPDATE login_attempts
         SET count = CASE WHEN updated_at < $4 THEN 1 ELSE count + 1 END, blocked_until = $2, updated_at = $3
         WHERE key = $1";
    let update = diesel::sql_query(statement)
        .bind::<Binary, _>(key.to_vec())
        .bind::<Timestamptz, _>(blocked_until)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(now - FORGET_AFTER);
    tx.execute(kept(update)).await.map(drop)
}

/// Forgets the attempts at a key.
pub async fn attempts_delete(tx: &mut TenantTx, key: &[u8]) -> Result<(), DbError> {
    tx.execute(diesel::delete(login_attempts::table.filter(login_attempts::key.eq(key.to_vec())))).await.map(drop)
}

/// Takes one attempt back: it was a good one.
pub async fn attempt_uncount(tx: &mut TenantTx, key: &[u8]) -> Result<(), DbError> {
    let update = diesel::update(
        login_attempts::table.filter(login_attempts::key.eq(key.to_vec())).filter(login_attempts::count.gt(0)),
    );
    tx.execute(kept(update.set(login_attempts::count.eq(login_attempts::count - 1)))).await.map(drop)
}

/// Forgets attempts whose last one was before a time.
pub async fn attempts_sweep(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<(), DbError> {
    tx.execute(diesel::delete(login_attempts::table.filter(login_attempts::updated_at.lt(before)))).await.map(drop)
}

/// Removes tokens that ended before a time.
pub async fn tokens_sweep(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<(), DbError> {
    tx.execute(diesel::delete(user_tokens::table.filter(user_tokens::expires_at.lt(before)))).await.map(drop)
}

/// Removes log-ins that ended before a time, none of whose tokens may be left.
pub async fn sessions_sweep(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<(), DbError> {
    tx.execute(diesel::delete(sessions::table.filter(sessions::expires_at.lt(before)))).await.map(drop)
}
