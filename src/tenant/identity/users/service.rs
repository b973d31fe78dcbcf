//! Decisions about the shop's people.

use serde_json::json;
use uuid::Uuid;

use super::model::{User, UserStatus};
use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Access, Actor, Permission, Permissions, Role};
use crate::kernel::clock::Clock;
use crate::kernel::email::Email;
use crate::kernel::ids::{RoleId, TenantId, UserId};
use crate::kernel::journal::Change;
use crate::kernel::page::{Page, PageRequest};
use crate::tenant::identity::error::{IdentityError, IdentityErrorCode, IdentityRefusal};
use crate::tenant::identity::links::repo::mailed_tokens_use;
use crate::tenant::identity::links::service::{Purpose, mail_enqueue};
use crate::tenant::identity::names::valid_name;
use crate::tenant::identity::roles::model::{RoleRow, permissions_of};
use crate::tenant::identity::roles::repo as roles;
use crate::tenant::identity::sessions::service::{RevocationReason, revoke_all};

/// So many owners get a mail about the shop at most.
const MAILED_OWNERS_MAX: i64 = 20;

/// Stamps a new schema with its tenant.
///
/// # Errors
/// The database failed.
pub async fn head_create(tx: &mut TenantTx, tenant: TenantId) -> Result<(), DbError> {
    repo::head_insert(tx, tenant).await
}

/// Adds the first owner of a new shop.
///
/// # Errors
/// The database failed.
pub async fn owner_create(tx: &mut TenantTx, clock: &dyn Clock, email: &Email) -> Result<UserId, DbError> {
    let id = UserId(clock.new_id());
    repo::owner_insert(tx, id, email, clock.now()).await?;
    Ok(id)
}

/// Whether whoever has an address owns the shop.
///
/// # Errors
/// The database failed.
pub async fn is_owner(read: &TenantRead, email: &Email) -> Result<bool, DbError> {
    repo::has_role(read, &email.key(), Role::Owner).await
}

/// Whoever has an address, in lower case: to whom the platform writes.
///
/// # Errors
/// The database failed.
pub async fn user_by_email(read: &TenantRead, email_key: &str) -> Result<Option<User>, DbError> {
    repo::user_by_email(read, email_key).await
}

/// The first owner of the shop: for whom an operator's token is made out.
///
/// # Errors
/// The database failed.
pub async fn owner_first(read: &TenantRead) -> Result<Option<User>, DbError> {
    repo::user_first_by_role(read, Role::Owner).await
}

/// The shop's owners who can log in, the first of them where there are many: who gets mail about the shop.
///
/// # Errors
/// The database failed.
pub async fn owner_list_active(read: &TenantRead) -> Result<Vec<User>, DbError> {
    repo::active_list_by_role(read, Role::Owner, MAILED_OWNERS_MAX).await
}

/// A user by id. Everybody sees themselves.
///
/// # Errors
/// The actor may not see other people, or the database failed.
pub async fn user_by_id(read: &TenantRead, actor: &Actor, id: UserId) -> Result<Option<User>, IdentityError> {
    let is_self = actor.principal().is_some_and(|principal| principal.user == id);
    actor.require(if is_self { Access::SignedIn } else { Permission::UsersRead.into() })?;
    Ok(repo::user_by_id(read, id).await?)
}

/// One page of users in the order of their addresses.
///
/// # Errors
/// The actor may not see the shop's people, or the database failed.
pub async fn user_list(
    read: &TenantRead,
    actor: &Actor,
    page: PageRequest<(String, Uuid)>,
) -> Result<Page<User>, IdentityError> {
    actor.require(Permission::UsersRead)?;
    Ok(page.cut(repo::user_list(read, &page).await?))
}

/// How many users the shop has.
///
/// # Errors
/// The actor may not see the shop's people, or the database failed.
pub async fn user_count(read: &TenantRead, actor: &Actor) -> Result<i64, IdentityError> {
    actor.require(Permission::UsersRead)?;
    Ok(repo::user_count(read).await?)
}

/// Adds a user and has the invitation mailed.
///
/// # Errors
/// The address or name is malformed or taken, a role does not exist, or the roles exceed the actor's permissions.
pub async fn user_invite(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    email: &str,
    name: &str,
    role_ids: &[RoleId],
) -> Result<User, IdentityError> {
    actor.require(Permission::UsersWrite)?;
    let email: Email = email.parse().map_err(|_| {
        IdentityRefusal::new(IdentityErrorCode::EmailInvalid, "This is not an e-mail address.", &["input", "email"])
    })?;
    let name = valid_name(name)?;
    let roles = granted_roles(tx, actor, role_ids).await?;
    let id = UserId(clock.new_id());
    let user = repo::user_insert(tx, id, &email, &name, clock.now()).await.map_err(|error| match error {
        DbError::Unique(constraint) if constraint == "users_email_key" => IdentityError::refused(
            IdentityErrorCode::EmailTaken,
            "Another user has this e-mail address.",
            &["input", "email"],
        ),
        error => error.into(),
    })?;
    repo::roles_replace(tx, id, &roles).await?;
    mail_enqueue(tx, clock, Purpose::Invitation, &user.email_key).await?;
    tx.note(Change::created(id, user.trail(Some(&roles))).with_personal(json!({ "after": user.personal() })));
    Ok(user)
}

/// Has the invitation of a user who has not accepted it mailed again.
///
/// # Errors
/// There is no such user, the user has accepted, or may more than the actor.
pub async fn user_reinvite(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: UserId,
) -> Result<User, IdentityError> {
    actor.require(Permission::UsersWrite)?;
    let (user, _) = locked(tx, actor, id, None).await?;
    if user.status() != UserStatus::Invited {
        return Err(status_conflict(&user));
    }
    mail_enqueue(tx, clock, Purpose::Invitation, &user.email_key).await?;
    tx.note(Change::done(id));
    Ok(user)
}

/// Changes a user's name and roles. What is not given stays.
///
/// # Errors
/// There is no such user, the version is stale, the name is malformed, a role does not exist, the change exceeds the
/// actor's permissions, or it would leave the shop without an owner.
pub async fn user_update(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: UserId,
    version: i32,
    (name, role_ids): (Option<&str>, Option<&[RoleId]>),
) -> Result<User, IdentityError> {
    actor.require(Permission::UsersWrite)?;
    let name = name.map(valid_name).transpose()?;
    let (mut user, current) = locked(tx, actor, id, Some(version)).await?;
    let before = user.clone();
    let mut roles: Vec<RoleId> = current.iter().map(|role| role.id).collect();
    let old_roles = roles.clone();
    if let Some(role_ids) = role_ids {
        roles = granted_roles(tx, actor, role_ids).await?;
        let owner = current.iter().find(|role| role.default() == Some(Role::Owner));
        if owner.is_some_and(|owner| !roles.contains(&owner.id)) {
            keep_an_owner(tx, &user).await?;
        }
        repo::roles_replace(tx, id, &roles).await?;
    }
    if let Some(name) = name {
        user.name = name;
    }
    let user = repo::user_update(tx, &user, clock.now()).await?;
    let change = Change::changed(id, before.trail(Some(&old_roles)), user.trail(Some(&roles)));
    tx.note(change.with_personal(json!({ "before": before.personal(), "after": user.personal() })));
    Ok(user)
}

/// Shuts a user out, within a second everywhere: every log-in ends, and the user's API keys stop working. Doing it
/// twice changes nothing.
///
/// # Errors
/// There is no such user, the user may more than the actor, or is the last owner.
pub async fn user_disable(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: UserId,
) -> Result<User, IdentityError> {
    actor.require(Permission::UsersWrite)?;
    let (mut user, roles) = locked(tx, actor, id, None).await?;
    if user.status() == UserStatus::Disabled {
        return Ok(user);
    }
    if roles.iter().any(|role| role.default() == Some(Role::Owner)) {
        keep_an_owner(tx, &user).await?;
    }
    revoke_all(tx, id, None, RevocationReason::Disabled, clock.now()).await?;
    mailed_tokens_use(tx, id, clock.now()).await?;
    let before = user.trail(None);
    user.status = UserStatus::Disabled.as_str().to_owned();
    let user = repo::user_update(tx, &user, clock.now()).await?;
    tx.note(Change::changed(id, before, user.trail(None)));
    Ok(user)
}

/// Lets a disabled user in again. One who has nothing to log in by is invited again.
///
/// # Errors
/// There is no such user, or the user may more than the actor.
pub async fn user_enable(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: UserId,
) -> Result<User, IdentityError> {
    actor.require(Permission::UsersWrite)?;
    let (mut user, _) = locked(tx, actor, id, None).await?;
    if user.status() != UserStatus::Disabled {
        return Ok(user);
    }
    let before = user.trail(None);
    let can_log_in = repo::can_log_in(tx, id).await?;
    user.status = if can_log_in { UserStatus::Active } else { UserStatus::Invited }.as_str().to_owned();
    let user = repo::user_update(tx, &user, clock.now()).await?;
    tx.note(Change::changed(id, before, user.trail(None)));
    if !can_log_in {
        mail_enqueue(tx, clock, Purpose::Invitation, &user.email_key).await?;
    }
    Ok(user)
}

/// A user who may no more than the actor, locked until the transaction ends, with the user's roles.
async fn locked(
    tx: &mut TenantTx,
    actor: &Actor,
    id: UserId,
    version: Option<i32>,
) -> Result<(User, Vec<RoleRow>), IdentityError> {
    // Whoever changes an owner comes one after the other, so that two owners cannot remove each other.
    roles::role_lock_by_key(tx, Role::Owner).await?;
    let user = repo::user_lock(tx, id).await?.ok_or_else(|| {
        IdentityRefusal::new(IdentityErrorCode::UserNotFound, format!("There is no user `{id}`."), &["id"])
    })?;
    if version.is_some_and(|version| version != user.version) {
        return Err(IdentityRefusal::stale(IdentityErrorCode::VersionConflict, user.version).into());
    }
    let roles = roles::role_list_by_user(tx, &[id]).await?;
    let roles: Vec<RoleRow> = roles.into_iter().map(|(_, role)| role).collect();
    within_own(actor, permissions_of(&roles), &["id"])?;
    Ok((user, roles))
}

/// The ids of roles that the actor may give, each once, kept from being changed until the transaction ends.
async fn granted_roles(tx: &mut TenantTx, actor: &Actor, ids: &[RoleId]) -> Result<Vec<RoleId>, IdentityError> {
    const PATH: [&str; 2] = ["input", "roleIds"];
    if ids.is_empty() {
        return Err(IdentityError::refused(IdentityErrorCode::RolesMissing, "A user has at least one role.", &PATH));
    }
    let roles = roles::role_list_share(tx, ids).await?;
    if let Some(unknown) = ids.iter().find(|id| !roles.iter().any(|role| role.id == **id)) {
        let message = format!("There is no role `{unknown}`.");
        return Err(IdentityError::refused(IdentityErrorCode::RoleNotFound, message, &PATH));
    }
    within_own(actor, permissions_of(&roles), &PATH)?;
    Ok(roles.into_iter().map(|role| role.id).collect())
}

/// Refuses what exceeds the actor's own permissions.
pub(in crate::tenant::identity) fn within_own(
    actor: &Actor,
    permissions: Permissions,
    path: &[&'static str],
) -> Result<(), IdentityError> {
    if actor.permissions().covers(permissions) {
        return Ok(());
    }
    let message = "This would exceed your own permissions.";
    Err(IdentityError::refused_for_now(IdentityErrorCode::PermissionsExceeded, message, path))
}

async fn keep_an_owner(tx: &mut TenantTx, leaving: &User) -> Result<(), IdentityError> {
    if repo::active_count_by_role(tx, Role::Owner, leaving.id).await? > 0 {
        return Ok(());
    }
    let message = "The shop has no other active owner.";
    Err(IdentityError::refused(IdentityErrorCode::LastOwner, message, &["id"]))
}

fn status_conflict(user: &User) -> IdentityError {
    let message = format!("The user is {}.", user.status);
    IdentityError::refused(IdentityErrorCode::UserStatusConflict, message, &["id"])
}
