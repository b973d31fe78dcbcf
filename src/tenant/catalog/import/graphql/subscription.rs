//! Looking on at an import.

use async_graphql::{Context, ID, Object};
use chrono::TimeDelta;

use super::ImportNode;
use crate::graphql::access::{access, needs};
use crate::graphql::payload::into_error;
use crate::graphql::scalars::parse_id;
use crate::graphql::watch::{Happened, Watch};
use crate::graphql::{ApiResult, Request, Shop};
use crate::kernel::actor::Permission;
use crate::kernel::ids::ImportId;
use crate::kernel::news::{Fact, Topic};
use crate::live::Interest;
use crate::tenant::catalog::import::model::Import;
use crate::tenant::catalog::import::service::{import_by_id, import_latest};

/// An import that ended longer ago is not what was told of.
const LATELY: TimeDelta = TimeDelta::minutes(1);

/// Subscriptions about imports.
#[derive(Default)]
pub struct ImportSubscription;

#[Object]
impl ImportSubscription {
    /// Tells of imports as they go on. For one import, it begins with the import as it is and ends when the import has;
    /// with null if the shop has no such import.
    #[graphql(directive = access::apply(needs(Permission::CatalogImport)))]
    async fn import_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The import; without it, any import from now on.")] import_id: Option<ID>,
    ) -> ApiResult<Option<ImportNode>> {
        let (watch, shop) = (Watch::of(ctx)?, Shop::of(ctx)?);
        let wanted: Option<ImportId> = import_id.as_ref().map(parse_id).transpose()?;
        shop.actor().require(Permission::CatalogImport)?;
        watch.on(shop.tenant(), || match wanted {
            Some(id) => Interest::in_one(Fact::new(Topic::Import, id)),
            None => Interest::in_all(Topic::Import),
        })?;
        if wanted.is_none() && watch.happened() == Happened::Begun {
            watch.pass();
            return Ok(None);
        }
        let read = shop.read().await?;
        let import = match (wanted, watch.happened()) {
            (Some(id), _) => import_by_id(&read, shop.actor(), id).await,
            (None, Happened::Fact(fact)) => import_by_id(&read, shop.actor(), ImportId(fact.id)).await,
            // A large one is told with too many books to be named.
            (None, Happened::Begun | Happened::Anything) => import_latest(&read, shop.actor()).await,
        };
        let import = import.map_err(|failure| into_error(failure, shop.actor()))?;
        let now = Request::of(ctx)?.clock().now();
        let is_old = |import: &Import| import.finished_at.is_some_and(|ended| ended < now - LATELY);
        if wanted.is_none() && import.as_ref().is_none_or(is_old) {
            watch.pass();
            return Ok(None);
        }
        match import.as_ref().and_then(|import| import.lost_in(now)) {
            // Nobody tells that it died with its server.
            Some(lost_in) => watch.again_in(lost_in),
            None if wanted.is_some() => watch.end(),
            None => {}
        }
        let is_running = import.as_ref().is_some_and(|import| import.lost_in(now).is_some());
        let state = import.as_ref().map(|import| (import.id, is_running, import.row_count));
        let is_new = watch.is_new(&state);
        Ok(import.filter(|_| is_new).map(ImportNode))
    }
}
