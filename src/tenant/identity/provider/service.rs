//! Decisions about identity providers.

use super::model::IdentityProvider;
use super::repo;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::actor::{Actor, Permission, Permissions};
use crate::kernel::clock::Clock;
use crate::kernel::ids::IdentityProviderId;
use crate::kernel::journal::Change;
use crate::outbound::{Policy, check_url};
use crate::tenant::identity::error::{IdentityError, IdentityErrorCode};
use crate::tenant::identity::users::repo::external_forget_all;
use crate::tenant::identity::users::service::within_own;

/// The most characters of an audience.
const AUDIENCE_LEN_MAX: usize = 200;

/// The shop's provider, for who manages it.
///
/// # Errors
/// The actor may not manage it, or the database failed.
pub async fn provider(read: &TenantRead, actor: &Actor) -> Result<Option<IdentityProvider>, IdentityError> {
    actor.require(Permission::IdentityProviderWrite)?;
    Ok(repo::provider_first(read).await?)
}

/// The shop's provider, for verifying a token.
///
/// # Errors
/// The database failed.
pub async fn provider_in_use(read: &TenantRead) -> Result<Option<IdentityProvider>, DbError> {
    repo::provider_first(read).await
}

/// Trusts an issuer's tokens, in place of another's. Users are tied to their accounts there anew.
///
/// # Errors
/// An address is malformed or leads where no server of ours may go, or the audience is blank.
pub async fn provider_set(
    tx: &mut TenantTx,
    actor: &Actor,
    clock: &dyn Clock,
    policy: Policy,
    (issuer, jwks_url, audience): (&str, &str, &str),
) -> Result<IdentityProvider, IdentityError> {
    actor.require(Permission::IdentityProviderWrite)?;
    // Whoever says who logs people in can become anybody, so this takes what the most powerful of them may.
    within_own(actor, Permissions::ALL, &[])?;
    let invalid = |message: String, field: &'static str| {
        IdentityError::refused(IdentityErrorCode::IdentityProviderInvalid, message, &["input", field])
    };
    // As text it is compared with what tokens say, so it stays as it was typed.
    check_url(issuer, policy)
        .map_err(|error| invalid(format!("The issuer is no address that we trust: {error}."), "issuer"))?;
    let jwks_url = check_url(jwks_url, policy)
        .map_err(|error| invalid(format!("The keys' address cannot be called: {error}."), "jwksUrl"))?;
    let audience = audience.trim();
    if !(1..=AUDIENCE_LEN_MAX).contains(&audience.chars().count()) || audience.contains(char::is_control) {
        return Err(invalid(format!("An audience has 1 to {AUDIENCE_LEN_MAX} characters."), "audience"));
    }
    let id = IdentityProviderId(clock.new_id());
    let before = repo::provider_first(tx).await?;
    external_forget_all(tx).await?;
    let replaced = repo::provider_replace(tx, id, (issuer, jwks_url.as_str(), audience), clock.now()).await;
    let provider = replaced.map_err(|error| match error {
        DbError::Unique(_) => invalid("Somebody else has just entered one; look at it first.".to_owned(), "issuer"),
        error => error.into(),
    })?;
    tx.note(match before {
        Some(before) => Change::changed(id, before.trail(), provider.trail()),
        None => Change::created(id, provider.trail()),
    });
    Ok(provider)
}

/// Trusts nobody's tokens but our own, within a second everywhere.
///
/// # Errors
/// There is no provider.
pub async fn provider_remove(tx: &mut TenantTx, actor: &Actor) -> Result<(), IdentityError> {
    actor.require(Permission::IdentityProviderWrite)?;
    within_own(actor, Permissions::ALL, &[])?;
    let Some(before) = repo::provider_first(tx).await? else {
        let message = "The shop has no identity provider.";
        return Err(IdentityError::refused(IdentityErrorCode::IdentityProviderNotFound, message, &[]));
    };
    external_forget_all(tx).await?;
    repo::provider_delete(tx).await?;
    tx.note(Change::removed(before.id, before.trail()));
    Ok(())
}
