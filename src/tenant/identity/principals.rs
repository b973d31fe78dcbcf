//! What a shown credential allows right now: asked of the shop's tables, remembered for less than a second.
//!
//! This is what "within a second everywhere" rests on: a log-in that is ended, a key that is revoked, a role that is
//! changed and a user who is disabled count on every replica as soon as it has forgotten. Nothing has to be notified.

mod repo;

use std::convert::Infallible;
use std::sync::Arc;

use super::api_keys::model::LAST_USED_PRECISION;
use super::api_keys::repo as api_keys;
use super::provider::model::IdentityProvider;
use super::provider::service::provider_in_use;
use super::users::model::UserStatus;
use super::users::repo as users;
use crate::db::{DbError, TenantDb, TenantRead, TenantSession, TenantTx};
use crate::failure::Failure;
use crate::kernel::actor::{Permissions, Principal, Role, Via};
use crate::kernel::clock::Clock;
use crate::kernel::credential::{Credential, SecretHash};
use crate::kernel::ids::{ApiKeyId, SessionId, TenantId, UserId};
use crate::kernel::journal::Change;
use crate::kernel::tenant::TenantCtx;
use crate::telemetry::cache::Counts;
use crate::tenant::brief::{Brief, brief, fresh};
use crate::tenant::journal::{self, Act};
use crate::vault::Vault;

/// A credential whose signature, if it has one, has been verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Shown {
    /// A token of a log-in.
    Session(UserId, SessionId),
    /// A token that an operator made out, for no more than a role.
    Operator(UserId, Option<Role>),
    /// An API key: its id and the hash of its secret.
    ApiKey(ApiKeyId, SecretHash),
    /// A token of the shop's identity provider.
    External {
        /// The provider.
        issuer: String,
        /// Whom it means.
        subject: String,
        /// The address that it vouches for, in lower case.
        email_key: Option<String>,
    },
}

impl From<&Credential> for Shown {
    fn from(credential: &Credential) -> Self {
        Self::ApiKey(ApiKeyId(credential.id), credential.hash())
    }
}

/// From shown credentials to what they allow.
#[derive(Clone)]
pub struct Principals {
    tenants: TenantDb,
    vault: Vault,
    clock: Arc<dyn Clock>,
    known: Brief<(TenantId, Shown), Option<Principal>>,
    providers: Brief<TenantId, Option<IdentityProvider>>,
    /// How questions for credentials ended.
    counts: Option<Counts>,
}

impl Principals {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(tenants: TenantDb, vault: Vault, clock: Arc<dyn Clock>) -> Self {
        Self { tenants, vault, clock, known: brief(), providers: brief(), counts: None }
    }

    /// The same, counting how questions for credentials end.
    #[must_use]
    pub fn counted(self, counts: Counts) -> Self {
        Self { counts: Some(counts), ..self }
    }

    /// The identity provider that a shop trusts.
    ///
    /// # Errors
    /// The database failed.
    pub async fn provider(&self, tenant: &Arc<TenantCtx>) -> Result<Option<IdentityProvider>, DbError> {
        let read = async {
            let session = self.tenants.session(Arc::clone(tenant));
            let provider = provider_in_use(&session.read().await?).await;
            session.finish().await;
            provider
        };
        fresh(&self.providers, tenant.id, read).await
    }

    /// Who a credential was found to stand for a moment ago, if it was asked.
    pub async fn recall(&self, tenant: TenantId, shown: &Shown) -> Option<Option<Principal>> {
        let (known, _) = self.known.get(&(tenant, shown.clone())).await?;
        self.counts.iter().for_each(|counts| counts.hits.inc());
        Some(known)
    }

    /// Who a credential stands for; nobody where it is wrong, ended, expired or another shop's. It is asked in the
    /// operation's own session, whose transaction then goes on: so it costs a statement and no transaction.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resolve(
        &self,
        tenant: TenantId,
        session: &TenantSession,
        shown: Shown,
    ) -> Result<Option<Principal>, DbError> {
        let read = self.read(session, shown.clone());
        let principal = fresh(&self.known, (tenant, shown), read).await;
        session.meter().reset();
        principal
    }

    async fn read(&self, session: &TenantSession, shown: Shown) -> Result<Option<Principal>, DbError> {
        self.counts.iter().for_each(|counts| counts.misses.inc());
        match shown {
            Shown::Session(user, id) => self.of_session(&session.read().await?, user, id).await,
            Shown::Operator(user, role) => of_operator(&session.read().await?, user, role).await,
            Shown::ApiKey(id, secret) => self.of_api_key(session, id, secret).await,
            Shown::External { issuer, subject, email_key } => {
                self.of_external(session, &issuer, &subject, email_key.as_deref()).await
            }
        }
    }

    async fn of_session(
        &self,
        read: &TenantRead,
        user: UserId,
        session: SessionId,
    ) -> Result<Option<Principal>, DbError> {
        let stands = repo::session_stands(read, session, user, self.clock.now());
        // Siblings, so that they share a round trip.
        let (stands, known) = futures_util::try_join!(stands, repo::user_permissions(read, user))?;
        let active = known.filter(|(status, _)| stands && *status == UserStatus::Active);
        Ok(active.map(|(_, permissions)| Principal { user, permissions, via: Via::Session(session) }))
    }

    async fn of_api_key(
        &self,
        session: &TenantSession,
        id: ApiKeyId,
        secret: SecretHash,
    ) -> Result<Option<Principal>, DbError> {
        let now = self.clock.now();
        let read = session.read().await?;
        let Some(key) = api_keys::api_key_secrets(&read, id).await? else { return Ok(None) };
        let previous = key.previous_hash.filter(|_| key.previous_expires_at.is_some_and(|until| now < until));
        let is_known = secret.is(&key.secret_hash) || previous.is_some_and(|previous| secret.is(&previous));
        if !is_known || key.expires_at.is_some_and(|until| now >= until) {
            return Ok(None);
        }
        let maker = repo::user_permissions(&read, key.user_id).await?;
        let Some((UserStatus::Active | UserStatus::Invited, makers)) = maker else { return Ok(None) };
        if key.last_used_at.is_none_or(|last| last < now - LAST_USED_PRECISION) {
            let touched = session.write(async |tx: &mut TenantTx| api_keys::api_key_touch(tx, id, now).await).await;
            // A key whose use cannot be noted is a good one all the same.
            if let Err(error) = touched {
                tracing::warn!(%error, "The use of an API key could not be noted");
            }
        }
        let permissions = Permissions::of_names(&key.permissions).and(makers);
        Ok(Some(Principal { user: key.user_id, permissions, via: Via::ApiKey(id) }))
    }

    /// The user whom the provider's subject is tied to. One who is not tied yet is, by the address that the provider
    /// vouches for: so an invitation can be accepted by logging in there. Nobody is made.
    async fn of_external(
        &self,
        session: &TenantSession,
        issuer: &str,
        subject: &str,
        email_key: Option<&str>,
    ) -> Result<Option<Principal>, DbError> {
        let mut user = users::user_by_external(&session.read().await?, issuer, subject).await?;
        if let (None, Some(email_key)) = (&user, email_key) {
            let now = self.clock.now();
            let tie = async |tx: &mut TenantTx| {
                let user = users::user_lock_unlinked(tx, email_key).await?;
                let user = user.filter(|user| user.status() != UserStatus::Disabled);
                if let Some(user) = &user {
                    users::external_update(tx, user.id, issuer, subject, now).await?;
                    tx.note(Change::done(user.id));
                }
                Ok::<_, Failure<Infallible>>(user)
            };
            // Nobody is admitted yet: it is the platform that ties.
            let act = Act::of_system("user.external_tie", session.tenant(), &self.vault, &*self.clock);
            let tied = journal::service::write(session, act, tie).await;
            user = tied.map_err(|failure| match failure {
                Failure::Db(error) => error,
                failure => DbError::Other(format!("a user could not be tied: {failure:?}")),
            })?;
            if user.is_none() {
                // Another replica may have tied the user while this one waited for the lock.
                user = users::user_by_external(&session.read().await?, issuer, subject).await?;
            }
        }
        let Some(user) = user else { return Ok(None) };
        let known = repo::user_permissions(&session.read().await?, user.id).await?;
        let active = known.filter(|(status, _)| *status == UserStatus::Active);
        Ok(active.map(|(_, permissions)| Principal { user: user.id, permissions, via: Via::IdentityProvider }))
    }
}

/// An operator may act for a user who has not yet accepted the invitation: that is how one helps.
async fn of_operator(read: &TenantRead, user: UserId, role: Option<Role>) -> Result<Option<Principal>, DbError> {
    let known = repo::user_permissions(read, user).await?;
    let known = known.filter(|(status, _)| *status != UserStatus::Disabled);
    Ok(known.map(|(_, permissions)| {
        let bound = role.map_or(Permissions::ALL, Role::permissions);
        Principal { user, permissions: permissions.and(bound), via: Via::Operator }
    }))
}
