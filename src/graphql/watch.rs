//! Subscriptions: a field of the root tells how things are, and is asked again whenever they may have changed.
//!
//! Each time is an operation of its own, with a context, a connection and loaders of its own, for whoever the credential stands
//! for by then. So nothing that a shop has is handed from one reader to another, no connection is kept while nothing happens,
//! and who may not see any more does not. The library's own streams keep one context for as long as they last, so they are not
//! used: [`Streams`] tells the schema what there is, and a schema whose queries are the subscriptions answers.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_graphql::registry::Registry;
use async_graphql::{Context, ObjectType, OutputType, Response, SubscriptionType};
use futures_util::stream::Stream;

use super::error::{ApiError, ApiResult, ErrorCode};
use crate::kernel::news::{Fact, Told};
use crate::kernel::tenant::TenantCtx;
use crate::live::{Ear, Hub, Interest};

/// A subscription from its beginning to its end: what resolvers tell of it, and are told.
pub struct Watch {
    hub: Hub,
    state: Mutex<State>,
}

struct State {
    source: Source,
    again: Option<Duration>,
    happened: Happened,
    verdict: Verdict,
    /// A hash of how things were when the client was last told.
    last: Option<u64>,
    /// A hash of how they are in this look.
    now: Option<u64>,
}

#[derive(Clone)]
enum Source {
    /// Nothing is watched.
    Nothing,
    /// What is told of a shop.
    News(Arc<Ear>),
    /// Time.
    Pace(Duration),
}

/// Why a field is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The client has just begun to look on.
    Begun,
    /// This is new, or another than it was.
    Fact(Fact),
    /// Anything may be.
    Anything,
}

/// What becomes of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the client is told.
    pub is_told: bool,
    /// Whether nothing comes after it.
    pub is_last: bool,
}

const TOLD: Verdict = Verdict { is_told: true, is_last: false };

impl Watch {
    /// Nothing is watched yet, and the client has just begun.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        let (source, happened) = (Source::Nothing, Happened::Begun);
        let state = State { source, again: None, happened, verdict: TOLD, last: None, now: None };
        Self { hub, state: Mutex::new(state) }
    }

    /// The subscription that a resolver runs in.
    ///
    /// # Errors
    /// There is none, which is a defect.
    pub fn of<'a>(ctx: &Context<'a>) -> ApiResult<&'a Self> {
        ctx.data::<Arc<Self>>().map(|watch| &**watch).map_err(|_| ApiError::internal())
    }

    /// Has the field asked again at what is told of a shop. To be called before anything is read, so that nothing happens in
    /// between; a second call changes nothing.
    ///
    /// # Errors
    /// `RATE_LIMITED`: the shop looks on at as much as it may.
    pub fn on(&self, tenant: &TenantCtx, interest: impl FnOnce() -> Interest) -> ApiResult<()> {
        let mut state = self.state();
        if matches!(state.source, Source::Nothing) {
            if !self.hub.has_room(tenant.id) {
                return Err(ApiError::new(
                    ErrorCode::RateLimited,
                    "This shop has as many subscriptions as it may have.",
                ));
            }
            state.source = Source::News(Arc::new(self.hub.listen(tenant.id, &tenant.slug, interest())));
        }
        Ok(())
    }

    /// Has the field asked again after a while even if nothing is told of it until then. Each look says so anew.
    pub fn again_in(&self, pause: Duration) {
        self.state().again = Some(pause);
    }

    /// Has the field asked again every so often, where nothing is told.
    pub fn every(&self, pace: Duration) {
        self.state().source = Source::Pace(pace);
    }

    /// Why the field is asked.
    #[must_use]
    pub fn happened(&self) -> Happened {
        self.state().happened
    }

    /// Whether things are another way than the client was last told; if not, it is not told.
    pub fn is_new(&self, now: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        now.hash(&mut hasher);
        let now = Some(hasher.finish());
        let mut state = self.state();
        let is_new = state.last != now;
        state.now = now;
        state.verdict.is_told &= is_new;
        is_new
    }

    /// Has the client not told.
    pub fn pass(&self) {
        self.state().verdict.is_told = false;
    }

    /// Has the subscription end with this answer.
    pub fn end(&self) {
        self.state().verdict.is_last = true;
    }

    /// Begins another look. One that was begun before and not judged has not been.
    pub fn begin(&self, happened: Happened) {
        let mut state = self.state();
        (state.happened, state.verdict, state.now, state.again) = (happened, TOLD, None, None);
    }

    /// What becomes of the answer to the last look. Where nothing is watched nothing can follow.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut state = self.state();
        if let Some(now) = state.now.take() {
            state.last = Some(now);
        }
        Verdict { is_last: state.verdict.is_last || matches!(state.source, Source::Nothing), ..state.verdict }
    }

    /// Waits until there is something to look at, and answers all there is.
    pub async fn next(&self) -> Vec<Happened> {
        let (source, again) = {
            let state = self.state();
            (state.source.clone(), state.again.unwrap_or(Duration::MAX))
        };
        match source {
            Source::Nothing => std::future::pending().await,
            Source::News(ear) => match tokio::time::timeout(again, ear.hear()).await {
                Ok(Told::Anything) | Err(_) => vec![Happened::Anything],
                Ok(Told::Facts(facts)) => facts.into_iter().map(Happened::Fact).collect(),
            },
            Source::Pace(pace) => {
                tokio::time::sleep(pace).await;
                vec![Happened::Anything]
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The subscriptions of a schema, for its text and for introspection: the fields of an object that answers them.
pub struct Streams<T>(PhantomData<fn() -> T>);

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: ObjectType> SubscriptionType for Streams<T> {
    fn type_name() -> Cow<'static, str> {
        <T as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <T as OutputType>::create_type_info(registry)
    }

    fn create_field_stream<'a>(
        &'a self,
        _: &'a Context<'_>,
    ) -> Option<Pin<Box<dyn Stream<Item = Response> + Send + 'a>>> {
        None
    }
}
