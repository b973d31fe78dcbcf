//! SQL of administrators' log-ins, of their tokens, and of attempts at them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Timestamptz};
use uuid::Uuid;

use crate::control::admins::model::AdminStatus;
use crate::db::schema::control::{admin_sessions, admin_tokens, admins, login_attempts};
use crate::db::statement::kept;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::attempts::{Attempts, FORGET_AFTER};
use crate::kernel::credential::SecretHash;
use crate::kernel::ids::{AdminId, SessionId};

/// A log-in's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = admin_sessions)]
pub struct AdminSession {
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Since when it is revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A secret's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = admin_tokens)]
pub struct AdminToken {
    /// The secret's id.
    pub id: Uuid,
    /// Whose it is.
    #[diesel(deserialize_as = Uuid)]
    pub admin_id: AdminId,
    /// The log-in of a refresh token; an invitation has none.
    pub session_id: Option<Uuid>,
    /// The hash of the secret.
    pub secret_hash: Vec<u8>,
    /// Until when it works.
    pub expires_at: DateTime<Utc>,
    /// When it was used.
    pub used_at: Option<DateTime<Utc>>,
}

/// Whether an administrator who can log in has a log-in that has neither ended nor been ended.
pub async fn session_stands(
    control: &ControlDb,
    admin: AdminId,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let query = admin_sessions::table
        .inner_join(admins::table)
        .filter(admin_sessions::id.eq(session.0))
        .filter(admins::id.eq(admin.0))
        .filter(admins::status.eq(AdminStatus::Active.as_str()))
        .filter(admin_sessions::revoked_at.is_null())
        .filter(admin_sessions::expires_at.gt(now))
        .select(admin_sessions::id);
    let found: Vec<Uuid> = control.load(query).await?;
    Ok(!found.is_empty())
}

/// Adds a log-in.
pub async fn session_insert(
    tx: &mut ControlTx,
    id: SessionId,
    admin: AdminId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(admin_sessions::table).values((
        admin_sessions::id.eq(id.0),
        admin_sessions::admin_id.eq(admin.0),
        admin_sessions::created_at.eq(now),
        admin_sessions::expires_at.eq(expires_at),
    ));
    tx.execute(insert).await.map(drop)
}

/// A log-in, locked until the transaction ends.
pub async fn session_lock(tx: &mut ControlTx, id: SessionId) -> Result<Option<AdminSession>, DbError> {
    let query = admin_sessions::table.filter(admin_sessions::id.eq(id.0)).select(AdminSession::as_select());
    Ok(tx.load(query.for_no_key_update()).await?.pop())
}

/// Ends a log-in.
pub async fn session_revoke(tx: &mut ControlTx, id: SessionId, now: DateTime<Utc>) -> Result<(), DbError> {
    let standing =
        admin_sessions::table.filter(admin_sessions::id.eq(id.0)).filter(admin_sessions::revoked_at.is_null());
    tx.execute(kept(diesel::update(standing).set(admin_sessions::revoked_at.eq(Some(now))))).await.map(drop)
}

/// Ends all log-ins of an administrator, but for one.
pub async fn session_revoke_all(
    tx: &mut ControlTx,
    admin: AdminId,
    except: Option<SessionId>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    // No id is nil, so nothing is excepted where none is named.
    let except = except.map_or_else(Uuid::nil, |session| session.0);
    let standing = admin_sessions::table
        .filter(admin_sessions::admin_id.eq(admin.0))
        .filter(admin_sessions::revoked_at.is_null())
        .filter(admin_sessions::id.ne(except));
    tx.execute(kept(diesel::update(standing).set(admin_sessions::revoked_at.eq(Some(now))))).await.map(drop)
}

/// Adds a secret.
pub async fn token_insert(
    tx: &mut ControlTx,
    (id, secret): (Uuid, SecretHash),
    admin: AdminId,
    (purpose, session): (&'static str, Option<SessionId>),
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), DbError> {
    let insert = diesel::insert_into(admin_tokens::table).values((
        admin_tokens::id.eq(id),
        admin_tokens::admin_id.eq(admin.0),
        admin_tokens::purpose.eq(purpose),
        admin_tokens::session_id.eq(session.map(|session| session.0)),
        admin_tokens::secret_hash.eq(secret.to_vec()),
        admin_tokens::created_at.eq(now),
        admin_tokens::expires_at.eq(expires_at),
    ));
    tx.execute(insert).await.map(drop)
}

/// Whose a secret is.
pub async fn token_owner(tx: &mut ControlTx, id: Uuid) -> Result<Option<AdminId>, DbError> {
    let query = admin_tokens::table.filter(admin_tokens::id.eq(id)).select(admin_tokens::admin_id);
    Ok(tx.load::<_, Uuid, _>(query).await?.pop().map(AdminId))
}

/// A secret's row, locked until the transaction ends.
pub async fn token_lock(tx: &mut ControlTx, id: Uuid) -> Result<Option<AdminToken>, DbError> {
    let query = admin_tokens::table.filter(admin_tokens::id.eq(id)).select(AdminToken::as_select());
    Ok(tx.load(query.for_no_key_update()).await?.pop())
}

/// Notes that a secret was used.
pub async fn token_use(tx: &mut ControlTx, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    let update = diesel::update(admin_tokens::table.filter(admin_tokens::id.eq(id)));
    tx.execute(kept(update.set(admin_tokens::used_at.eq(Some(now))))).await.map(drop)
}

/// Uses up all invitations of an administrator.
pub async fn invitations_use(tx: &mut ControlTx, admin: AdminId, now: DateTime<Utc>) -> Result<(), DbError> {
    let unused = admin_tokens::table
        .filter(admin_tokens::admin_id.eq(admin.0))
        .filter(admin_tokens::purpose.eq("invitation"))
        .filter(admin_tokens::used_at.is_null());
    tx.execute(kept(diesel::update(unused).set(admin_tokens::used_at.eq(Some(now))))).await.map(drop)
}

/// A key, its attempts, until when more are refused, and when the last one was.
type AttemptsRow = (Vec<u8>, i32, DateTime<Utc>, DateTime<Utc>);

/// The attempts at some keys, locked until the transaction ends. A key that was never tried is entered first, so that
/// those who try it at once wait for each other too.
pub async fn attempts_lock(tx: &mut ControlTx, keys: &[Vec<u8>], now: DateTime<Utc>) -> Result<Vec<Attempts>, DbError> {
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
    tx: &mut ControlTx,
    key: &[u8],
    blocked_until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let statement = "UPDATE control.login_attempts
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
pub async fn attempts_delete(tx: &mut ControlTx, key: &[u8]) -> Result<(), DbError> {
    tx.execute(diesel::delete(login_attempts::table.filter(login_attempts::key.eq(key.to_vec())))).await.map(drop)
}

/// Takes one attempt back: it was a good one.
pub async fn attempt_uncount(tx: &mut ControlTx, key: &[u8]) -> Result<(), DbError> {
    let update = diesel::update(
        login_attempts::table.filter(login_attempts::key.eq(key.to_vec())).filter(login_attempts::count.gt(0)),
    );
    tx.execute(kept(update.set(login_attempts::count.eq(login_attempts::count - 1)))).await.map(drop)
}

/// Forgets attempts whose last one was before a time.
pub async fn attempts_sweep(tx: &mut ControlTx, before: DateTime<Utc>) -> Result<(), DbError> {
    tx.execute(diesel::delete(login_attempts::table.filter(login_attempts::updated_at.lt(before)))).await.map(drop)
}

/// Removes tokens that ended before a time.
pub async fn tokens_sweep(tx: &mut ControlTx, before: DateTime<Utc>) -> Result<(), DbError> {
    tx.execute(diesel::delete(admin_tokens::table.filter(admin_tokens::expires_at.lt(before)))).await.map(drop)
}

/// Removes log-ins that ended before a time, none of whose tokens may be left.
pub async fn sessions_sweep(tx: &mut ControlTx, before: DateTime<Utc>) -> Result<(), DbError> {
    tx.execute(diesel::delete(admin_sessions::table.filter(admin_sessions::expires_at.lt(before)))).await.map(drop)
}
