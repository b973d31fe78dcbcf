//! Getting in, staying in, getting out.

use async_graphql::{Context, InputObject, Object};

use super::SessionGrant;
use crate::db::{DbError, TenantTx};
use crate::failure::Failure;
use crate::graphql::access::{access, public, signed_in};
use crate::graphql::payload::payload;
use crate::graphql::user_error::IdentityUserError;
use crate::graphql::{ApiResult, Request, Shop};
use crate::kernel::actor::{Access, Actor, Forbidden};
use crate::kernel::attempts::AttemptKeys;
use crate::kernel::credential::Credential;
use crate::kernel::email::Email;
use crate::kernel::password::Password;
use crate::tenant::identity::error::{IdentityError, IdentityErrorCode, IdentityRefusal};
use crate::tenant::identity::links::service::{Purpose, token_invalid};
use crate::tenant::identity::sessions::model::{Grant, Lifetimes};
use crate::tenant::identity::sessions::service::{self, chosen_password, credentials_invalid};

/// An e-mail address and a password.
#[derive(InputObject)]
pub struct LoginInput {
    /// The e-mail address.
    email: String,
    /// The password.
    password: String,
}

/// A refresh token to exchange for new tokens.
#[derive(InputObject)]
pub struct TokenRefreshInput {
    /// The refresh token of the log-in, which has not been used yet.
    refresh_token: String,
}

/// The password so far and the new one.
#[derive(InputObject)]
pub struct PasswordChangeInput {
    /// The password so far.
    current_password: String,
    /// The password from now on: 12 to 128 characters.
    new_password: String,
}

/// A request for a link by which another password can be chosen.
#[derive(InputObject)]
pub struct PasswordResetRequestInput {
    /// The e-mail address of the account.
    email: String,
}

/// A new password, authorised by a mailed link.
#[derive(InputObject)]
pub struct PasswordResetConfirmInput {
    /// The link's token.
    token: String,
    /// The password from now on: 12 to 128 characters.
    password: String,
}

/// An invitation's token, and what the user chooses.
#[derive(InputObject)]
pub struct InvitationAcceptInput {
    /// The invitation's token.
    token: String,
    /// The name for people, where the one in the invitation is not right.
    name: Option<String>,
    /// The password: 12 to 128 characters.
    password: String,
}

payload!(
    /// The answer to `login`.
    LoginPayload {
        /// The log-in.
        session: SessionGrant(SessionGrant)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `tokenRefresh`.
    TokenRefreshPayload {
        /// The log-in, with new tokens.
        session: SessionGrant(SessionGrant)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `invitationAccept`.
    InvitationAcceptPayload {
        /// A log-in.
        session: SessionGrant(SessionGrant)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `passwordResetConfirm`.
    PasswordResetConfirmPayload {
        /// A log-in.
        session: SessionGrant(SessionGrant)
    },
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `logout`.
    LogoutPayload,
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `passwordChange`.
    PasswordChangePayload,
    IdentityUserError(IdentityErrorCode)
);
payload!(
    /// The answer to `passwordResetRequest`: the same, whether a user has the address or not.
    PasswordResetRequestPayload,
    IdentityUserError(IdentityErrorCode)
);

/// Mutations of log-ins.
#[derive(Default)]
pub struct SessionMutation;

#[Object]
impl SessionMutation {
    /// Logs in by e-mail address and password. The shop is named by the host or by `X-Tenant`.
    #[graphql(directive = access::apply(public()))]
    async fn login(&self, ctx: &Context<'_>, input: LoginInput) -> ApiResult<LoginPayload> {
        LoginPayload::new(login(Request::of(ctx)?, input).await, &Actor::Anonymous)
    }

    /// Takes a refresh token for new tokens. A token that is shown twice ends its log-in: one of the two was a thief.
    #[graphql(directive = access::apply(public()))]
    async fn token_refresh(&self, ctx: &Context<'_>, input: TokenRefreshInput) -> ApiResult<TokenRefreshPayload> {
        TokenRefreshPayload::new(refresh(Request::of(ctx)?, &input.refresh_token).await, &Actor::Anonymous)
    }

    /// Ends the log-in that the caller is in, within a second everywhere.
    #[graphql(directive = access::apply(signed_in()))]
    async fn logout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "End all of the user's log-ins, on all devices.", default)] everywhere: bool,
    ) -> ApiResult<LogoutPayload> {
        let (request, shop) = (Request::of(ctx)?, Shop::of(ctx)?);
        let work = async |tx: &mut _| service::logout(tx, shop.actor(), request.clock(), everywhere).await;
        LogoutPayload::new(shop.write(request, "session.logout", Access::SignedIn, work).await, shop.actor())
    }

    /// Changes the caller's password and ends the caller's other log-ins.
    #[graphql(directive = access::apply(signed_in()))]
    async fn password_change(&self, ctx: &Context<'_>, input: PasswordChangeInput) -> ApiResult<PasswordChangePayload> {
        let (request, shop) = (Request::of(ctx)?, Shop::of(ctx)?);
        PasswordChangePayload::new(password_change(request, shop, input).await, shop.actor())
    }

    /// Mails a link by which another password can be chosen, if a user has the address. It works for an hour.
    #[graphql(directive = access::apply(public()))]
    async fn password_reset_request(
        &self,
        ctx: &Context<'_>,
        input: PasswordResetRequestInput,
    ) -> ApiResult<PasswordResetRequestPayload> {
        let result = reset_request(Request::of(ctx)?, &input.email).await;
        PasswordResetRequestPayload::new(result, &Actor::Anonymous)
    }

    /// Chooses another password by a mailed link, ends all log-ins of the user, and logs in.
    #[graphql(directive = access::apply(public()))]
    async fn password_reset_confirm(
        &self,
        ctx: &Context<'_>,
        input: PasswordResetConfirmInput,
    ) -> ApiResult<PasswordResetConfirmPayload> {
        let link = (Purpose::PasswordReset, input.token.as_str());
        let result = link_use(Request::of(ctx)?, link, None, &input.password).await;
        PasswordResetConfirmPayload::new(result, &Actor::Anonymous)
    }

    /// Accepts an invitation by choosing a password, and logs in.
    #[graphql(directive = access::apply(public()))]
    async fn invitation_accept(
        &self,
        ctx: &Context<'_>,
        input: InvitationAcceptInput,
    ) -> ApiResult<InvitationAcceptPayload> {
        let link = (Purpose::Invitation, input.token.as_str());
        let result = link_use(Request::of(ctx)?, link, input.name.as_deref(), &input.password).await;
        InvitationAcceptPayload::new(result, &Actor::Anonymous)
    }
}

/// A credential in the arguments with the shop that it belongs to; nothing where it is none, or another shop's.
async fn shown<'a>(request: &'a Request, text: &str) -> Result<Option<(&'a Shop, Credential)>, IdentityError> {
    let Ok(credential) = text.parse::<Credential>() else { return Ok(None) };
    Ok(request.shop_of(&credential).await?.map(|shop| (shop, credential)))
}

/// Refuses an address that has called too often, before it costs anything.
fn check_stranger(request: &Request) -> Result<(), IdentityError> {
    if request.admits_stranger() {
        return Ok(());
    }
    let message = "Too many attempts; try again in a minute.";
    Err(IdentityError::refused(IdentityErrorCode::TooManyAttempts, message, &["input"]))
}

/// Refuses a request that names no shop.
fn check_named(request: &Request) -> Result<(), IdentityError> {
    if request.names_a_shop() || request.known_shop().is_some() { Ok(()) } else { Err(Forbidden::SignedIn.into()) }
}

/// The tokens of a log-in. That none can be signed is the operators' problem, and told as such.
fn granted(request: &Request, shop: &Shop, grant: Grant) -> Result<SessionGrant, IdentityError> {
    SessionGrant::new(request, shop, grant).map_err(|_| Failure::Busy)
}

async fn login(request: &Request, input: LoginInput) -> Result<SessionGrant, IdentityError> {
    check_stranger(request)?;
    let (clock, passwords) = (request.clock(), &request.services().passwords);
    let password = Password::shown(&input.password);
    check_named(request)?;
    let Some(shop) = request.known_shop() else {
        // A shop that does not exist answers, and takes as long, as one that does not know the address.
        passwords.verify(&password, None).await?;
        return Err(credentials_invalid().into());
    };
    let slug = &shop.tenant().slug;
    // What is no address is nobody's address.
    let email_key = input.email.trim().to_lowercase().replace('\0', "");
    let keys = AttemptKeys::password("login", &email_key, request.origin().address);
    let begin = async |tx: &mut _| service::login_begin(tx, clock, &email_key, &keys).await;
    let candidate = shop.write(request, "session.attempt", Access::Public, begin).await?;
    shop.release().await;
    let is_right = passwords.verify(&password, candidate.password_hash.as_deref()).await?;
    let verified = candidate.verified(is_right).ok_or_else(credentials_invalid)?;
    let finish = async |tx: &mut TenantTx| {
        let lifetimes = lifetimes(request, shop, tx).await?;
        service::login_finish(tx, clock, (slug, lifetimes), &verified, &keys).await
    };
    granted(request, shop, shop.write(request, "session.login", Access::Public, finish).await?)
}

/// How long log-ins last in a shop.
async fn lifetimes(request: &Request, shop: &Shop, tx: &TenantTx) -> Result<Lifetimes, DbError> {
    Ok(Lifetimes::from(&request.services().settings.of(shop.tenant(), tx).await?))
}

async fn reset_request(request: &Request, email: &str) -> Result<(), IdentityError> {
    check_stranger(request)?;
    let email: Email = email.parse().map_err(|_| {
        IdentityRefusal::new(IdentityErrorCode::EmailInvalid, "This is not an e-mail address.", &["input", "email"])
    })?;
    check_named(request)?;
    // Of a shop that does not exist nobody is told more than of an address that nobody has.
    let Some(shop) = request.known_shop() else { return Ok(()) };
    let address = request.origin().address;
    let work = async |tx: &mut _| service::password_reset_request(tx, request.clock(), &email, address).await;
    shop.write(request, "password.reset_request", Access::Public, work).await
}

async fn refresh(request: &Request, token: &str) -> Result<SessionGrant, IdentityError> {
    check_stranger(request)?;
    let Some((shop, credential)) = shown(request, token).await? else { return Err(token_invalid().into()) };
    let (clock, slug) = (request.clock(), &shop.tenant().slug);
    let work = async |tx: &mut TenantTx| {
        let lifetimes = lifetimes(request, shop, tx).await?;
        service::token_refresh(tx, clock, (slug, lifetimes), &credential).await
    };
    let grant = shop.write(request, "session.refresh", Access::Public, work).await?;
    granted(request, shop, grant.ok_or_else(token_invalid)?)
}

async fn password_change(request: &Request, shop: &Shop, input: PasswordChangeInput) -> Result<(), IdentityError> {
    let (clock, services) = (request.clock(), request.services());
    let address = request.origin().address;
    let begin = async |tx: &mut _| service::password_change_begin(tx, shop.actor(), clock, address).await;
    let (candidate, keys) = shop.write(request, "password.attempt", Access::SignedIn, begin).await?;
    shop.release().await;
    let current = Password::shown(&input.current_password);
    let is_right = services.passwords.verify(&current, candidate.password_hash.as_deref()).await?;
    let verified = candidate.verified(is_right).ok_or_else(credentials_invalid)?;
    let chosen = chosen_password(&input.new_password, &verified.user, &["input", "newPassword"])?;
    let hash = services.passwords.hash(&chosen, clock.secret()).await?;
    let finish =
        async |tx: &mut _| service::password_change_finish(tx, shop.actor(), clock, (&verified, &keys), &hash).await;
    shop.write(request, "password.change", Access::SignedIn, finish).await.map(drop)
}

async fn link_use(
    request: &Request,
    (purpose, token): (Purpose, &str),
    name: Option<&str>,
    password: &str,
) -> Result<SessionGrant, IdentityError> {
    check_stranger(request)?;
    let Some((shop, credential)) = shown(request, token).await? else { return Err(token_invalid().into()) };
    let (clock, slug) = (request.clock(), &shop.tenant().slug);
    let begin = async |tx: &mut _| service::link_begin(tx, clock, purpose, &credential).await;
    let user = shop.write(request, "link.attempt", Access::Public, begin).await?;
    shop.release().await;
    let chosen = chosen_password(password, &user, &["input", "password"])?;
    let hash = request.services().passwords.hash(&chosen, clock.secret()).await?;
    let link = (purpose, &credential);
    let finish = async |tx: &mut TenantTx| {
        let lifetimes = lifetimes(request, shop, tx).await?;
        service::link_finish(tx, clock, (slug, lifetimes), link, (name, &hash)).await
    };
    granted(request, shop, shop.write(request, "link.use", Access::Public, finish).await?)
}
