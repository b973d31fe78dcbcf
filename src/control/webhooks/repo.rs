//! SQL of endpoints that are not well.

use chrono::{DateTime, Utc};
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::upsert::excluded;

use super::model::{Trouble, TroubleKey};
use crate::db::schema::control::{tenants, webhook_troubles};
use crate::db::statement::statement;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::{TenantId, WebhookEndpointId};
use crate::kernel::page::{Direction, PageRequest};

/// Notes that an endpoint is not well. Since when is kept until it is well.
pub async fn trouble_upsert(
    tx: &mut ControlTx,
    (tenant, endpoint): (TenantId, WebhookEndpointId),
    state: &'static str,
    backlog: i64,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(webhook_troubles::table)
        .values((
            webhook_troubles::tenant_id.eq(tenant.0),
            webhook_troubles::endpoint_id.eq(endpoint.0),
            webhook_troubles::state.eq(state),
            webhook_troubles::backlog.eq(backlog),
            webhook_troubles::since.eq(now),
            webhook_troubles::updated_at.eq(now),
        ))
        .on_conflict((webhook_troubles::tenant_id, webhook_troubles::endpoint_id))
        .do_update()
        .set((
            webhook_troubles::since.eq(case_when(
                webhook_troubles::state.eq(excluded(webhook_troubles::state)),
                webhook_troubles::since,
            )
            .otherwise(excluded(webhook_troubles::since))),
            webhook_troubles::state.eq(excluded(webhook_troubles::state)),
            webhook_troubles::backlog.eq(excluded(webhook_troubles::backlog)),
            webhook_troubles::updated_at.eq(excluded(webhook_troubles::updated_at)),
        ));
    tx.execute(insert).await.map(drop)
}

/// Notes that an endpoint is well, or gone.
pub async fn trouble_delete(tx: &mut ControlTx, tenant: TenantId, endpoint: WebhookEndpointId) -> Result<(), DbError> {
    let row = webhook_troubles::table.find((tenant.0, endpoint.0));
    tx.execute(diesel::delete(row)).await.map(drop)
}

statement!(
    /// Counts endpoints that are not well, and what waits for them.
    Counts {} -> (Text, BigInt, BigInt) =
    "SELECT state, count(*), sum(backlog)::bigint FROM control.webhook_troubles GROUP BY state"
);

/// How many endpoints are not well, and how much waits for them, by state.
pub async fn trouble_counts(control: &ControlDb) -> Result<Vec<(String, i64, i64)>, DbError> {
    control.load(Counts {}).await
}

/// One page's rows, the newest first, read in the page's direction.
pub async fn trouble_list(control: &ControlDb, page: &PageRequest<TroubleKey>) -> Result<Vec<Trouble>, DbError> {
    let (since, endpoint) = (webhook_troubles::since, webhook_troubles::endpoint_id);
    let columns = (
        tenants::slug,
        endpoint,
        webhook_troubles::state,
        webhook_troubles::backlog,
        since,
        webhook_troubles::updated_at,
    );
    let query = webhook_troubles::table.inner_join(tenants::table).select(columns).limit(page.rows()).into_boxed();
    let query = match (&page.direction, page.from) {
        (Direction::Forward, None) => query.order((since.desc(), endpoint.desc())),
        (Direction::Forward, Some((at, id))) => {
            query.filter(since.lt(at).or(since.eq(at).and(endpoint.lt(id)))).order((since.desc(), endpoint.desc()))
        }
        (Direction::Backward, None) => query.order((since.asc(), endpoint.asc())),
        (Direction::Backward, Some((at, id))) => {
            query.filter(since.gt(at).or(since.eq(at).and(endpoint.gt(id)))).order((since.asc(), endpoint.asc()))
        }
    };
    control.load(query).await
}
