//! SQL of API keys.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use uuid::Uuid;

use super::model::{ApiKey, ApiKeySecrets, LAST_USED_PRECISION};
use crate::db::schema::tenant::api_keys;
use crate::db::statement::kept;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::Permissions;
use crate::kernel::credential::SecretHash;
use crate::kernel::ids::{ApiKeyId, UserId};
use crate::tenant::idempotency::Recall;

/// All keys that work, the newest first.
pub async fn api_key_list(read: &TenantRead, now: DateTime<Utc>) -> Result<Vec<ApiKey>, DbError> {
    read.load(working(now).order(api_keys::id.desc()).select(ApiKey::as_select())).await
}

impl Recall for ApiKey {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        api_key_by_id(read, ApiKeyId(id)).await
    }
}

/// A key by id, revoked ones too.
pub async fn api_key_by_id(read: &TenantRead, id: ApiKeyId) -> Result<Option<ApiKey>, DbError> {
    read.first(api_keys::table.filter(api_keys::id.eq(id.0)).select(ApiKey::as_select())).await
}

/// Keys by id, revoked ones too.
pub async fn api_key_list_by_id(read: &TenantRead, ids: &[ApiKeyId]) -> Result<Vec<ApiKey>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    read.load(api_keys::table.filter(api_keys::id.eq_any(ids)).select(ApiKey::as_select())).await
}

/// What a key that is not revoked is compared with.
pub async fn api_key_secrets(read: &TenantRead, id: ApiKeyId) -> Result<Option<ApiKeySecrets>, DbError> {
    let query = api_keys::table.filter(api_keys::id.eq(id.0)).filter(api_keys::revoked_at.is_null());
    read.first(query.select(ApiKeySecrets::as_select())).await
}

/// Has those who make keys come one after the other, until the transaction ends.
pub async fn api_keys_count_lock(tx: &mut TenantTx) -> Result<(), DbError> {
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended(pg_catalog.current_schema() || '.api_keys', 0))";
    tx.execute(diesel::sql_query(lock)).await.map(drop)
}

/// How many keys work.
pub async fn api_key_count(read: &TenantRead, now: DateTime<Utc>) -> Result<i64, DbError> {
    read.one(working(now).count()).await
}

/// Keys that are neither revoked nor expired.
fn working(now: DateTime<Utc>) -> api_keys::BoxedQuery<'static, Pg> {
    let is_alive = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now));
    api_keys::table.filter(api_keys::revoked_at.is_null()).filter(is_alive.assume_not_null()).into_boxed()
}

/// Adds a key.
pub async fn api_key_insert(
    tx: &mut TenantTx,
    (id, user): (ApiKeyId, UserId),
    name: &str,
    permissions: Permissions,
    secret: SecretHash,
    (now, expires_at): (DateTime<Utc>, Option<DateTime<Utc>>),
) -> Result<ApiKey, DbError> {
    let insert = diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(id.0),
            api_keys::user_id.eq(user.0),
            api_keys::name.eq(name.to_owned()),
            api_keys::permissions.eq(permissions.names()),
            api_keys::secret_hash.eq(secret.to_vec()),
            api_keys::expires_at.eq(expires_at),
            api_keys::created_at.eq(now),
            api_keys::updated_at.eq(now),
        ))
        .returning(ApiKey::as_returning());
    tx.one(insert).await
}

/// A key, locked until the transaction ends.
pub async fn api_key_lock(tx: &mut TenantTx, id: ApiKeyId) -> Result<Option<ApiKey>, DbError> {
    let query = api_keys::table.filter(api_keys::id.eq(id.0)).filter(api_keys::revoked_at.is_null());
    tx.first(query.select(ApiKey::as_select()).for_update()).await
}

/// Gives a key another secret; the one it had works until the time that is said.
pub async fn api_key_rotate(
    tx: &mut TenantTx,
    id: ApiKeyId,
    secret: SecretHash,
    previous_expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<ApiKey, DbError> {
    let update = diesel::update(api_keys::table.filter(api_keys::id.eq(id.0)))
        .set((
            api_keys::previous_hash.eq(api_keys::secret_hash.nullable()),
            api_keys::previous_expires_at.eq(Some(previous_expires_at)),
            api_keys::secret_hash.eq(secret.to_vec()),
            api_keys::updated_at.eq(now),
        ))
        .returning(ApiKey::as_returning());
    tx.one(kept(update)).await
}

/// Ends a key.
pub async fn api_key_revoke(tx: &mut TenantTx, id: ApiKeyId, now: DateTime<Utc>) -> Result<ApiKey, DbError> {
    let update = diesel::update(api_keys::table.filter(api_keys::id.eq(id.0)))
        .set((api_keys::revoked_at.eq(Some(now)), api_keys::updated_at.eq(now)))
        .returning(ApiKey::as_returning());
    tx.one(kept(update)).await
}

/// Notes that a key was used, unless somebody has just done so.
pub async fn api_key_touch(tx: &mut TenantTx, id: ApiKeyId, now: DateTime<Utc>) -> Result<(), DbError> {
    let is_old = api_keys::last_used_at.is_null().or(api_keys::last_used_at.lt(now - LAST_USED_PRECISION));
    let update = diesel::update(api_keys::table.filter(api_keys::id.eq(id.0)).filter(is_old.assume_not_null()))
        .set(api_keys::last_used_at.eq(Some(now)));
    tx.execute(kept(update)).await.map(drop)
}
