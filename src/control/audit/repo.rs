//! SQL of the trail: it is added to and read, and nothing else is granted.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::model::{AuditEntry, Operator};
use crate::db::schema::control::admin_audit;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::page::{Direction, PageRequest};

/// Adds an entry.
pub async fn entry_insert(
    tx: &mut ControlTx,
    (id, now): (Uuid, DateTime<Utc>),
    operator: &Operator,
    (action, target): (&'static str, &str),
    details: Value,
) -> Result<(), DbError> {
    let insert = diesel::insert_into(admin_audit::table).values((
        admin_audit::id.eq(id),
        admin_audit::at.eq(now),
        admin_audit::operator.eq(operator.name.clone()),
        admin_audit::action.eq(action),
        admin_audit::target.eq(target.to_owned()),
        admin_audit::details.eq(details),
        admin_audit::request_id.eq(operator.request_id.clone()),
        admin_audit::address.eq(operator.address.clone()),
    ));
    tx.execute(insert).await.map(drop)
}

/// One page's rows, the newest first, read in the page's direction; of one target, or of all.
pub async fn entry_list(
    control: &ControlDb,
    target: Option<&str>,
    page: &PageRequest<Uuid>,
) -> Result<Vec<AuditEntry>, DbError> {
    let query = admin_audit::table.select(AuditEntry::as_select()).limit(page.rows()).into_boxed();
    let query = match target {
        Some(target) => query.filter(admin_audit::target.eq(target.to_owned())),
        None => query,
    };
    let query = match (&page.direction, page.from) {
        (Direction::Forward, None) => query.order(admin_audit::id.desc()),
        (Direction::Forward, Some(from)) => query.filter(admin_audit::id.lt(from)).order(admin_audit::id.desc()),
        (Direction::Backward, None) => query.order(admin_audit::id.asc()),
        (Direction::Backward, Some(from)) => query.filter(admin_audit::id.gt(from)).order(admin_audit::id.asc()),
    };
    control.load(query).await
}
