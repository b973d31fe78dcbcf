//! SQL of secrets that are good for one use.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::db::schema::tenant::user_tokens;
use crate::db::statement::kept;
use crate::db::{DbError, TenantTx};
use crate::kernel::credential::SecretHash;
use crate::kernel::ids::{SessionId, UserId};

/// A secret's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = user_tokens)]
pub struct UserToken {
    /// The secret's id.
    pub id: Uuid,
    /// Whose it is.
    #[diesel(deserialize_as = Uuid)]
    pub user_id: UserId,
    /// What it is good for.
    pub purpose: String,
    /// The log-in of a refresh token.
    pub session_id: Option<Uuid>,
    /// The hash of the secret.
    pub secret_hash: Vec<u8>,
    /// Until when it works.
    pub expires_at: DateTime<Utc>,
    /// When it was used.
    pub used_at: Option<DateTime<Utc>>,
}

/// Adds a secret.
pub async fn token_insert(
    tx: &mut TenantTx,
    (id, secret): (Uuid, SecretHash),
    user: UserId,
    (purpose, session): (&'static str, Option<SessionId>),
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), DbError> {
    let insert = diesel::insert_into(user_tokens::table).values((
        user_tokens::id.eq(id),
        user_tokens::user_id.eq(user.0),
        user_tokens::purpose.eq(purpose),
        user_tokens::session_id.eq(session.map(|session| session.0)),
        user_tokens::secret_hash.eq(secret.to_vec()),
        user_tokens::created_at.eq(now),
        user_tokens::expires_at.eq(expires_at),
    ));
    tx.execute(insert).await.map(drop)
}

/// Whose a secret is.
pub async fn token_owner(tx: &mut TenantTx, id: Uuid) -> Result<Option<UserId>, DbError> {
    let query = user_tokens::table.filter(user_tokens::id.eq(id)).select(user_tokens::user_id);
    Ok(tx.first::<_, Uuid, _>(query).await?.map(UserId))
}

/// A secret's row, locked until the transaction ends.
pub async fn token_lock(tx: &mut TenantTx, id: Uuid) -> Result<Option<UserToken>, DbError> {
    tx.first(user_tokens::table.filter(user_tokens::id.eq(id)).select(UserToken::as_select()).for_no_key_update()).await
}

/// Notes that a secret was used.
pub async fn token_use(tx: &mut TenantTx, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    let update = diesel::update(user_tokens::table.filter(user_tokens::id.eq(id)));
    tx.execute(kept(update.set(user_tokens::used_at.eq(Some(now))))).await.map(drop)
}

/// Uses up all secrets of a user that came by mail.
pub async fn mailed_tokens_use(tx: &mut TenantTx, user: UserId, now: DateTime<Utc>) -> Result<(), DbError> {
    let update = diesel::update(
        user_tokens::table
            .filter(user_tokens::user_id.eq(user.0))
            .filter(user_tokens::purpose.ne("refresh"))
            .filter(user_tokens::used_at.is_null()),
    );
    tx.execute(kept(update.set(user_tokens::used_at.eq(Some(now))))).await.map(drop)
}
