//! SQL of the shop's people.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{User, UserStatus};
use crate::db::keyset::keyset;
use crate::db::schema::tenant::{roles, tenant_head, tenant_stamp, user_roles, users};
use crate::db::statement::{kept, statement};
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::Role;
use crate::kernel::email::Email;
use crate::kernel::ids::{RoleId, TenantId, UserId};
use crate::kernel::page::{Direction, PageRequest};
use crate::tenant::idempotency::Recall;

/// Stamps a new schema with its tenant, and gives it its head.
pub async fn head_insert(tx: &mut TenantTx, tenant: TenantId) -> Result<(), DbError> {
    tx.execute(diesel::insert_into(tenant_stamp::table).values(tenant_stamp::tenant_id.eq(tenant.0))).await?;
    tx.execute(diesel::insert_into(tenant_head::table).values(tenant_head::tenant_id.eq(tenant.0))).await.map(drop)
}

statement!(
    /// Adds the first owner of a shop, who has yet to accept the invitation.
    OwnerInsert {
        /// The user.
        id: Uuid => SqlUuid,
        /// The address as it was given.
        email: String => Text,
        /// The address in lower case.
        email_key: String => Text,
        /// The time.
        now: DateTime<Utc> => Timestamptz,
        /// What the role is known by.
        role: &'static str => Text,
    } -> SqlUuid = "
WITH owner AS (
    INSERT INTO users (id, email, email_key, name, status, created_at, updated_at)
    VALUES ({}, {}, {}, '', 'invited', {}, $4)
    RETURNING id
)
INSERT INTO user_roles (user_id, role_id) SELECT owner.id, roles.id FROM owner JOIN roles ON roles.key = {}
RETURNING user_id"
);

/// Adds the first owner of a shop, who has yet to accept the invitation.
pub async fn owner_insert(tx: &mut TenantTx, id: UserId, email: &Email, now: DateTime<Utc>) -> Result<(), DbError> {
    let (email, email_key, role) = (email.as_str().to_owned(), email.key(), Role::Owner.as_str());
    tx.one::<_, Uuid, _>(OwnerInsert { id: id.0, email, email_key, now, role }).await.map(drop)
}

/// Whether whoever has an address, in lower case, has a default role.
pub async fn has_role(read: &TenantRead, email_key: &str, role: Role) -> Result<bool, DbError> {
    let query = users::table
        .inner_join(user_roles::table.inner_join(roles::table))
        .filter(users::email_key.eq(email_key.to_owned()))
        .filter(roles::key.eq(role.as_str()));
    Ok(read.one::<_, i64, _>(query.count()).await? > 0)
}

/// Adds a user who has yet to accept the invitation.
pub async fn user_insert(
    tx: &mut TenantTx,
    id: UserId,
    email: &Email,
    name: &str,
    now: DateTime<Utc>,
) -> Result<User, DbError> {
    let insert = diesel::insert_into(users::table)
        .values((
            users::id.eq(id.0),
            users::email.eq(email.as_str().to_owned()),
            users::email_key.eq(email.key()),
            users::name.eq(name.to_owned()),
            users::status.eq(UserStatus::Invited.as_str()),
            users::created_at.eq(now),
            users::updated_at.eq(now),
        ))
        .returning(User::as_returning());
    tx.one(insert).await
}

impl Recall for User {
    fn id(&self) -> Uuid {
        self.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        user_by_id(read, UserId(id)).await
    }
}

/// A user by id.
pub async fn user_by_id(read: &TenantRead, id: UserId) -> Result<Option<User>, DbError> {
    read.first(users::table.filter(users::id.eq(id.0)).select(User::as_select())).await
}

/// The user with an e-mail address, in lower case.
pub async fn user_by_email(read: &TenantRead, email_key: &str) -> Result<Option<User>, DbError> {
    read.first(users::table.filter(users::email_key.eq(email_key.to_owned())).select(User::as_select())).await
}

/// Users by their ids, in no order.
pub async fn user_list_by_id(read: &TenantRead, ids: &[UserId]) -> Result<Vec<User>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    read.load(users::table.filter(users::id.eq_any(ids)).select(User::as_select())).await
}

/// The hash of a user's password.
pub async fn password_by_id(read: &TenantRead, id: UserId) -> Result<Option<String>, DbError> {
    let query = users::table.filter(users::id.eq(id.0)).select(users::password_hash);
    Ok(read.first::<_, Option<String>, _>(query).await?.flatten())
}

/// Whether a user has something to log in by: a password, or a tie to the identity provider.
pub async fn can_log_in(read: &TenantRead, id: UserId) -> Result<bool, DbError> {
    let known = users::password_hash.is_not_null().or(users::external_subject.is_not_null());
    let query = users::table.filter(users::id.eq(id.0)).filter(known);
    Ok(read.one::<_, i64, _>(query.count()).await? > 0)
}

/// One page's rows in the order of the addresses, read in the page's direction.
pub async fn user_list(read: &TenantRead, page: &PageRequest<(String, Uuid)>) -> Result<Vec<User>, DbError> {
    let query = users::table.into_boxed().limit(page.rows());
    let ascending = page.direction == Direction::Forward;
    let query = keyset!(query, ascending: ascending, from: page.from.clone(), users::email_key, users::id);
    read.load(query.select(User::as_select())).await
}

/// How many users there are.
pub async fn user_count(read: &TenantRead) -> Result<i64, DbError> {
    read.one(users::table.count()).await
}

/// A user, locked until the transaction ends.
pub async fn user_lock(tx: &mut TenantTx, id: UserId) -> Result<Option<User>, DbError> {
    tx.first(users::table.filter(users::id.eq(id.0)).select(User::as_select()).for_no_key_update()).await
}

/// Writes a user's fields and counts the version up.
pub async fn user_update(tx: &mut TenantTx, user: &User, now: DateTime<Utc>) -> Result<User, DbError> {
    let update = diesel::update(users::table.filter(users::id.eq(user.id.0)))
        .set((
            users::name.eq(user.name.clone()),
            users::status.eq(user.status.clone()),
            users::version.eq(users::version + 1),
            users::updated_at.eq(now),
        ))
        .returning(User::as_returning());
    tx.one(kept(update)).await
}

/// Gives a user another password.
pub async fn password_update(
    tx: &mut TenantTx,
    id: UserId,
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let update = diesel::update(users::table.filter(users::id.eq(id.0)))
        .set((users::password_hash.eq(Some(password_hash.to_owned())), users::updated_at.eq(now)));
    tx.execute(kept(update)).await.map(drop)
}

/// Ties a user to who the identity provider says it is.
pub async fn external_update(
    tx: &mut TenantTx,
    id: UserId,
    issuer: &str,
    subject: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let update = diesel::update(users::table.filter(users::id.eq(id.0))).set((
        users::external_issuer.eq(Some(issuer.to_owned())),
        users::external_subject.eq(Some(subject.to_owned())),
        users::status.eq(UserStatus::Active.as_str()),
        users::version.eq(users::version + 1),
        users::updated_at.eq(now),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Unties every user from the identity provider.
pub async fn external_forget_all(tx: &mut TenantTx) -> Result<(), DbError> {
    let update = diesel::update(users::table.filter(users::external_issuer.is_not_null()))
        .set((users::external_issuer.eq(None::<String>), users::external_subject.eq(None::<String>)));
    tx.execute(kept(update)).await.map(drop)
}

/// The user whom an identity provider knows by a subject.
pub async fn user_by_external(read: &TenantRead, issuer: &str, subject: &str) -> Result<Option<User>, DbError> {
    let query = users::table
        .filter(users::external_issuer.eq(issuer.to_owned()))
        .filter(users::external_subject.eq(subject.to_owned()));
    read.first(query.select(User::as_select())).await
}

/// The user with an e-mail address whom no identity provider knows yet, locked until the transaction ends.
pub async fn user_lock_unlinked(tx: &mut TenantTx, email_key: &str) -> Result<Option<User>, DbError> {
    let query = users::table
        .filter(users::email_key.eq(email_key.to_owned()))
        .filter(users::external_issuer.is_null())
        .select(User::as_select())
        .for_no_key_update();
    tx.first(query).await
}

/// Gives a user these roles and no others.
pub async fn roles_replace(tx: &mut TenantTx, id: UserId, roles: &[RoleId]) -> Result<(), DbError> {
    tx.execute(diesel::delete(user_roles::table.filter(user_roles::user_id.eq(id.0)))).await?;
    let rows: Vec<_> =
        roles.iter().map(|role| (user_roles::user_id.eq(id.0), user_roles::role_id.eq(role.0))).collect();
    tx.execute(diesel::insert_into(user_roles::table).values(rows)).await.map(drop)
}

/// The first user with a default role who is not disabled, one who can log in before one who is invited.
pub async fn user_first_by_role(read: &TenantRead, role: Role) -> Result<Option<User>, DbError> {
    let query = users::table
        .inner_join(user_roles::table.inner_join(roles::table))
        .filter(roles::key.eq(role.as_str()))
        .filter(users::status.ne(UserStatus::Disabled.as_str()))
        .order((users::status, users::id))
        .limit(1);
    read.first(query.select(User::as_select())).await
}

/// Active users with a default role, those who came first before others.
pub async fn active_list_by_role(read: &TenantRead, role: Role, count_max: i64) -> Result<Vec<User>, DbError> {
    let query = users::table
        .inner_join(user_roles::table.inner_join(roles::table))
        .filter(roles::key.eq(role.as_str()))
        .filter(users::status.eq(UserStatus::Active.as_str()))
        .order(users::id)
        .limit(count_max);
    read.load(query.select(User::as_select())).await
}

/// How many active users beside this one have a default role.
pub async fn active_count_by_role(read: &TenantRead, role: Role, except: UserId) -> Result<i64, DbError> {
    let query = users::table
        .inner_join(user_roles::table.inner_join(roles::table))
        .filter(roles::key.eq(role.as_str()))
        .filter(users::status.eq(UserStatus::Active.as_str()))
        .filter(users::id.ne(except.0));
    read.one(query.count()).await
}
