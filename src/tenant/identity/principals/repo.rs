//! SQL behind credentials.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::db::schema::tenant::{roles, sessions, user_roles, users};
use crate::db::{DbError, TenantRead};
use crate::kernel::actor::Permissions;
use crate::kernel::ids::{SessionId, UserId};
use crate::tenant::identity::roles::model::permissions;
use crate::tenant::identity::users::model::UserStatus;

/// A user's state, and the permissions of one of the user's roles: its key and its list.
type Row = (String, Option<String>, Option<Vec<String>>);

/// A user's state and permissions.
pub async fn user_permissions(read: &TenantRead, user: UserId) -> Result<Option<(UserStatus, Permissions)>, DbError> {
    let query = users::table
        .left_join(user_roles::table.inner_join(roles::table))
        .filter(users::id.eq(user.0))
        .select((users::status, roles::key.nullable(), roles::permissions.nullable()));
    let rows: Vec<Row> = read.load(query).await?;
    let Some((status, ..)) = rows.first() else { return Ok(None) };
    let status = UserStatus::of(status);
    let allowed = rows.iter().map(|(_, key, names)| permissions(key.as_deref(), names.as_deref())).collect();
    Ok(Some((status, allowed)))
}

/// Whether a user's log-in has neither ended nor been ended.
pub async fn session_stands(
    read: &TenantRead,
    session: SessionId,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let query = sessions::table
        .filter(sessions::id.eq(session.0))
        .filter(sessions::user_id.eq(user.0))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(now));
    Ok(read.one::<_, i64, _>(query.count()).await? > 0)
}
