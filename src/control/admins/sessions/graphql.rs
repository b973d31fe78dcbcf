//! Administrators' log-ins at the edge.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::service::{self, Newcomer, chosen_password, credentials_invalid, login_refused, token_invalid};
use crate::auth::Claims;
use crate::auth::tokens::AdminClaims;
use crate::control::admins::graphql::AdminNode;
use crate::control::admins::model::{ACCESS_LIFETIME, AdminGrant};
use crate::control::audit::Operator;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::graphql::ControlUserError;
use crate::db::ControlTx;
use crate::failure::Failure;
use crate::graphql::access::{access, public, signed_in};
use crate::graphql::payload::payload;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;
use crate::kernel::attempts::AttemptKeys;
use crate::kernel::credential::Credential;
use crate::kernel::password::Password;

/// A log-in: the tokens that prove it.
#[derive(SimpleObject)]
pub struct AdminSession {
    /// The user who is logged in.
    admin: AdminNode,
    /// The bearer token of requests.
    access_token: String,
    /// The time when the access token stops working. Refresh before.
    access_token_expires_at: DateTime<Utc>,
    /// The refresh token, which `tokenRefresh` takes once and within an hour, and answers with its successor. A log-in
    /// lasts twelve hours at most.
    refresh_token: String,
}

impl AdminSession {
    /// Makes out the tokens of a log-in. That none can be signed is the platform's problem, and told as such.
    fn new(request: &AdminRequest, grant: AdminGrant) -> Result<Self, ControlError> {
        let claims = Claims::Admin(AdminClaims::Account { admin: grant.admin.id, session: grant.session });
        let now = request.clock().now();
        let lifetime = ACCESS_LIFETIME.to_std().unwrap_or_default();
        let access_token = request.services.tokens.mint(&claims, now, lifetime).map_err(|error| {
            tracing::error!(%error, "No token can be signed");
            Failure::Busy
        })?;
        Ok(Self {
            admin: AdminNode(grant.admin),
            access_token,
            access_token_expires_at: now + ACCESS_LIFETIME,
            refresh_token: grant.refresh.reveal(),
        })
    }
}

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

/// An invitation's token, and what the user chooses.
#[derive(InputObject)]
pub struct InvitationAcceptInput {
    /// The invitation's token.
    token: String,
    /// The password from now on: 12 to 128 characters.
    password: String,
}

payload!(
    /// The answer to `login`.
    LoginPayload {
        /// The log-in.
        session: AdminSession(AdminSession)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `tokenRefresh`.
    TokenRefreshPayload {
        /// The log-in, with new tokens.
        session: AdminSession(AdminSession)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `invitationAccept`.
    InvitationAcceptPayload {
        /// A log-in.
        session: AdminSession(AdminSession)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `logout`.
    LogoutPayload,
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `passwordChange`.
    PasswordChangePayload,
    ControlUserError(ControlErrorCode)
);

/// Mutations of administrators' log-ins.
#[derive(Default)]
pub struct AdminSessionMutation;

#[Object]
impl AdminSessionMutation {
    /// Logs in by e-mail address and password.
    #[graphql(directive = access::apply(public()))]
    async fn login(&self, ctx: &Context<'_>, input: LoginInput) -> ApiResult<LoginPayload> {
        LoginPayload::new(login(AdminRequest::public(ctx)?, input).await, &Actor::System)
    }

    /// Takes a refresh token for new tokens. A token that is shown twice ends its log-in: one of the two was a thief.
    #[graphql(directive = access::apply(public()))]
    async fn token_refresh(&self, ctx: &Context<'_>, input: TokenRefreshInput) -> ApiResult<TokenRefreshPayload> {
        TokenRefreshPayload::new(refresh(AdminRequest::public(ctx)?, &input.refresh_token).await, &Actor::System)
    }

    /// Ends the log-in that the caller is in, within a second everywhere.
    #[graphql(directive = access::apply(signed_in()))]
    async fn logout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "End all of the caller's log-ins, on all devices.", default)] everywhere: bool,
    ) -> ApiResult<LogoutPayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let work = async |tx: &mut ControlTx| service::logout(tx, request.clock(), operator, everywhere).await;
        LogoutPayload::new(request.control.write(work).await, &Actor::System)
    }

    /// Changes the caller's password, and ends the caller's other log-ins.
    #[graphql(directive = access::apply(signed_in()))]
    async fn password_change(&self, ctx: &Context<'_>, input: PasswordChangeInput) -> ApiResult<PasswordChangePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        PasswordChangePayload::new(password_change(request, operator, input).await, &Actor::System)
    }

    /// Accepts an invitation by choosing a password, ends all log-ins before, and logs in.
    #[graphql(directive = access::apply(public()))]
    async fn invitation_accept(
        &self,
        ctx: &Context<'_>,
        input: InvitationAcceptInput,
    ) -> ApiResult<InvitationAcceptPayload> {
        InvitationAcceptPayload::new(accept(AdminRequest::public(ctx)?, input).await, &Actor::System)
    }
}

fn newcomer(request: &AdminRequest) -> Newcomer<'_> {
    Newcomer { request_id: &request.origin.request_id, address: request.origin.address }
}

/// Refuses an address that has called too often, before it costs anything.
fn check_stranger(request: &AdminRequest) -> Result<(), ControlError> {
    if request.services.strangers.admit(request.origin.address) {
        return Ok(());
    }
    let message = "Too many attempts; try again in a minute.";
    Err(ControlError::refused(ControlErrorCode::TooManyAttempts, message, &["input"]))
}

async fn login(request: &AdminRequest, input: LoginInput) -> Result<AdminSession, ControlError> {
    check_stranger(request)?;
    let (clock, newcomer) = (request.clock(), newcomer(request));
    // What is no address is nobody's address.
    let email_key = input.email.trim().to_lowercase().replace('\0', "");
    let keys = AttemptKeys::password("login", &email_key, newcomer.address);
    let begin = async |tx: &mut ControlTx| service::login_begin(tx, clock, &email_key, &keys).await;
    let candidate = request.control.write(begin).await?;
    let shown = Password::shown(&input.password);
    let is_right = request.services.admin_passwords.verify(&shown, candidate.password_hash.as_deref()).await?;
    let verified = candidate.verified(is_right).ok_or_else(login_refused)?;
    let finish = async |tx: &mut ControlTx| service::login_finish(tx, clock, &newcomer, &verified, &keys).await;
    AdminSession::new(request, request.control.write(finish).await?)
}

async fn refresh(request: &AdminRequest, text: &str) -> Result<AdminSession, ControlError> {
    check_stranger(request)?;
    let credential: Credential = text.parse().map_err(|_| token_invalid())?;
    let work = async |tx: &mut ControlTx| service::token_refresh(tx, request.clock(), &credential).await;
    let grant = request.control.write(work).await?;
    AdminSession::new(request, grant.ok_or_else(token_invalid)?)
}

async fn password_change(
    request: &AdminRequest,
    operator: &Operator,
    input: PasswordChangeInput,
) -> Result<(), ControlError> {
    let (clock, passwords) = (request.clock(), &request.services.admin_passwords);
    let address = request.origin.address;
    let begin = async |tx: &mut ControlTx| service::password_change_begin(tx, clock, operator, address).await;
    let (candidate, keys) = request.control.write(begin).await?;
    let current = Password::shown(&input.current_password);
    let is_right = passwords.verify(&current, candidate.password_hash.as_deref()).await?;
    let verified = candidate.verified(is_right).ok_or_else(credentials_invalid)?;
    let chosen = chosen_password(&input.new_password, &verified.admin, &["input", "newPassword"])?;
    let hash = passwords.hash(&chosen, clock.secret()).await?;
    let proof = (&verified, &keys);
    let finish = async |tx: &mut ControlTx| service::password_change_finish(tx, clock, operator, proof, &hash).await;
    request.control.write(finish).await
}

async fn accept(request: &AdminRequest, input: InvitationAcceptInput) -> Result<AdminSession, ControlError> {
    check_stranger(request)?;
    let (clock, newcomer) = (request.clock(), newcomer(request));
    let credential: Credential = input.token.parse().map_err(|_| token_invalid())?;
    let begin = async |tx: &mut ControlTx| service::invitation_begin(tx, clock, &credential).await;
    let admin = request.control.write(begin).await?;
    let chosen = chosen_password(&input.password, &admin, &["input", "password"])?;
    let hash = request.services.admin_passwords.hash(&chosen, clock.secret()).await?;
    let finish = async |tx: &mut ControlTx| service::invitation_finish(tx, clock, &newcomer, &credential, &hash).await;
    AdminSession::new(request, request.control.write(finish).await?)
}
