//! Decisions about log-ins.
//!
//! What needs a password is done in three steps, so that no connection is held while a password is hashed: a
//! transaction that counts the attempt and finds the account, the hash, and a transaction that lets in.

use std::net::IpAddr;

use serde_json::json;

use super::attempts::{attempt, forget};
use super::model::{ATTEMPTS_KEPT, Candidate, ENDED_KEPT, Grant, Lifetimes, REFRESH_LIFETIME_MAX, Verified};
use super::repo;
use crate::db::{DbError, TenantTx};
use crate::kernel::actor::{Access, Actor, Forbidden, Principal, Via};
use crate::kernel::attempts::AttemptKeys;
use crate::kernel::clock::Clock;
use crate::kernel::credential::{Credential, Realm};
use crate::kernel::email::Email;
use crate::kernel::ids::{SessionId, UserId};
use crate::kernel::journal::Change;
use crate::kernel::password::Password;
use crate::kernel::tenant::TenantSlug;
use crate::tenant::identity::error::{IdentityError, IdentityErrorCode, IdentityRefusal};
use crate::tenant::identity::links::repo as tokens;
use crate::tenant::identity::links::service::{Purpose, link_lock, mail_enqueue, token_invalid};
use crate::tenant::identity::names::valid_name;
use crate::tenant::identity::users::model::{User, UserStatus};
use crate::tenant::identity::users::repo as users;

/// Why a log-in was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationReason {
    /// Its user left.
    Logout,
    /// The password was changed.
    Password,
    /// The user was disabled.
    Disabled,
    /// A refresh token was shown twice: somebody has stolen it.
    Reuse,
}

impl RevocationReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Password => "password",
            Self::Disabled => "disabled",
            Self::Reuse => "reuse",
        }
    }
}

/// First step of a log-in: counts the attempt and finds the account. An address that nobody has finds nobody, and costs
/// the same.
///
/// # Errors
/// There were too many attempts.
pub async fn login_begin(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    email_key: &str,
    keys: &AttemptKeys,
) -> Result<Candidate, IdentityError> {
    attempt(tx, clock, keys).await?;
    let user = users::user_by_email(tx, email_key).await?.filter(|user| user.status() == UserStatus::Active);
    let id = user.as_ref().map_or_else(|| UserId(uuid::Uuid::nil()), |user| user.id);
    let password_hash = users::password_by_id(tx, id).await?;
    Ok(Candidate { user, password_hash })
}

/// Last step of a log-in: lets in.
///
/// # Errors
/// The user was disabled, or the password changed, while it was being verified.
pub async fn login_finish(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    (tenant, lifetimes): (&TenantSlug, Lifetimes),
    verified: &Verified,
    keys: &AttemptKeys,
) -> Result<Grant, IdentityError> {
    let user = still(tx, verified, keys).await?.ok_or_else(credentials_invalid)?;
    let grant = session_create(tx, clock, (tenant, lifetimes), user).await?;
    tx.note(Change::done(grant.user.id));
    Ok(grant)
}

/// The refusal of every log-in that fails.
#[must_use]
pub fn credentials_invalid() -> IdentityRefusal {
    let message = "The e-mail address or the password is wrong.";
    IdentityRefusal::new(IdentityErrorCode::CredentialsInvalid, message, &["input"])
}

/// Takes a refresh token for the next one.
///
/// Nothing is answered for one that had been used before: the whole log-in is ended, the thief's tokens with the
/// owner's. That is no error, so that the end is kept.
///
/// # Errors
/// The token is not valid, or its log-in has ended.
pub async fn token_refresh(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    (tenant, lifetimes): (&TenantSlug, Lifetimes),
    credential: &Credential,
) -> Result<Option<Grant>, IdentityError> {
    let now = clock.now();
    let token = tokens::token_lock(tx, credential.id).await?.ok_or_else(token_invalid)?;
    let session = token.session_id.filter(|_| credential.hash().is(&token.secret_hash)).ok_or_else(token_invalid)?;
    let session = SessionId(session);
    let row = repo::session_lock(tx, session).await?.ok_or_else(token_invalid)?;
    // Where the shop has shortened it meanwhile, that counts for who is in as well.
    let ends_at = row.expires_at.min(row.created_at + lifetimes.session);
    if row.revoked_at.is_some() || now >= ends_at {
        return Err(token_invalid().into());
    }
    if token.used_at.is_some() {
        repo::session_revoke(tx, session, RevocationReason::Reuse.as_str(), now).await?;
        tracing::warn!(
            security.event = "refresh_token_reuse", user.id = %token.user_id, session.id = %session,
            "A refresh token was shown twice; its log-in is ended"
        );
        tx.note(Change::removed(session, json!({ "reason": RevocationReason::Reuse.as_str() })));
        return Ok(None);
    }
    let user = users::user_by_id(tx, token.user_id).await?.filter(|user| user.status() == UserStatus::Active);
    let user = user.filter(|_| now < token.expires_at).ok_or_else(token_invalid)?;
    tokens::token_use(tx, token.id, now).await?;
    let refresh = refresh_create(tx, clock, (tenant, lifetimes), user.id, session).await?;
    tx.note(Change::done(session));
    Ok(Some(Grant { user, session, refresh }))
}

/// Ends the log-in that the caller is in, or all of the caller's.
///
/// # Errors
/// The caller is in by something else than a log-in.
pub async fn logout(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    everywhere: bool,
) -> Result<(), IdentityError> {
    let principal = logged_in(actor)?;
    match principal.via {
        Via::Session(session) if !everywhere => {
            repo::session_revoke(tx, session, RevocationReason::Logout.as_str(), clock.now()).await?;
        }
        _ if everywhere => revoke_all(tx, principal.user, None, RevocationReason::Logout, clock.now()).await?,
        // A token of another's making ends by itself, or where it was made.
        _ => return Err(Forbidden::SignedIn.into()),
    }
    tx.note(Change::done(principal.user));
    Ok(())
}

/// First step of a change of password: counts the attempt and finds the hash that the current one must fit.
///
/// # Errors
/// There were too many attempts, or the caller is in by something else than a log-in.
pub async fn password_change_begin(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    address: IpAddr,
) -> Result<(Candidate, AttemptKeys), IdentityError> {
    let principal = logged_in(actor)?;
    let user = users::user_by_id(tx, principal.user).await?;
    let keys = AttemptKeys::password("password", user.as_ref().map_or("", |user| user.email_key.as_str()), address);
    attempt(tx, clock, &keys).await?;
    let password_hash = users::password_by_id(tx, principal.user).await?;
    Ok((Candidate { user, password_hash }, keys))
}

/// Last step of a change of password: keeps the new one and ends the user's other log-ins.
///
/// # Errors
/// The caller is in by something else than a log-in, or the password was changed while it was being verified.
pub async fn password_change_finish(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    (verified, keys): (&Verified, &AttemptKeys),
    password_hash: &str,
) -> Result<User, IdentityError> {
    let principal = logged_in(actor)?;
    let now = clock.now();
    let user = still(tx, verified, keys).await?.filter(|user| user.id == principal.user);
    let user = user.ok_or_else(credentials_invalid)?;
    users::password_update(tx, user.id, password_hash, now).await?;
    let current = if let Via::Session(session) = principal.via { Some(session) } else { None };
    revoke_all(tx, user.id, current, RevocationReason::Password, now).await?;
    tokens::mailed_tokens_use(tx, user.id, now).await?;
    tx.note(Change::done(user.id));
    Ok(user)
}

/// Has a link for another password mailed, if somebody has the address.
///
/// # Errors
/// There were too many attempts.
pub async fn password_reset_request(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    email: &Email,
    address: IpAddr,
) -> Result<(), IdentityError> {
    attempt(tx, clock, &AttemptKeys::mail(&email.key(), address)).await?;
    mail_enqueue(tx, clock, Purpose::PasswordReset, &email.key()).await?;
    Ok(())
}

/// First step of using a mailed link: who it is for. The last step asks again.
///
/// # Errors
/// The token does not work.
pub async fn link_begin(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    purpose: Purpose,
    credential: &Credential,
) -> Result<User, IdentityError> {
    Ok(link_lock(tx, clock, purpose, credential).await??)
}

/// Last step of using a mailed link: keeps the password, ends what came before, and lets in.
///
/// # Errors
/// The token does not work any more, or the name is malformed.
pub async fn link_finish(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    (tenant, lifetimes): (&TenantSlug, Lifetimes),
    (purpose, credential): (Purpose, &Credential),
    (name, password_hash): (Option<&str>, &str),
) -> Result<Grant, IdentityError> {
    let name = name.map(valid_name).transpose()?;
    let mut user = link_lock(tx, clock, purpose, credential).await??;
    let now = clock.now();
    if let Some(name) = name {
        user.name = name;
    }
    user.status = UserStatus::Active.as_str().to_owned();
    users::password_update(tx, user.id, password_hash, now).await?;
    let user = users::user_update(tx, &user, now).await?;
    tokens::mailed_tokens_use(tx, user.id, now).await?;
    revoke_all(tx, user.id, None, RevocationReason::Password, now).await?;
    let grant = session_create(tx, clock, (tenant, lifetimes), user).await?;
    tx.note(Change::done(grant.user.id));
    Ok(grant)
}

/// Removes what is over: attempts of yesterday, and log-ins and tokens that ended a month ago.
///
/// # Errors
/// The database failed.
pub async fn sweep(tx: &mut TenantTx, clock: &dyn Clock) -> Result<(), DbError> {
    let now = clock.now();
    repo::attempts_sweep(tx, now - ATTEMPTS_KEPT).await?;
    repo::tokens_sweep(tx, now - ENDED_KEPT).await?;
    // The last token of a log-in may outlive it.
    repo::sessions_sweep(tx, now - ENDED_KEPT - REFRESH_LIFETIME_MAX).await
}

/// A password that somebody chooses.
///
/// # Errors
/// It will not do.
pub fn chosen_password(text: &str, user: &User, path: &[&'static str]) -> Result<Password, IdentityError> {
    let email = user.email.parse::<Email>().map_err(|_| credentials_invalid())?;
    Password::chosen(text, &email).map_err(|error| {
        let message = error.to_string();
        IdentityError::refused(IdentityErrorCode::PasswordInvalid, capitalised(&message), path)
    })
}

/// Ends all log-ins of a user, but for one.
pub(in crate::tenant::identity) async fn revoke_all(
    tx: &mut TenantTx,
    user: UserId,
    except: Option<SessionId>,
    reason: RevocationReason,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), DbError> {
    repo::session_revoke_all(tx, user, except, reason.as_str(), now).await.map(drop)
}

/// The caller, who must be in by a log-in or an operator's token: a program has neither password nor log-in.
fn logged_in(actor: &Actor) -> Result<Principal, IdentityError> {
    actor.require(Access::SignedIn)?;
    match actor.principal() {
        Some(principal) if !matches!(principal.via, Via::ApiKey(_)) => Ok(*principal),
        _ => Err(Forbidden::SignedIn.into()),
    }
}

/// The user, locked, if the password is the user's still; the attempts are forgotten then.
async fn still(tx: &mut TenantTx, verified: &Verified, keys: &AttemptKeys) -> Result<Option<User>, DbError> {
    let user = users::user_lock(tx, verified.user.id).await?.filter(|user| user.status() == UserStatus::Active);
    let Some(user) = user else { return Ok(None) };
    if users::password_by_id(tx, user.id).await?.as_ref() != Some(&verified.password_hash) {
        return Ok(None);
    }
    forget(tx, keys).await?;
    Ok(Some(user))
}

async fn session_create(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    (tenant, lifetimes): (&TenantSlug, Lifetimes),
    user: User,
) -> Result<Grant, DbError> {
    let session = SessionId(clock.new_id());
    let now = clock.now();
    repo::session_insert(tx, session, user.id, now, now + lifetimes.session).await?;
    let refresh = refresh_create(tx, clock, (tenant, lifetimes), user.id, session).await?;
    Ok(Grant { user, session, refresh })
}

async fn refresh_create(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    (tenant, lifetimes): (&TenantSlug, Lifetimes),
    user: UserId,
    session: SessionId,
) -> Result<Credential, DbError> {
    let credential = Credential::new(Realm::Tenant(tenant.clone()), clock.new_id(), clock.secret());
    let now = clock.now();
    let secret = (credential.id, credential.hash());
    tokens::token_insert(tx, secret, user, ("refresh", Some(session)), (now, now + lifetimes.refresh)).await?;
    Ok(credential)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}
