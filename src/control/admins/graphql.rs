//! Administrators' accounts at the edge.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::model::{Admin, AdminStatus};
use super::service;
use crate::control::audit::Operator;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::graphql::ControlUserError;
use crate::db::ControlTx;
use crate::graphql::access::{access, public, signed_in};
use crate::graphql::payload::{into_payload, payload};
use crate::graphql::scalars::parse_id;
use crate::graphql::{AdminRequest, ApiResult};
use crate::kernel::actor::Actor;
use crate::kernel::credential::Credential;

/// The state of an administrator's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "AdminStatus")]
pub enum AdminStatusValue {
    /// The account can log in.
    Active,
    /// The account cannot log in until it is enabled again.
    Disabled,
    /// The account has never accepted an invitation.
    Invited,
}

impl From<AdminStatus> for AdminStatusValue {
    fn from(status: AdminStatus) -> Self {
        match status {
            AdminStatus::Invited => Self::Invited,
            AdminStatus::Active => Self::Active,
            AdminStatus::Disabled => Self::Disabled,
        }
    }
}

/// An administrator of the platform. All may the same.
#[derive(Clone)]
pub struct AdminNode(pub Admin);

impl From<Admin> for AdminNode {
    fn from(admin: Admin) -> Self {
        Self(admin)
    }
}

/// An administrator of the platform. All may the same.
#[Object(name = "Admin")]
impl AdminNode {
    /// The administrator's id, by which the audit trail calls the one who acts.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The e-mail address that the administrator logs in by.
    async fn email(&self) -> &str {
        &self.0.email
    }

    /// The state of the account.
    async fn status(&self) -> AdminStatusValue {
        self.0.status().into()
    }

    /// The time when the administrator was first invited.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time when the account was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}

/// The caller.
pub struct AdminViewer(Operator);

/// The caller.
#[Object]
impl AdminViewer {
    /// The caller's account; null for a token of the command line.
    async fn admin(&self, ctx: &Context<'_>) -> ApiResult<Option<AdminNode>> {
        let Some((id, _)) = self.0.account else { return Ok(None) };
        Ok(service::admin_by_id(&AdminRequest::public(ctx)?.control, id).await?.map(AdminNode))
    }

    /// The name by which the audit trail calls the caller.
    async fn name(&self) -> &str {
        &self.0.name
    }
}

/// Queries about administrators.
#[derive(Default)]
pub struct AdminAccountQuery;

#[Object]
impl AdminAccountQuery {
    /// The caller; null for a stranger.
    #[graphql(directive = access::apply(public()))]
    async fn viewer(&self, ctx: &Context<'_>) -> ApiResult<Option<AdminViewer>> {
        Ok(AdminRequest::public(ctx)?.operator.clone().map(AdminViewer))
    }

    /// Lists all administrators in the order of their addresses, disabled ones too; there are at most 100.
    #[graphql(directive = access::apply(signed_in()))]
    async fn admins(&self, ctx: &Context<'_>) -> ApiResult<Vec<AdminNode>> {
        let (request, _) = AdminRequest::of(ctx)?;
        Ok(service::admin_list(&request.control).await?.into_iter().map(AdminNode).collect())
    }
}

/// A person who is to administer the platform, or has lost the password.
#[derive(InputObject)]
pub struct AdminInviteInput {
    /// The e-mail address that the administrator logs in by.
    email: String,
}

/// The answer to `adminInvite`.
#[derive(SimpleObject)]
pub struct AdminInvitePayload {
    /// The invited administrator.
    admin: Option<AdminNode>,
    /// The token that `invitationAccept` takes, once and within a day. It is never shown again: hand it over in
    /// confidence.
    invitation_token: Option<String>,
    /// The reasons why nothing was done; empty on success.
    user_errors: Vec<ControlUserError>,
}

impl AdminInvitePayload {
    fn new(result: Result<(Admin, Credential), ControlError>) -> ApiResult<Self> {
        let (invited, refusals) = into_payload(result, &Actor::System)?;
        let user_errors = refusals.into_iter().map(ControlUserError::from).collect();
        let (admin, credential) = invited.unzip();
        Ok(Self {
            admin: admin.map(AdminNode),
            invitation_token: credential.map(|credential| credential.reveal()),
            user_errors,
        })
    }
}

payload!(
    /// The answer to `adminDisable`.
    AdminDisablePayload {
        /// The administrator as it is now.
        admin: AdminNode(Admin)
    },
    ControlUserError(ControlErrorCode)
);
payload!(
    /// The answer to `adminEnable`.
    AdminEnablePayload {
        /// The administrator as it is now.
        admin: AdminNode(Admin)
    },
    ControlUserError(ControlErrorCode)
);

/// Mutations of administrators' accounts.
#[derive(Default)]
pub struct AdminAccountMutation;

#[Object]
impl AdminAccountMutation {
    /// Invites an administrator. One who has lost the password is invited again: accepting sets another and ends all
    /// log-ins. Invitations before this one work no more.
    #[graphql(directive = access::apply(signed_in()))]
    async fn admin_invite(&self, ctx: &Context<'_>, input: AdminInviteInput) -> ApiResult<AdminInvitePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let work = async |tx: &mut ControlTx| service::admin_invite(tx, request.clock(), operator, &input.email).await;
        AdminInvitePayload::new(request.control.write(work).await)
    }

    /// Disables an administrator, within a second everywhere: log-ins end, and invitations work no more.
    #[graphql(directive = access::apply(signed_in()))]
    async fn admin_disable(&self, ctx: &Context<'_>, id: ID) -> ApiResult<AdminDisablePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut ControlTx| service::admin_disable(tx, request.clock(), operator, id).await;
        AdminDisablePayload::new(request.control.write(work).await, &Actor::System)
    }

    /// Enables a disabled administrator again, with the password so far.
    #[graphql(directive = access::apply(signed_in()))]
    async fn admin_enable(&self, ctx: &Context<'_>, id: ID) -> ApiResult<AdminEnablePayload> {
        let (request, operator) = AdminRequest::of(ctx)?;
        let id = parse_id(&id)?;
        let work = async |tx: &mut ControlTx| service::admin_enable(tx, request.clock(), operator, id).await;
        AdminEnablePayload::new(request.control.write(work).await, &Actor::System)
    }
}
