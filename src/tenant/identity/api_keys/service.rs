//! Decisions about API keys.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::model::{API_KEYS_MAX, ApiKey, LIFETIME_MAX, OVERLAP_MAX};
use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Access, Actor, Forbidden, Permission, Permissions, Via};
use crate::kernel::clock::Clock;
use crate::kernel::credential::{Credential, Realm};
use crate::kernel::ids::{ApiKeyId, UserId};
use crate::kernel::journal::Change;
use crate::kernel::settings::{API_KEYS_LIFETIME_DAYS, Settings};
use crate::kernel::tenant::TenantSlug;
use crate::tenant::idempotency::Recall;
use crate::tenant::identity::error::{IdentityError, IdentityErrorCode, IdentityRefusal};
use crate::tenant::identity::names::valid_name;
use crate::tenant::identity::roles::service::some_within_own;
use crate::tenant::identity::users::service::within_own;

/// A key and its secret, which is shown this once.
pub struct Shown {
    /// The key.
    pub api_key: ApiKey,
    /// What its bearer shows; nothing where an earlier request was answered with it: no secret is kept.
    pub credential: Option<Credential>,
}

impl Recall for Shown {
    fn id(&self) -> Uuid {
        self.api_key.id.0
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        Ok(ApiKey::recall(read, id).await?.map(|api_key| Self { api_key, credential: None }))
    }
}

/// All keys of the shop that work, the newest first.
///
/// # Errors
/// The actor may not manage keys, or the database failed.
pub async fn api_key_list(read: &TenantRead, actor: &Actor, now: DateTime<Utc>) -> Result<Vec<ApiKey>, IdentityError> {
    actor.require(Permission::ApiKeysWrite)?;
    Ok(repo::api_key_list(read, now).await?)
}

/// A key by id, revoked ones too.
///
/// # Errors
/// The actor may not manage keys, or the database failed.
pub async fn api_key_by_id(read: &TenantRead, actor: &Actor, id: ApiKeyId) -> Result<Option<ApiKey>, IdentityError> {
    actor.require(Permission::ApiKeysWrite)?;
    Ok(repo::api_key_by_id(read, id).await?)
}

/// Makes a key of permissions that its maker has.
///
/// # Errors
/// The name is malformed, no permission is named, they exceed the actor's, the expiry is out of bounds, or there are
/// too many keys.
pub async fn api_key_create(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    (tenant, settings): (&TenantSlug, &Settings),
    (name, permissions, expires_at): (&str, Permissions, Option<DateTime<Utc>>),
) -> Result<Shown, IdentityError> {
    actor.require(Permission::ApiKeysWrite)?;
    let maker = person(actor)?;
    let name = valid_name(name)?;
    some_within_own(actor, permissions)?;
    let now = clock.now();
    check_expiry(now, expires_at, settings.get(API_KEYS_LIFETIME_DAYS))?;
    repo::api_keys_count_lock(tx).await?;
    if repo::api_key_count(tx, now).await? >= API_KEYS_MAX {
        let message = format!("A shop has at most {API_KEYS_MAX} API keys; revoke one first.");
        return Err(IdentityError::refused_for_now(IdentityErrorCode::ApiKeyLimitReached, message, &[]));
    }
    let id = ApiKeyId(clock.new_id());
    let credential = Credential::new(Realm::Tenant(tenant.clone()), id.0, clock.secret());
    let hash = credential.hash();
    let api_key = repo::api_key_insert(tx, (id, maker), &name, permissions, hash, (now, expires_at)).await?;
    tx.note(Change::created(id, api_key.trail()));
    Ok(Shown { api_key, credential: Some(credential) })
}

/// Refuses a key that would live too long: longer than the shop allows, or than anybody does.
fn check_expiry(now: DateTime<Utc>, expires_at: Option<DateTime<Utc>>, days: Option<i64>) -> Result<(), IdentityError> {
    let longest = days.map_or(LIFETIME_MAX, TimeDelta::days).min(LIFETIME_MAX);
    if expires_at.map_or(days.is_none(), |expires_at| (now..now + longest).contains(&expires_at)) {
        return Ok(());
    }
    let or_never = if days.is_none() { ", or never" } else { "" };
    let message = format!("A key expires within {} days{or_never}.", longest.num_days());
    Err(IdentityError::refused(IdentityErrorCode::ExpiryInvalid, message, &["input", "expiresAt"]))
}

/// Gives a key another secret. The old one works for as long as the overlap, so that programs can change over.
///
/// # Errors
/// There is no such key, another made it, or the overlap is out of bounds.
pub async fn api_key_rotate(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    tenant: &TenantSlug,
    (id, overlap): (ApiKeyId, TimeDelta),
) -> Result<Shown, IdentityError> {
    if !(TimeDelta::zero()..=OVERLAP_MAX).contains(&overlap) {
        let message = format!("The overlap is 0 to {} seconds.", OVERLAP_MAX.num_seconds());
        return Err(IdentityError::refused(IdentityErrorCode::ExpiryInvalid, message, &["overlapSeconds"]));
    }
    let maker = person(actor)?;
    let before = locked(tx, actor, id).await?;
    if before.user_id != maker {
        let message = "Only its maker rotates a key, for it acts for its maker. Revoke it, and make one of your own.";
        return Err(IdentityError::refused_for_now(IdentityErrorCode::PermissionsExceeded, message, &["id"]));
    }
    let now = clock.now();
    let credential = Credential::new(Realm::Tenant(tenant.clone()), id.0, clock.secret());
    let api_key = repo::api_key_rotate(tx, id, credential.hash(), now + overlap, now).await?;
    tx.note(Change::changed(id, before.trail(), api_key.trail()));
    Ok(Shown { api_key, credential: Some(credential) })
}

/// Ends a key, within a second everywhere.
///
/// # Errors
/// There is no such key, or it exceeds the actor's permissions.
pub async fn api_key_revoke(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    id: ApiKeyId,
) -> Result<ApiKey, IdentityError> {
    let before = locked(tx, actor, id).await?;
    let api_key = repo::api_key_revoke(tx, id, clock.now()).await?;
    tx.note(Change::changed(id, before.trail(), api_key.trail()));
    Ok(api_key)
}

/// The person who acts. A program gets no secrets: they would outlive the end of its own.
fn person(actor: &Actor) -> Result<UserId, IdentityError> {
    let principal = actor.principal().ok_or(Forbidden::SignedIn)?;
    if let Via::ApiKey(_) = principal.via {
        let message = "An API key gets no secrets of API keys.";
        return Err(IdentityError::refused_for_now(IdentityErrorCode::PermissionsExceeded, message, &[]));
    }
    Ok(principal.user)
}

/// A key within the actor's permissions, locked until the transaction ends.
async fn locked(tx: &mut TenantTx, actor: &Actor, id: ApiKeyId) -> Result<ApiKey, IdentityError> {
    actor.require(Access::from(Permission::ApiKeysWrite))?;
    let api_key = repo::api_key_lock(tx, id).await?.ok_or_else(|| {
        let message = format!("There is no API key `{id}`.");
        IdentityRefusal::new(IdentityErrorCode::ApiKeyNotFound, message, &["id"])
    })?;
    within_own(actor, api_key.permissions(), &["id"])?;
    Ok(api_key)
}
