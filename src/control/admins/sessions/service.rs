//! Decisions about administrators' log-ins.
//!
//! What needs a password is done in three steps, so that no connection is held while a password is hashed: a
//! transaction that counts the attempt and finds the account, the hash, and a transaction that lets in.

use std::net::IpAddr;

use serde_json::json;

use super::attempts::{attempt, forget};
use super::repo;
use crate::control::admins::model::{
    ATTEMPTS_KEPT, Admin, AdminGrant, AdminStatus, Candidate, ENDED_KEPT, REFRESH_LIFETIME, SESSION_LIFETIME, Verified,
};
use crate::control::admins::repo as admins;
use crate::control::admins::service::vanished;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode, ControlRefusal};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::actor::Forbidden;
use crate::kernel::attempts::AttemptKeys;
use crate::kernel::clock::Clock;
use crate::kernel::credential::{Credential, Realm};
use crate::kernel::email::Email;
use crate::kernel::ids::{AdminId, SessionId};
use crate::kernel::password::Password;

/// Where somebody comes from who has yet to show who it is.
pub struct Newcomer<'a> {
    /// The request.
    pub request_id: &'a str,
    /// The client's address.
    pub address: IpAddr,
}

impl Newcomer<'_> {
    /// Who has come in.
    fn operator(&self, admin: AdminId, session: SessionId) -> Operator {
        Operator {
            name: admin.to_string(),
            account: Some((admin, session)),
            request_id: Some(self.request_id.to_owned()),
            address: Some(self.address.to_string()),
        }
    }
}

/// Whether an administrator who can log in has this log-in, and it has neither ended nor been ended.
///
/// # Errors
/// The database failed.
pub async fn session_stands(
    control: &ControlDb,
    admin: AdminId,
    session: SessionId,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<bool, DbError> {
    repo::session_stands(control, admin, session, now).await
}

/// First step of a log-in: counts the attempt and finds the account. An address that nobody has finds nobody, and costs
/// the same.
///
/// # Errors
/// There were too many attempts.
pub async fn login_begin(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    email_key: &str,
    keys: &AttemptKeys,
) -> Result<Candidate, ControlError> {
    attempt(tx, clock, keys).await?;
    Ok(admins::active_with_password(tx, email_key).await?.into())
}

/// Last step of a log-in: lets in.
///
/// # Errors
/// The administrator was disabled, or the password changed, while it was being verified.
pub async fn login_finish(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    newcomer: &Newcomer<'_>,
    verified: &Verified,
    keys: &AttemptKeys,
) -> Result<AdminGrant, ControlError> {
    let admin = still(tx, verified, keys).await?.ok_or_else(login_refused)?;
    let grant = session_create(tx, clock, admin).await?;
    let operator = newcomer.operator(grant.admin.id, grant.session);
    record(tx, clock, &operator, ("admin.login", &grant.admin.email), json!({})).await?;
    Ok(grant)
}

/// Refuses a log-in, and tells the log. Whom it was tried for is not told: what people type there may be a password.
#[must_use]
pub fn login_refused() -> ControlRefusal {
    tracing::info!(security.event = "admin_login_failed", "Somebody failed to log in as an administrator");
    credentials_invalid()
}

/// The refusal of every password that is wrong.
#[must_use]
pub fn credentials_invalid() -> ControlRefusal {
    let message = "The e-mail address or the password is wrong.";
    ControlRefusal::new(ControlErrorCode::CredentialsInvalid, message, &["input"])
}

/// The refusal of every token that does not work.
#[must_use]
pub fn token_invalid() -> ControlRefusal {
    let message = "The token is not valid, or not any more.";
    ControlRefusal::new(ControlErrorCode::TokenInvalid, message, &["input", "token"])
}

/// Takes a refresh token for the next one.
///
/// Nothing is answered for one that had been used before: the whole log-in is ended, the thief's tokens with the
/// owner's. That is no error, so that the end is kept.
///
/// # Errors
/// The token is not valid, or its log-in has ended.
pub async fn token_refresh(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    credential: &Credential,
) -> Result<Option<AdminGrant>, ControlError> {
    let now = clock.now();
    if credential.realm != Realm::Platform {
        return Err(token_invalid().into());
    }
    let token = repo::token_lock(tx, credential.id).await?.ok_or_else(token_invalid)?;
    let session = token.session_id.filter(|_| credential.hash().is(&token.secret_hash)).ok_or_else(token_invalid)?;
    let session = SessionId(session);
    let row = repo::session_lock(tx, session).await?.ok_or_else(token_invalid)?;
    if row.revoked_at.is_some() || now >= row.expires_at {
        return Err(token_invalid().into());
    }
    if token.used_at.is_some() {
        repo::session_revoke(tx, session, now).await?;
        tracing::warn!(
            security.event = "refresh_token_reuse", admin.id = %token.admin_id, session.id = %session,
            "An administrator's refresh token was shown twice; its log-in is ended"
        );
        return Ok(None);
    }
    let admin: Candidate = admins::admin_with_password(tx, token.admin_id).await?.into();
    let admin = admin.admin.filter(|admin| admin.status() == AdminStatus::Active && now < token.expires_at);
    let admin = admin.ok_or_else(token_invalid)?;
    repo::token_use(tx, token.id, now).await?;
    let refresh = refresh_create(tx, clock, admin.id, session).await?;
    Ok(Some(AdminGrant { admin, session, refresh }))
}

/// Ends the log-in that the caller is in, or all of the caller's.
///
/// # Errors
/// The caller is in by something else than a log-in.
pub async fn logout(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    everywhere: bool,
) -> Result<(), ControlError> {
    let (id, session) = logged_in(operator)?;
    let admin = admins::admin_lock(tx, id).await?.ok_or_else(vanished)?;
    if everywhere {
        repo::session_revoke_all(tx, id, None, clock.now()).await?;
    } else {
        repo::session_revoke(tx, session, clock.now()).await?;
    }
    record(tx, clock, operator, ("admin.logout", &admin.email), json!({ "everywhere": everywhere })).await?;
    Ok(())
}

/// First step of a change of password: counts the attempt and finds the hash that the current one must fit.
///
/// # Errors
/// There were too many attempts, or the caller is in by something else than a log-in.
pub async fn password_change_begin(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    address: IpAddr,
) -> Result<(Candidate, AttemptKeys), ControlError> {
    let (id, _) = logged_in(operator)?;
    let candidate: Candidate = admins::admin_with_password(tx, id).await?.into();
    let email_key = candidate.admin.as_ref().map_or("", |admin| admin.email_key.as_str());
    let keys = AttemptKeys::password("password", email_key, address);
    attempt(tx, clock, &keys).await?;
    Ok((candidate, keys))
}

/// Last step of a change of password: keeps the new one, and ends the other log-ins and the invitations.
///
/// # Errors
/// The caller was disabled, or the password changed by another, while it was being verified.
pub async fn password_change_finish(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    (verified, keys): (&Verified, &AttemptKeys),
    password_hash: &str,
) -> Result<(), ControlError> {
    let (id, session) = logged_in(operator)?;
    let admin = still(tx, verified, keys).await?.filter(|admin| admin.id == id).ok_or_else(credentials_invalid)?;
    let now = clock.now();
    admins::password_update(tx, id, password_hash, now).await?.ok_or_else(vanished)?;
    repo::session_revoke_all(tx, id, Some(session), now).await?;
    repo::invitations_use(tx, id, now).await?;
    record(tx, clock, operator, ("admin.password_change", &admin.email), json!({})).await?;
    Ok(())
}

/// First step of accepting an invitation: who it is for. The last step asks again.
///
/// # Errors
/// The token does not work.
pub async fn invitation_begin(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    credential: &Credential,
) -> Result<Admin, ControlError> {
    invitation_lock(tx, clock, credential).await
}

/// Last step of accepting an invitation: keeps the password, ends what came before, and lets in.
///
/// # Errors
/// The token does not work any more.
pub async fn invitation_finish(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    newcomer: &Newcomer<'_>,
    credential: &Credential,
    password_hash: &str,
) -> Result<AdminGrant, ControlError> {
    let admin = invitation_lock(tx, clock, credential).await?;
    let now = clock.now();
    let admin = admins::password_update(tx, admin.id, password_hash, now).await?.ok_or_else(vanished)?;
    repo::invitations_use(tx, admin.id, now).await?;
    repo::session_revoke_all(tx, admin.id, None, now).await?;
    let grant = session_create(tx, clock, admin).await?;
    let operator = newcomer.operator(grant.admin.id, grant.session);
    record(tx, clock, &operator, ("admin.accept", &grant.admin.email), json!({})).await?;
    Ok(grant)
}

/// Removes what is over: attempts of yesterday, and log-ins and tokens that ended a month ago.
///
/// # Errors
/// The database failed.
pub async fn sweep(tx: &mut ControlTx, clock: &dyn Clock) -> Result<(), DbError> {
    let now = clock.now();
    repo::attempts_sweep(tx, now - ATTEMPTS_KEPT).await?;
    repo::tokens_sweep(tx, now - ENDED_KEPT).await?;
    // The last token of a log-in may outlive it.
    repo::sessions_sweep(tx, now - ENDED_KEPT - REFRESH_LIFETIME).await
}

/// A password that an administrator chooses.
///
/// # Errors
/// It will not do.
pub fn chosen_password(text: &str, admin: &Admin, path: &[&'static str]) -> Result<Password, ControlError> {
    let email = admin.email.parse::<Email>().map_err(|_| credentials_invalid())?;
    Password::chosen(text, &email).map_err(|error| {
        let message = format!("This will not do: {error}.");
        ControlError::refused(ControlErrorCode::PasswordInvalid, message, path)
    })
}

/// The log-in that the caller is in. Whoever has the platform's keys at hand has neither password nor log-in.
fn logged_in(operator: &Operator) -> Result<(AdminId, SessionId), Forbidden> {
    operator.account.ok_or(Forbidden::SignedIn)
}

/// The account, locked, if it can log in and the password is its own still; its attempts are forgotten then.
async fn still(tx: &mut ControlTx, verified: &Verified, keys: &AttemptKeys) -> Result<Option<Admin>, DbError> {
    let admin = admins::admin_lock_verified(tx, verified.admin.id, &verified.password_hash).await?;
    if admin.is_some() {
        forget(tx, keys).await?;
    }
    Ok(admin)
}

/// The account of a shown invitation that still works, locked until the transaction ends.
async fn invitation_lock(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    credential: &Credential,
) -> Result<Admin, ControlError> {
    if credential.realm != Realm::Platform {
        return Err(token_invalid().into());
    }
    // The account before its invitation, as whoever invites again does: so the two never wait for each other.
    let owner = repo::token_owner(tx, credential.id).await?.ok_or_else(token_invalid)?;
    let admin = admins::admin_lock(tx, owner).await?.ok_or_else(token_invalid)?;
    let token = repo::token_lock(tx, credential.id).await?.ok_or_else(token_invalid)?;
    let is_good = credential.hash().is(&token.secret_hash)
        && token.session_id.is_none()
        && token.used_at.is_none()
        && clock.now() < token.expires_at
        && admin.status() != AdminStatus::Disabled;
    if is_good { Ok(admin) } else { Err(token_invalid().into()) }
}

async fn session_create(tx: &mut ControlTx, clock: &dyn Clock, admin: Admin) -> Result<AdminGrant, DbError> {
    let session = SessionId(clock.new_id());
    let now = clock.now();
    repo::session_insert(tx, session, admin.id, now, now + SESSION_LIFETIME).await?;
    let refresh = refresh_create(tx, clock, admin.id, session).await?;
    Ok(AdminGrant { admin, session, refresh })
}

async fn refresh_create(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    admin: AdminId,
    session: SessionId,
) -> Result<Credential, DbError> {
    let credential = Credential::new(Realm::Platform, clock.new_id(), clock.secret());
    let now = clock.now();
    let secret = (credential.id, credential.hash());
    repo::token_insert(tx, secret, admin, ("refresh", Some(session)), (now, now + REFRESH_LIFETIME)).await?;
    Ok(credential)
}
