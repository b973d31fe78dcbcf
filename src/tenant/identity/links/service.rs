//! Decisions about mailed links.
//!
//! A call that asks for a mail writes the same row whoever is asked about; whether there is such a user is found out by
//! the job, which also makes the secret. So neither answers nor their times tell who exists, and no secret lies in the
//! queue. Running a job twice makes a second secret; both work, and both end when one is used.

use chrono::TimeDelta;
use serde_json::json;

use super::repo::{self, UserToken};
use crate::db::{DbError, TenantTx};
use crate::kernel::attempts::account_key;
use crate::kernel::clock::Clock;
use crate::kernel::credential::{Credential, Realm};
use crate::kernel::tenant::TenantSlug;
use crate::tenant::identity::error::{IdentityErrorCode, IdentityRefusal};
use crate::tenant::identity::users::model::{User, UserStatus};
use crate::tenant::identity::users::repo as users;

/// What a mailed link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Joining the shop, by choosing a password.
    Invitation,
    /// Choosing another password.
    PasswordReset,
}

impl Purpose {
    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::PasswordReset => "password_reset",
        }
    }

    /// The kind of the job that mails it.
    #[must_use]
    pub fn job_kind(self) -> &'static str {
        match self {
            Self::Invitation => "mail.invitation",
            Self::PasswordReset => "mail.password_reset",
        }
    }

    /// How long the link works.
    #[must_use]
    pub fn lifetime(self) -> TimeDelta {
        match self {
            Self::Invitation => TimeDelta::days(7),
            Self::PasswordReset => TimeDelta::hours(1),
        }
    }

    /// The state in which a user can use it.
    fn status(self) -> UserStatus {
        match self {
            Self::Invitation => UserStatus::Invited,
            Self::PasswordReset => UserStatus::Active,
        }
    }
}

/// Has a link mailed to an address, if a user has it. One unfinished job for an address is enough.
///
/// # Errors
/// The database failed.
pub async fn mail_enqueue(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    purpose: Purpose,
    email_key: &str,
) -> Result<(), DbError> {
    // By a hash, so that what a stranger types does not grow the index.
    let hash: String = account_key("mail", email_key).iter().map(|byte| format!("{byte:02x}")).collect();
    let payload = json!({ "email": email_key });
    tx.enqueue(clock.new_id(), purpose.job_kind(), payload, Some(hash)).await.map(drop)
}

/// A link's token for the user with an address; nothing where no user in the right state has it. What the mailing jobs
/// call.
///
/// # Errors
/// The database failed.
pub async fn link_create(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    tenant: &TenantSlug,
    purpose: Purpose,
    email_key: &str,
) -> Result<Option<(User, Purpose, Credential)>, DbError> {
    let Some(user) = users::user_by_email(tx, email_key).await? else { return Ok(None) };
    let purpose = match (purpose, user.status()) {
        // Who asks for another password and never had one is invited again.
        (Purpose::Invitation | Purpose::PasswordReset, UserStatus::Invited) => Purpose::Invitation,
        (Purpose::PasswordReset, UserStatus::Active) => Purpose::PasswordReset,
        _ => return Ok(None),
    };
    let credential = Credential::new(Realm::Tenant(tenant.clone()), clock.new_id(), clock.secret());
    let now = clock.now();
    let secret = (credential.id, credential.hash());
    repo::token_insert(tx, secret, user.id, (purpose.as_str(), None), (now, now + purpose.lifetime())).await?;
    Ok(Some((user, purpose, credential)))
}

/// The user of a shown link that still works, locked until the transaction ends.
///
/// # Errors
/// The token is not one, or works no more: which of it, nobody is told.
pub(in crate::tenant::identity) async fn link_lock(
    tx: &mut TenantTx,
    clock: &dyn Clock,
    purpose: Purpose,
    credential: &Credential,
) -> Result<Result<User, IdentityRefusal>, DbError> {
    // The user before the link, as a change of password does: so the two never wait for each other.
    let Some(owner) = repo::token_owner(tx, credential.id).await? else { return Ok(Err(token_invalid())) };
    let user = users::user_lock(tx, owner).await?.filter(|user| user.status() == purpose.status());
    let token = repo::token_lock(tx, credential.id).await?;
    let is_good = |token: UserToken| {
        credential.hash().is(&token.secret_hash)
            && token.purpose == purpose.as_str()
            && token.used_at.is_none()
            && clock.now() < token.expires_at
    };
    Ok(user.filter(|_| token.is_some_and(is_good)).ok_or_else(token_invalid))
}

/// The refusal of every token that does not work.
pub(in crate::tenant::identity) fn token_invalid() -> IdentityRefusal {
    let message = "The token is not valid, or not any more.";
    IdentityRefusal::new(IdentityErrorCode::TokenInvalid, message, &["input", "token"])
}
