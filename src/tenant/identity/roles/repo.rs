//! SQL of roles.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::model::RoleRow;
use crate::db::schema::tenant::{roles, user_roles};
use crate::db::statement::kept;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Permissions, Role};
use crate::kernel::ids::{RoleId, UserId};
use crate::tenant::idempotency::Recall;

impl Recall for RoleRow {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        role_by_id(read, RoleId(id)).await
    }
}

/// All roles, by name.
pub async fn role_list(read: &TenantRead) -> Result<Vec<RoleRow>, DbError> {
    read.load(roles::table.order((roles::name_key, roles::id)).select(RoleRow::as_select())).await
}

/// A role by id.
pub async fn role_by_id(read: &TenantRead, id: RoleId) -> Result<Option<RoleRow>, DbError> {
    read.first(roles::table.filter(roles::id.eq(id.0)).select(RoleRow::as_select())).await
}

/// The roles of each user, by name.
pub async fn role_list_by_user(read: &TenantRead, users: &[UserId]) -> Result<Vec<(Uuid, RoleRow)>, DbError> {
    let users: Vec<Uuid> = users.iter().map(|id| id.0).collect();
    let query = user_roles::table
        .inner_join(roles::table)
        .filter(user_roles::user_id.eq_any(users))
        .order((user_roles::user_id, roles::name_key))
        .select((user_roles::user_id, RoleRow::as_select()));
    read.load(query).await
}

/// Roles by their ids, kept from being changed or deleted until the transaction ends.
pub async fn role_list_share(tx: &mut TenantTx, ids: &[RoleId]) -> Result<Vec<RoleRow>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let query = roles::table.filter(roles::id.eq_any(ids)).order(roles::id).select(RoleRow::as_select());
    tx.load(query.for_share()).await
}

/// A role, locked until the transaction ends.
pub async fn role_lock(tx: &mut TenantTx, id: RoleId) -> Result<Option<RoleRow>, DbError> {
    tx.first(roles::table.filter(roles::id.eq(id.0)).select(RoleRow::as_select()).for_update()).await
}

/// Locks a default role until the transaction ends.
pub async fn role_lock_by_key(tx: &mut TenantTx, role: Role) -> Result<(), DbError> {
    let query = roles::table.filter(roles::key.eq(role.as_str())).select(roles::id).for_no_key_update();
    tx.one::<_, Uuid, _>(query).await.map(drop)
}

/// Has those who make roles come one after the other, until the transaction ends.
pub async fn roles_count_lock(tx: &mut TenantTx) -> Result<(), DbError> {
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended(pg_catalog.current_schema() || '.roles', 0))";
    tx.execute(diesel::sql_query(lock)).await.map(drop)
}

/// How many roles there are.
pub async fn role_count(read: &TenantRead) -> Result<i64, DbError> {
    read.one(roles::table.count()).await
}

/// How many users have a role.
pub async fn user_count_by_role(read: &TenantRead, id: RoleId) -> Result<i64, DbError> {
    read.one(user_roles::table.filter(user_roles::role_id.eq(id.0)).count()).await
}

/// Adds a role.
pub async fn role_insert(
    tx: &mut TenantTx,
    id: RoleId,
    (name, name_key): (&str, &str),
    permissions: Permissions,
    now: DateTime<Utc>,
) -> Result<RoleRow, DbError> {
    let insert = diesel::insert_into(roles::table)
        .values((
            roles::id.eq(id.0),
            roles::name.eq(name.to_owned()),
            roles::name_key.eq(name_key.to_owned()),
            roles::permissions.eq(Some(permissions.names())),
            roles::created_at.eq(now),
            roles::updated_at.eq(now),
        ))
        .returning(RoleRow::as_returning());
    tx.one(insert).await
}

/// Writes a role's fields and counts the version up.
pub async fn role_update(
    tx: &mut TenantTx,
    id: RoleId,
    (name, name_key): (&str, &str),
    permissions: Permissions,
    now: DateTime<Utc>,
) -> Result<RoleRow, DbError> {
    let update = diesel::update(roles::table.filter(roles::id.eq(id.0)))
        .set((
            roles::name.eq(name.to_owned()),
            roles::name_key.eq(name_key.to_owned()),
            roles::permissions.eq(Some(permissions.names())),
            roles::version.eq(roles::version + 1),
            roles::updated_at.eq(now),
        ))
        .returning(RoleRow::as_returning());
    tx.one(kept(update)).await
}

/// Deletes a role.
pub async fn role_delete(tx: &mut TenantTx, id: RoleId) -> Result<(), DbError> {
    tx.execute(diesel::delete(roles::table.filter(roles::id.eq(id.0)))).await.map(drop)
}
