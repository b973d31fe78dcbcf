//! What every resolver finds in its context.

use std::sync::{Arc, OnceLock};

use async_graphql::Context;

use super::error::{ApiError, ApiResult};
use super::loaders::Loaders;
use crate::db::{ControlDb, OwnerDb, TenantRead, TenantSession, TenantTx};
use crate::failure::Failure;
use crate::kernel::actor::{Actor, Permission};
use crate::kernel::clock::Clock;
use crate::kernel::tenant::TenantCtx;

/// One operation of the tenant plane.
pub struct Request {
    /// The shop, where the request names one that exists.
    shop: Option<Shop>,
    clock: Arc<dyn Clock>,
}

/// One operation within one shop: who acts, on which connection, with which loads in common.
pub struct Shop {
    tenant: Arc<TenantCtx>,
    actor: Actor,
    session: Arc<TenantSession>,
    /// Made when the first relation is resolved.
    loaders: OnceLock<Loaders>,
}

/// One operation of the control plane, by an administrator who has shown a token.
pub struct AdminRequest {
    /// The registry and the like.
    pub control: ControlDb,
    /// Who makes schemas; absent where the server was given no owner's login.
    pub owner: Option<OwnerDb>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Whom the token names; nobody without one.
    pub subject: Option<String>,
}

impl Request {
    /// The context of an operation.
    #[must_use]
    pub fn new(shop: Option<Shop>, clock: Arc<dyn Clock>) -> Self {
        Self { shop, clock }
    }

    /// The context that a resolver runs in.
    ///
    /// # Errors
    /// There is none, which is a defect.
    pub fn of<'a>(ctx: &Context<'a>) -> ApiResult<&'a Self> {
        ctx.data::<Self>().map_err(|_| ApiError::internal())
    }

    /// Time and ids.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The shop.
    ///
    /// # Errors
    /// The request names none that exists, which a stranger is told as a missing credential.
    pub fn shop(&self) -> ApiResult<&Shop> {
        self.shop.as_ref().ok_or_else(ApiError::unauthenticated)
    }
}

impl Shop {
    /// The operation's part of one shop.
    #[must_use]
    pub fn new(tenant: Arc<TenantCtx>, actor: Actor, session: Arc<TenantSession>) -> Self {
        Self { tenant, actor, session, loaders: OnceLock::new() }
    }

    /// The shop that the resolver runs in.
    ///
    /// # Errors
    /// The request names none that exists.
    pub fn of<'a>(ctx: &Context<'a>) -> ApiResult<&'a Self> {
        Request::of(ctx)?.shop()
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantCtx {
        &self.tenant
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The operation's reading transaction.
    ///
    /// # Errors
    /// Nobody has shown a credential, so that no stranger costs a connection; or none could be borrowed.
    pub async fn read(&self) -> ApiResult<TenantRead> {
        if self.actor == Actor::Anonymous {
            return Err(ApiError::unauthenticated());
        }
        Ok(self.session.read().await?)
    }

    /// Runs one mutation: the one door through which the tenant plane writes. `action` names it, as `book.create`.
    ///
    /// # Errors
    /// What `work` answers, or the failure of the transaction; nothing is kept then.
    pub async fn write<T, C>(
        &self,
        action: &'static str,
        permission: Permission,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, Failure<C>>,
    ) -> Result<T, Failure<C>> {
        // Asked here as well as in the service: who may not do it costs no connection.
        self.actor.require(permission)?;
        let result = self.session.write(work).await;
        // What was loaded before the write must not be answered after it.
        if let Some(loaders) = self.loaders.get() {
            loaders.clear().await;
        }
        tracing::debug!(action, is_ok = result.is_ok(), "Ran a mutation");
        result
    }

    /// The operation's session, to be finished when all answers are in.
    #[must_use]
    pub fn session(&self) -> Arc<TenantSession> {
        Arc::clone(&self.session)
    }

    /// The loads that resolvers of this operation have in common.
    #[must_use]
    pub fn loaders(&self) -> &Loaders {
        self.loaders.get_or_init(|| Loaders::new(&self.session))
    }
}

impl AdminRequest {
    /// The context that a resolver of the control plane runs in.
    ///
    /// # Errors
    /// No administrator's token was shown.
    pub fn of<'a>(ctx: &Context<'a>) -> ApiResult<&'a Self> {
        let request = ctx.data::<Self>().map_err(|_| ApiError::internal())?;
        if request.subject.is_some() { Ok(request) } else { Err(ApiError::unauthenticated()) }
    }
}
