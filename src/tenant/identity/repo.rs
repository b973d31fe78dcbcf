//! SQL of the shop's people.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::model::User;
use crate::db::schema::tenant::{tenant_head, users};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::Role;
use crate::kernel::email::Email;
use crate::kernel::ids::{TenantId, UserId};

/// Stamps a new schema with its tenant.
pub async fn head_insert(tx: &mut TenantTx, tenant: TenantId) -> Result<(), DbError> {
    tx.execute(diesel::insert_into(tenant_head::table).values(tenant_head::tenant_id.eq(tenant.0))).await.map(drop)
}

/// Adds a user.
pub async fn user_insert(
    tx: &mut TenantTx,
    id: UserId,
    email: &Email,
    role: Role,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(users::table).values((
        users::id.eq(id.0),
        users::email.eq(email.as_str().to_owned()),
        users::email_key.eq(email.key()),
        users::role.eq(role.as_str()),
        users::created_at.eq(now),
    ));
    tx.execute(insert).await.map(drop)
}

/// The first user with a role.
pub async fn user_first_by_role(read: &TenantRead, role: Role) -> Result<Option<User>, DbError> {
    let query = users::table.filter(users::role.eq(role.as_str())).order(users::id).limit(1);
    read.first(query.select(User::as_select())).await
}
