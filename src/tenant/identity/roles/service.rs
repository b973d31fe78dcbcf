//! Decisions about roles.

use super::model::{ROLES_MAX, RoleRow};
use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission, Permissions};
use crate::kernel::clock::Clock;
use crate::kernel::ids::RoleId;
use crate::kernel::journal::Change;
use crate::tenant::identity::error::{IdentityError, IdentityErrorCode, IdentityRefusal};
use crate::tenant::identity::names::valid_name;
use crate::tenant::identity::users::service::within_own;

/// Every role of the shop, by name.
///
/// # Errors
/// The actor may not see the shop's people, or the database failed.
pub async fn role_list(read: &TenantRead, actor: &Actor) -> Result<Vec<RoleRow>, IdentityError> {
    actor.require(Permission::UsersRead)?;
    Ok(repo::role_list(read).await?)
}

/// A role by id.
///
/// # Errors
/// The actor may not see the shop's people, or the database failed.
pub async fn role_by_id(read: &TenantRead, actor: &Actor, id: RoleId) -> Result<Option<RoleRow>, IdentityError> {
    actor.require(Permission::UsersRead)?;
    Ok(repo::role_by_id(read, id).await?)
}

/// Makes a role of permissions that the actor has.
///
/// # Errors
/// The name is malformed or taken, no permission is named, they exceed the actor's, or there are too many roles.
pub async fn role_create(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    name: &str,
    permissions: Permissions,
) -> Result<RoleRow, IdentityError> {
    actor.require(Permission::RolesWrite)?;
    let name = valid_name(name)?;
    some_within_own(actor, permissions)?;
    repo::roles_count_lock(tx).await?;
    if repo::role_count(tx).await? >= ROLES_MAX {
        let message = format!("A shop has at most {ROLES_MAX} roles.");
        return Err(IdentityError::refused_for_now(IdentityErrorCode::RoleLimitReached, message, &[]));
    }
    let key = name.to_lowercase();
    let id = RoleId(clock.new_id());
    let role = repo::role_insert(tx, id, (&name, &key), permissions, clock.now()).await.map_err(name_taken)?;
    tx.note(Change::created(id, role.trail()));
    Ok(role)
}

/// Changes a role of the shop's own, for everybody who has it, within a second. What is not given stays.
///
/// # Errors
/// There is no such role, it is a default one, the version is stale, the name is malformed or taken, or the permissions
/// before or after exceed the actor's.
pub async fn role_update(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: RoleId,
    version: i32,
    (name, permissions): (Option<&str>, Option<Permissions>),
) -> Result<RoleRow, IdentityError> {
    actor.require(Permission::RolesWrite)?;
    let name = name.map(valid_name).transpose()?;
    let role = locked(tx, actor, id).await?;
    if version != role.version {
        return Err(IdentityRefusal::stale(IdentityErrorCode::VersionConflict, role.version).into());
    }
    let permissions = permissions.unwrap_or_else(|| role.permissions());
    some_within_own(actor, permissions)?;
    let before = role.trail();
    let name = name.unwrap_or(role.name);
    let key = name.to_lowercase();
    let role = repo::role_update(tx, id, (&name, &key), permissions, clock.now()).await.map_err(name_taken)?;
    tx.note(Change::changed(id, before, role.trail()));
    Ok(role)
}

/// Deletes a role of the shop's own that nobody has.
///
/// # Errors
/// There is no such role, it is a default one, exceeds the actor's permissions, or somebody has it.
pub async fn role_delete(tx: &mut TenantTx, actor: &Actor, id: RoleId) -> Result<RoleRow, IdentityError> {
    actor.require(Permission::RolesWrite)?;
    let role = locked(tx, actor, id).await?;
    let users = repo::user_count_by_role(tx, id).await?;
    if users > 0 {
        let message = format!("{users} users have this role; take it from them first.");
        return Err(IdentityError::refused(IdentityErrorCode::RoleInUse, message, &["id"]));
    }
    repo::role_delete(tx, id).await?;
    tx.note(Change::removed(id, role.trail()));
    Ok(role)
}

/// A role of the shop's own that is within the actor's permissions, locked until the transaction ends.
async fn locked(tx: &mut TenantTx, actor: &Actor, id: RoleId) -> Result<RoleRow, IdentityError> {
    let role = repo::role_lock(tx, id).await?.ok_or_else(|| {
        IdentityRefusal::new(IdentityErrorCode::RoleNotFound, format!("There is no role `{id}`."), &["id"])
    })?;
    if role.key.is_some() {
        let message = "A default role stays as it is; make one of your own.";
        return Err(IdentityError::refused(IdentityErrorCode::RoleIsDefault, message, &["id"]));
    }
    within_own(actor, role.permissions(), &["id"])?;
    Ok(role)
}

/// Refuses an empty set of permissions and one that exceeds the actor's.
pub(in crate::tenant::identity) fn some_within_own(
    actor: &Actor,
    permissions: Permissions,
) -> Result<(), IdentityError> {
    const PATH: [&str; 2] = ["input", "permissions"];
    if permissions.is_empty() {
        let message = "Name at least one permission.";
        return Err(IdentityError::refused(IdentityErrorCode::PermissionsMissing, message, &PATH));
    }
    within_own(actor, permissions, &PATH)
}

fn name_taken(error: DbError) -> IdentityError {
    match error {
        DbError::Unique(constraint) if constraint == "roles_name_key" => {
            IdentityError::refused(IdentityErrorCode::RoleNameTaken, "Another role has this name.", &["input", "name"])
        }
        error => error.into(),
    }
}
