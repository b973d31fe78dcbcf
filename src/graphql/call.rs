//! One call of a mutation: who calls, in which shop, and by which key it may be repeated.

use async_graphql::{Context, Scalar, ScalarType, Value as GraphqlValue};
use chrono::TimeDelta;
use serde_json::Value;
use tracing::Instrument as _;

use super::context::{Request, Shop, mutation_span};
use super::error::{ApiError, ApiResult};
use crate::db::{DbError, TenantTx};
use crate::failure::Failure;
use crate::kernel::actor::{Access, Actor};
use crate::kernel::settings::{IDEMPOTENCY_RETENTION_HOURS, Settings};
use crate::tenant::idempotency::service::Answer;
use crate::tenant::idempotency::{Code, Key, Keyring, Recall, service};

/// The most characters of a key.
const KEY_LEN_MAX: usize = 255;

/// A key by which a call may be repeated.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub String);

/// A key of the caller's choosing, 1 to 255 characters of ASCII, for one intended change: the call may be repeated with
/// the same key and the same arguments, and changes things once.
#[Scalar]
impl ScalarType for IdempotencyKey {
    fn parse(value: GraphqlValue) -> async_graphql::InputValueResult<Self> {
        let GraphqlValue::String(text) = value else {
            return Err(async_graphql::InputValueError::expected_type(value));
        };
        text.parse().map_err(async_graphql::InputValueError::custom)
    }

    fn to_value(&self) -> GraphqlValue {
        GraphqlValue::String(self.0.clone())
    }
}

impl std::str::FromStr for IdempotencyKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_key = (1..=KEY_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if is_key { Ok(Self(text.to_owned())) } else { Err("an idempotency key has 1 to 255 characters of ASCII") }
    }
}

/// The key that a request names in its header, for all of its mutations.
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// The key.
    pub key: IdempotencyKey,
    /// A hash of the request.
    pub fingerprint: [u8; 32],
}

/// A call of a mutation that changes a shop.
pub struct Call<'a> {
    /// The request.
    pub request: &'a Request,
    /// The shop.
    pub shop: &'a Shop,
    key: Option<Key>,
    /// The mutation's place in the answer.
    place: String,
}

impl<'a> Call<'a> {
    /// The call that the resolver of a mutation runs in. Its own key goes before that of the request.
    ///
    /// # Errors
    /// The request names no shop that exists, or it is to be repeatable and the shop's key cannot be used.
    pub fn of(ctx: &Context<'a>, key: Option<&IdempotencyKey>) -> ApiResult<Self> {
        let (request, shop) = (Request::of(ctx)?, Shop::of(ctx)?);
        let place = ctx.path_node.as_ref().map(ToString::to_string).unwrap_or_default();
        let services = request.services();
        let kept = services.settings.platforms(shop.tenant()).get(IDEMPOTENCY_RETENTION_HOURS);
        let (vault, tenant, actor) = (&services.vault, shop.tenant(), shop.actor());
        let keys = Keyring { vault, tenant, actor, kept: TimeDelta::hours(kept) };
        let key = match (key, request.key()) {
            (Some(key), _) => Some(keys.of_field(&key.0, ctx.field().name(), &arguments(ctx)?)?),
            (None, Some(of_request)) => {
                Some(keys.of_request(&of_request.key.0, of_request.fingerprint, place.clone())?)
            }
            (None, None) => None,
        };
        Ok(Self { request, shop, key, place })
    }

    /// What the shop's settings come to, for a mutation that goes by them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn settings(&self, tx: &TenantTx) -> Result<Settings, DbError> {
        self.request.services().settings.of(self.shop.tenant(), tx).await
    }

    /// Who acts.
    #[must_use]
    pub fn actor(&self) -> &'a Actor {
        self.shop.actor()
    }

    /// Runs the mutation: the one door through which the tenant plane writes. `action` names it, as `book.create`;
    /// `access` is what it asks of its caller. With a key that was there before, it is not run, and answers as it did.
    ///
    /// # Errors
    /// What `work` answers, or the failure of the transaction; nothing is kept then.
    pub async fn write<T: Recall, C: Code>(
        &self,
        action: &'static str,
        access: impl Into<Access>,
        work: impl AsyncFnOnce(&mut TenantTx) -> Result<T, Failure<C>>,
    ) -> Result<T, Failure<C>> {
        let Some(key) = &self.key else { return self.shop.write(self.request, action, access, work).await };
        // Asked here as well as in the service: who may not do it costs no connection, and is not told an answer.
        self.actor().require(access)?;
        let act = self.shop.act(self.request, action);
        let session = self.shop.session();
        let writing = service::write(&session, act, key, work).instrument(mutation_span(action));
        let Answer { result, is_replayed } = writing.await;
        self.shop.forget().await;
        if is_replayed {
            self.request.note_replayed(self.place.clone());
        }
        result
    }
}

/// The arguments of a mutation's field as JSON, variables put in.
fn arguments(ctx: &Context<'_>) -> ApiResult<Value> {
    let arguments = ctx.field().arguments().map_err(|error| ApiError::bad_request(error.message))?;
    let arguments = arguments.into_iter().map(|(name, value)| {
        let value = value.into_json().map_err(|_| ApiError::bad_request("An argument cannot be written as JSON."))?;
        Ok((name.to_string(), value))
    });
    arguments.collect::<ApiResult<serde_json::Map<_, _>>>().map(Value::Object)
}
