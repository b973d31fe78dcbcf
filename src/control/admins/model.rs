//! An administrator and a log-in, as the control plane has them.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::db::schema::control::admins;
use crate::kernel::credential::Credential;
use crate::kernel::ids::{AdminId, SessionId};

/// Accounts at most, disabled ones too: a list of them is read whole.
pub const ADMINS_MAX: usize = 100;

/// How long attempts are kept after the last one.
pub const ATTEMPTS_KEPT: TimeDelta = TimeDelta::days(1);

/// How long log-ins and tokens are kept after their end, for whoever looks into a theft.
pub const ENDED_KEPT: TimeDelta = TimeDelta::days(30);

/// How long an invitation works. It is handed over by a person to a person, who is waiting for it.
pub const INVITATION_LIFETIME: TimeDelta = TimeDelta::days(1);

/// How long an access token works: after it a refresh asks whether the log-in still stands.
pub const ACCESS_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// How long a refresh token waits to be used: who is away for longer logs in again.
pub const REFRESH_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// How long a log-in lasts, however often it is refreshed: a working day. A shop's people have longer, and may less.
pub const SESSION_LIFETIME: TimeDelta = TimeDelta::hours(12);

/// An administrator of the platform.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = admins)]
pub struct Admin {
    /// The account.
    #[diesel(deserialize_as = Uuid)]
    pub id: AdminId,
    /// The address, which never changes: what the trail of acts calls the account.
    pub email: String,
    /// The address in lower case: what the account is found by.
    pub email_key: String,
    /// The state, as text.
    pub status: String,
    /// When the administrator was first invited.
    pub created_at: DateTime<Utc>,
    /// When the account was last changed.
    pub updated_at: DateTime<Utc>,
}

/// An account's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminStatus {
    /// Has never accepted an invitation.
    Invited,
    /// Can log in.
    Active,
    /// Cannot, until enabled again.
    Disabled,
}

impl AdminStatus {
    /// The text that the table stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// The state of a text. One that no version knows counts as disabled: nobody gets in by it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        [Self::Invited, Self::Active].into_iter().find(|status| status.as_str() == text).unwrap_or(Self::Disabled)
    }
}

impl Admin {
    /// The state.
    #[must_use]
    pub fn status(&self) -> AdminStatus {
        AdminStatus::of(&self.status)
    }
}

/// Who tries to get in, found by the address that was typed.
pub struct Candidate {
    /// The administrator, if there is one who can log in.
    pub admin: Option<Admin>,
    /// The hash that the password must fit.
    pub password_hash: Option<String>,
}

/// An administrator whose password was right a moment ago.
pub struct Verified {
    /// Who it is.
    pub admin: Admin,
    /// The hash that the password fitted: a log-in asks whether it still is the account's.
    pub password_hash: String,
}

impl From<Option<(Admin, Option<String>)>> for Candidate {
    fn from(row: Option<(Admin, Option<String>)>) -> Self {
        let (admin, password_hash) = row.unzip();
        Self { admin, password_hash: password_hash.flatten() }
    }
}

impl Candidate {
    /// The administrator, if the password was right.
    #[must_use]
    pub fn verified(self, is_right: bool) -> Option<Verified> {
        let (admin, password_hash) = self.admin.zip(self.password_hash).filter(|_| is_right)?;
        Some(Verified { admin, password_hash })
    }
}

/// A log-in, and the refresh token that was made for it.
pub struct AdminGrant {
    /// Who is in.
    pub admin: Admin,
    /// The log-in.
    pub session: SessionId,
    /// What the next refresh shows.
    pub refresh: Credential,
}
