//! Decisions about administrators' accounts.
//!
//! Locks are taken in one order everywhere: the set of accounts, an account, what belongs to it.

use serde_json::json;

use super::model::{ADMINS_MAX, Admin, AdminStatus, INVITATION_LIFETIME};
use super::repo;
use super::sessions::repo as sessions;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode, ControlRefusal};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::credential::{Credential, Realm};
use crate::kernel::email::Email;
use crate::kernel::ids::AdminId;

/// All administrators in the order of their addresses.
///
/// # Errors
/// The database failed.
pub async fn admin_list(control: &ControlDb) -> Result<Vec<Admin>, DbError> {
    repo::admin_list(control).await
}

/// An administrator by id.
///
/// # Errors
/// The database failed.
pub async fn admin_by_id(control: &ControlDb, id: AdminId) -> Result<Option<Admin>, DbError> {
    repo::admin_by_id(control, id).await
}

/// The administrator with an address.
///
/// # Errors
/// Nobody has it, or the database failed.
pub async fn admin_by_email(tx: &mut ControlTx, email: &str) -> Result<Admin, ControlError> {
    let not_found = || not_found(email, "email");
    let email: Email = email.parse().map_err(|_| not_found())?;
    Ok(repo::admin_by_email(tx, &email.key()).await?.ok_or_else(not_found)?)
}

/// Makes an account, and an invitation to choose its password. An account that exists gets another invitation, and
/// keeps its password until that is accepted; invitations before it work no more.
///
/// # Errors
/// The address is malformed, the account is disabled, or there are as many accounts as there may be.
pub async fn admin_invite(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    email: &str,
) -> Result<(Admin, Credential), ControlError> {
    const PATH: [&str; 2] = ["input", "email"];
    let email: Email = email
        .parse()
        .map_err(|_| ControlRefusal::new(ControlErrorCode::EmailInvalid, "This is not an e-mail address.", &PATH))?;
    let admins = locked(tx).await?;
    let now = clock.now();
    let known = admins.iter().find(|admin| admin.email_key == email.key());
    let admin = match known {
        Some(admin) if admin.status() == AdminStatus::Disabled => {
            let message = "The account is disabled; enable it first.";
            return Err(ControlError::refused(ControlErrorCode::AdminIsDisabled, message, &PATH));
        }
        // Whoever accepts becomes that administrator in the trail, so no colleague hands out such an invitation.
        Some(admin) if admin.status() == AdminStatus::Active && operator.account.is_some() => {
            let message = "The account is in use; a lost password is mended at the command line.";
            return Err(ControlError::refused(ControlErrorCode::AdminIsActive, message, &PATH));
        }
        Some(admin) => admin.clone(),
        None if admins.len() >= ADMINS_MAX => {
            let message = format!("There are at most {ADMINS_MAX} administrators, disabled ones included.");
            return Err(ControlError::refused(ControlErrorCode::AdminLimitReached, message, &PATH));
        }
        None => repo::admin_insert(tx, AdminId(clock.new_id()), &email, now).await?.ok_or_else(vanished)?,
    };
    sessions::invitations_use(tx, admin.id, now).await?;
    let credential = Credential::new(Realm::Platform, clock.new_id(), clock.secret());
    let secret = (credential.id, credential.hash());
    sessions::token_insert(tx, secret, admin.id, ("invitation", None), (now, now + INVITATION_LIFETIME)).await?;
    record(tx, clock, operator, ("admin.invite", &admin.email), json!({ "status": admin.status })).await?;
    Ok((admin, credential))
}

/// Shuts an administrator out, within a second everywhere: every log-in ends, and invitations work no more. Doing it
/// twice changes nothing.
///
/// # Errors
/// There is no such administrator, it is the caller, or the last one who can log in.
pub async fn admin_disable(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    id: AdminId,
) -> Result<Admin, ControlError> {
    let admins = locked(tx).await?;
    let admin = admins.iter().find(|admin| admin.id == id).ok_or_else(|| not_found(&id.to_string(), "id"))?;
    if operator.account.is_some_and(|(caller, _)| caller == id) {
        let message = "You cannot shut yourself out.";
        return Err(ControlError::refused(ControlErrorCode::AdminIsSelf, message, &["id"]));
    }
    let is_active = |admin: &Admin| admin.status() == AdminStatus::Active;
    if admin.status() == AdminStatus::Disabled {
        return Ok(admin.clone());
    }
    if is_active(admin) && !admins.iter().any(|other| other.id != id && is_active(other)) {
        let message = "No other administrator can log in.";
        return Err(ControlError::refused(ControlErrorCode::LastAdmin, message, &["id"]));
    }
    let now = clock.now();
    sessions::session_revoke_all(tx, id, None, now).await?;
    sessions::invitations_use(tx, id, now).await?;
    record(tx, clock, operator, ("admin.disable", &admin.email), json!({})).await?;
    Ok(repo::admin_update_status(tx, id, AdminStatus::Disabled, now).await?.ok_or_else(vanished)?)
}

/// Lets a disabled administrator in again, by the password so far. One who never chose any has to be invited again.
///
/// # Errors
/// There is no such administrator.
pub async fn admin_enable(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    id: AdminId,
) -> Result<Admin, ControlError> {
    repo::accounts_lock(tx).await?;
    let known = repo::admin_with_password(tx, id).await?;
    let (admin, password) = known.ok_or_else(|| not_found(&id.to_string(), "id"))?;
    if admin.status() != AdminStatus::Disabled {
        return Ok(admin);
    }
    let status = if password.is_some() { AdminStatus::Active } else { AdminStatus::Invited };
    record(tx, clock, operator, ("admin.enable", &admin.email), json!({ "status": status.as_str() })).await?;
    Ok(repo::admin_update_status(tx, id, status, clock.now()).await?.ok_or_else(vanished)?)
}

/// All accounts, kept from being changed until the transaction ends: so two administrators cannot shut each other out.
async fn locked(tx: &mut ControlTx) -> Result<Vec<Admin>, DbError> {
    repo::accounts_lock(tx).await?;
    repo::admin_list_lock(tx).await
}

fn not_found(who: &str, place: &'static str) -> ControlRefusal {
    let message = format!("There is no administrator `{who}`.");
    ControlRefusal::new(ControlErrorCode::AdminNotFound, message, &[place])
}

/// A row that this transaction holds was not answered, which is a defect.
pub(in crate::control::admins) fn vanished() -> DbError {
    DbError::Other("an administrator's row was not returned".to_owned())
}
