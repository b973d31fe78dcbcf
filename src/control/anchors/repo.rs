//! SQL of anchors: they are added to and read, and nothing else is granted.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use crate::db::schema::control::audit_anchors;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::TenantId;
use crate::tenant::audit::head::Head;

/// The newest anchor of a tenant.
pub async fn anchor_newest(control: &ControlDb, tenant: TenantId) -> Result<Option<Head>, DbError> {
    let query = audit_anchors::table.filter(audit_anchors::tenant_id.eq(tenant.0));
    let query = query.order(audit_anchors::sequence.desc()).limit(1);
    Ok(heads(control.load(query.select((audit_anchors::sequence, audit_anchors::hash))).await?).pop())
}

/// The next anchors of a tenant after a number, up to another one, in the order of numbers.
pub async fn anchor_list(
    control: &ControlDb,
    tenant: TenantId,
    (after, last): (i64, i64),
    limit: i64,
) -> Result<Vec<Head>, DbError> {
    let query = audit_anchors::table
        .filter(audit_anchors::tenant_id.eq(tenant.0))
        .filter(audit_anchors::sequence.gt(after))
        .filter(audit_anchors::sequence.le(last));
    let query = query.order(audit_anchors::sequence).limit(limit);
    Ok(heads(control.load(query.select((audit_anchors::sequence, audit_anchors::hash))).await?))
}

/// Keeps an anchor. Another server may have kept the same one.
pub async fn anchor_insert(
    tx: &mut ControlTx,
    tenant: TenantId,
    head: Head,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(audit_anchors::table).values((
        audit_anchors::tenant_id.eq(tenant.0),
        audit_anchors::sequence.eq(head.sequence),
        audit_anchors::hash.eq(head.hash),
        audit_anchors::at.eq(now),
    ));
    tx.execute(insert.on_conflict_do_nothing()).await.map(drop)
}

fn heads(rows: Vec<(i64, Vec<u8>)>) -> Vec<Head> {
    rows.into_iter().map(|(sequence, hash)| Head { sequence, hash }).collect()
}
