//! What queries read through the cache.

use async_graphql::Context;
use async_graphql::parser::types::OperationType;

use super::context::{Request, Shop};
use super::error::{ApiError, ApiResult};
use crate::cache::Reads;
use crate::kernel::actor::Access;

/// The request wants answers from the database alone.
#[derive(Debug, Clone, Copy)]
pub struct Uncached;

impl Shop {
    /// What an operation reads with: through the cache in a query whose sender has not refused it, in the operation's transaction
    /// everywhere else. What a mutation answers is read after its COMMIT, and what a subscription answers after it was told.
    ///
    /// # Errors
    /// Nobody has shown a credential, so that no stranger costs a connection.
    pub fn reads<'a>(&self, ctx: &Context<'a>) -> ApiResult<Reads<'a>> {
        self.actor().require(Access::SignedIn).map_err(|_| ApiError::unauthenticated())?;
        let is_query = ctx.query_env.operation.node.ty == OperationType::Query;
        let may_ask = is_query && ctx.data_opt::<Uncached>().is_none();
        let cache = Request::of(ctx)?.services().cache.as_ref();
        Ok(Reads::new(self.session(), cache.filter(|_| may_ask)))
    }
}
