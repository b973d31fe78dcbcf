//! What every resolver finds in its context.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_graphql::Context;
use chrono::TimeDelta;
use tracing::{Instrument as _, Span};

use super::call::RequestKey;
use super::deprecation::Deprecations;
use super::error::{ApiError, ApiResult, ErrorCode};
use super::loaders::Loaders;
use crate::auth::{Passwords, Strangers, Tokens};
use crate::cache::Cache;
use crate::control::audit::Operator;
use crate::control::health::Health;
use crate::control::tenants::{Lookup, Registry};
use crate::db::{Bell, ControlDb, DbError, News, OwnerDb, TenantDb, TenantRead, TenantSession, TenantTx};
use crate::detail;
use crate::failure::Failure;
use crate::kernel::actor::{Access, Actor};
use crate::kernel::clock::Clock;
use crate::kernel::credential::{Credential, Realm};
use crate::kernel::tenant::TenantCtx;
use crate::limits::Limiter;
use crate::outbound::Policy;
use crate::payments::PaymentProvider;
use crate::redis::Redis;
use crate::tenant::deprecations::counter::Counter;
use crate::tenant::journal::{self, Act};
use crate::tenant::settings::ShopSettings;
use crate::vault::Vault;

/// What operations may need beside their shop: made once, shared by all.
pub struct Services {
    /// Time, ids and secrets.
    pub clock: Arc<dyn Clock>,
    /// Signs and verifies tokens.
    pub tokens: Tokens,
    /// Hashes the passwords of shops' people.
    pub passwords: Passwords,
    /// Hashes administrators' passwords: a flood at a shop's door does not shut theirs.
    pub admin_passwords: Passwords,
    /// Counts strangers.
    pub strangers: Arc<Strangers>,
    /// From slugs to tenants.
    pub registry: Registry,
    /// The tenants' database.
    pub tenants: TenantDb,
    /// Seals and opens personal data.
    pub vault: Vault,
    /// What shops' settings come to.
    pub settings: ShopSettings,
    /// How long a tenant who leaves is kept before it is deleted.
    pub offboarding_grace: TimeDelta,
    /// Who takes payments, if anybody does.
    pub payments: Option<Arc<dyn PaymentProvider>>,
    /// Answers that are kept, if any are.
    pub cache: Option<Cache>,
    /// What replicas share, if there is a Redis.
    pub redis: Option<Redis>,
    /// Keeps shops within their rates.
    pub limiter: Limiter,
    /// What goes away of the tenants' API.
    pub deprecations: Deprecations,
    /// Whether this process can do its work.
    pub health: Health,
    /// Counts who uses what of it.
    pub usage: Counter,
    /// Wakes workers.
    pub bell: Bell,
    /// Tells what has changed.
    pub news: News,
    /// Which addresses of tenants' choosing may be called.
    pub outbound: Policy,
    /// How many spare schemas are kept.
    pub spares: u16,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client's address, as far as trusted proxies tell it.
    pub address: IpAddr,
    /// The request's id.
    pub request_id: Arc<str>,
}

/// One operation of the tenant plane.
pub struct Request {
    services: Arc<Services>,
    origin: Origin,
    /// The shop that the host or a header names, be there one or not.
    named: Option<String>,
    /// The shop, where the request or a credential in its arguments names one that exists.
    shop: OnceLock<Shop>,
    /// The key that the whole request may be repeated by.
    key: Option<RequestKey>,
    /// The places of mutations that answered as they did to an earlier request.
    replayed: Mutex<Vec<String>>,
}

/// One operation within one shop: who acts, on which connection, with which loads in common.
pub struct Shop {
    tenant: Arc<TenantCtx>,
    actor: Actor,
    session: Arc<TenantSession>,
    strangers: Arc<Strangers>,
    /// Made when the first relation is resolved.
    loaders: OnceLock<Loaders>,
}

/// One operation of the control plane.
pub struct AdminRequest {
    /// The registry and the like.
    pub control: ControlDb,
    /// Who makes schemas; absent where the server was given no owner's login.
    pub owner: Option<OwnerDb>,
    /// What all operations share.
    pub services: Arc<Services>,
    /// Where the request comes from.
    pub origin: Origin,
    /// Who acts; nobody without a token.
    pub operator: Option<Operator>,
}

impl Request {
    /// The context of an operation.
    #[must_use]
    pub fn new(
        services: Arc<Services>,
        origin: Origin,
        named: Option<String>,
        shop: Option<Shop>,
        key: Option<RequestKey>,
    ) -> Self {
        let shop = shop.map(OnceLock::from).unwrap_or_default();
        Self { services, origin, named, shop, key, replayed: Mutex::default() }
    }

    /// The key that the request may be repeated by.
    #[must_use]
    pub fn key(&self) -> Option<&RequestKey> {
        self.key.as_ref()
    }

    /// Notes that the mutation at a place answered as it did to an earlier request.
    pub fn note_replayed(&self, place: String) {
        self.replayed.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }

    /// The places of mutations that answered as they did to an earlier request.
    #[must_use]
    pub fn replayed(&self) -> Vec<String> {
        self.replayed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The context that a resolver runs in.
    ///
    /// # Errors
    /// There is none, which is a defect.
    pub fn of<'a>(ctx: &Context<'a>) -> ApiResult<&'a Self> {
        ctx.data::<Arc<Self>>().map(|request| &**request).map_err(|_| ApiError::internal())
    }

    /// Time, ids and secrets.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.services.clock
    }

    /// What all operations share.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Where the request comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The shop.
    ///
    /// # Errors
    /// The request names none that exists, which a stranger is told as a missing credential.
    pub fn shop(&self) -> ApiResult<&Shop> {
        self.known_shop().ok_or_else(ApiError::unauthenticated)
    }

    /// Counts a call of somebody who has shown nothing, and tells whether it may go on.
    #[must_use]
    pub fn admits_stranger(&self) -> bool {
        self.services.strangers.admit(self.origin.address)
    }

    /// Whether the request names a shop, be there one or not.
    #[must_use]
    pub fn names_a_shop(&self) -> bool {
        self.named.is_some()
    }

    /// The shop, if one is known.
    #[must_use]
    pub fn known_shop(&self) -> Option<&Shop> {
        self.shop.get()
    }

    /// The shop that a credential in the arguments belongs to: the request's own, or the credential's where the request
    /// names none. Nothing where they differ, and where there is no such shop in use.
    ///
    /// # Errors
    /// The registry is unreachable.
    pub async fn shop_of(&self, credential: &Credential) -> Result<Option<&Shop>, DbError> {
        let Realm::Tenant(slug) = &credential.realm else { return Ok(None) };
        if self.named.as_ref().is_some_and(|named| named != slug.as_str()) {
            return Ok(None);
        }
        if self.known_shop().is_none()
            && let Lookup::Active(tenant) = self.services.registry.resolve(slug).await?
        {
            let session = Arc::new(self.services.tenants.session(Arc::clone(&tenant)));
            // Another field of the document may have been faster, with the same shop or with another.
            let strangers = Arc::clone(&self.services.strangers);
            let _ = self.shop.set(Shop::new(tenant, Actor::Anonymous, session, strangers));
        }
        Ok(self.known_shop().filter(|shop| shop.tenant.slug == *slug))
    }
}

impl Shop {
    /// The operation's part of one shop.
    #[must_use]
    pub fn new(tenant: Arc<TenantCtx>, actor: Actor, session: Arc<TenantSession>, strangers: Arc<Strangers>) -> Self {
        Self { tenant, actor, session, strangers, loaders: OnceLock::new() }
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

    /// The tenant, for who outlives the operation.
    #[must_use]
    pub fn shared_tenant(&self) -> Arc<TenantCtx> {
        Arc::clone(&self.tenant)
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
        self.actor.require(Access::SignedIn).map_err(|_| ApiError::unauthenticated())?;
        Ok(self.session.read().await?)
    }

    /// Runs what changes the shop and is not repeated by a key: one step of a log-in, and what a [`Call`] has no key for.
    ///
    /// [`Call`]: super::Call
    ///
    /// # Errors
    /// What `work` answers, or the failure of the transaction; nothing is kept then.
    pub async fn write<T, C>(
        &self,
        request: &Request,
        action: &'static str,
        access: impl Into<Access>,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, Failure<C>>,
    ) -> Result<T, Failure<C>> {
        // Asked here as well as in the service: who may not do it costs no connection.
        self.actor.require(access)?;
        let act = self.act(request, action);
        let span = mutation_span(action);
        let result = match self.actor {
            // Strangers wait for each other, and give the connection back at once: what comes next may take long.
            Actor::Anonymous => {
                let _lane = self.strangers.lane().await.ok_or(Failure::Busy)?;
                let result = journal::service::write(&self.session, act, work).instrument(span).await;
                self.session.finish().await;
                result
            }
            _ => journal::service::write(&self.session, act, work).instrument(span).await,
        };
        self.forget().await;
        tracing::debug!(action, is_ok = result.is_ok(), "Ran a mutation");
        result
    }

    /// What the trail is told of a mutation.
    pub(super) fn act<'a>(&'a self, request: &'a Request, action: &'static str) -> Act<'a> {
        let Origin { address, request_id } = request.origin();
        Act {
            action,
            actor: &self.actor,
            request_id: Some(request_id),
            address: Some(*address),
            tenant: &self.tenant,
            vault: &request.services.vault,
            clock: request.clock(),
        }
    }

    /// Forgets what was loaded before a write: it must not be answered after it.
    pub(super) async fn forget(&self) {
        if let Some(loaders) = self.loaders.get() {
            loaders.clear().await;
        }
    }

    /// Gives the connection back, before something that takes long and does not need it.
    pub async fn release(&self) {
        self.session.finish().await;
    }

    /// The operation's session, to be finished when all answers are in.
    #[must_use]
    pub fn session(&self) -> Arc<TenantSession> {
        Arc::clone(&self.session)
    }

    /// Another session of the shop, with a connection of its own, for what must be seen before the operation ends. Who waits
    /// for it must hold no other.
    #[must_use]
    pub fn another_session(&self, request: &Request) -> TenantSession {
        request.services.tenants.session(Arc::clone(&self.tenant))
    }

    /// The loads that resolvers of this operation have in common.
    #[must_use]
    pub fn loaders(&self) -> &Loaders {
        self.loaders.get_or_init(|| Loaders::new(&self.session))
    }
}

/// The span of a mutation's transaction.
pub(super) fn mutation_span(action: &'static str) -> Span {
    detail!("mutation", otel.name = format!("mutation {action}"), otel.kind = "internal", shelfwise.action = action,)
}

impl AdminRequest {
    /// Who makes and changes schemas.
    ///
    /// # Errors
    /// This server was given no owner's login.
    pub fn owner(&self) -> ApiResult<&OwnerDb> {
        self.owner.as_ref().ok_or_else(|| {
            let message = "This server has no DATABASE_OWNER_URL, so it makes and changes no schemas.";
            ApiError::new(ErrorCode::ServiceUnavailable, message)
        })
    }

    /// The context that a resolver of the control plane runs in, and who acts.
    ///
    /// # Errors
    /// No administrator's token was shown.
    pub fn of<'a>(ctx: &Context<'a>) -> ApiResult<(&'a Self, &'a Operator)> {
        let request = Self::public(ctx)?;
        Ok((request, request.operator.as_ref().ok_or_else(ApiError::unauthenticated)?))
    }

    /// The context that a resolver of the control plane runs in, for what anybody may do.
    ///
    /// # Errors
    /// There is none, which is a defect.
    pub fn public<'a>(ctx: &Context<'a>) -> ApiResult<&'a Self> {
        ctx.data::<Self>().map_err(|_| ApiError::internal())
    }

    /// Time, ids and secrets.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.services.clock
    }
}
