//! A log-in as the tenant has it.

use chrono::TimeDelta;

use crate::kernel::credential::Credential;
use crate::kernel::ids::SessionId;
use crate::kernel::settings::{SESSIONS_IDLE_DAYS, SESSIONS_LIFETIME_DAYS, Settings};
use crate::tenant::identity::users::model::User;

/// How long an access token works: after it a refresh asks whether the log-in still stands.
pub const ACCESS_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// The longest that a refresh token waits to be used, whatever the shop has set.
pub const REFRESH_LIFETIME_MAX: TimeDelta = TimeDelta::days(90);

/// How long log-ins last in a shop.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// How long a refresh token waits to be used.
    pub refresh: TimeDelta,
    /// How long a log-in lasts, however often it is refreshed.
    pub session: TimeDelta,
}

impl From<&Settings> for Lifetimes {
    fn from(settings: &Settings) -> Self {
        let days = |key| TimeDelta::days(settings.get(key));
        Self { refresh: days(SESSIONS_IDLE_DAYS).min(REFRESH_LIFETIME_MAX), session: days(SESSIONS_LIFETIME_DAYS) }
    }
}

/// How long attempts are kept after the last one.
pub const ATTEMPTS_KEPT: TimeDelta = TimeDelta::days(1);

/// How long log-ins and tokens are kept after their end, for whoever looks into a theft.
pub const ENDED_KEPT: TimeDelta = TimeDelta::days(30);

/// Who tries to get in, found by the address that was typed.
pub struct Candidate {
    /// The user, if there is one who can log in.
    pub user: Option<User>,
    /// The hash that the password must fit.
    pub password_hash: Option<String>,
}

/// Who has shown the right password.
pub struct Verified {
    /// The user.
    pub user: User,
    /// The hash that the password fits: while it was being verified another may have taken its place.
    pub password_hash: String,
}

impl Candidate {
    /// Who it is, if the password is right.
    #[must_use]
    pub fn verified(self, is_right: bool) -> Option<Verified> {
        let (user, password_hash) = self.user.zip(self.password_hash).filter(|_| is_right)?;
        Some(Verified { user, password_hash })
    }
}

/// A log-in, and the refresh token that was made for it.
pub struct Grant {
    /// Who is in.
    pub user: User,
    /// The log-in.
    pub session: SessionId,
    /// What the next refresh shows.
    pub refresh: Credential,
}
