//! SQL of the trail's readers. The journal adds to it, and nobody changes it.

use diesel::prelude::*;

use super::head::Head;
use super::model::{Entry, EntryFilter, StoredEntry};
use crate::db::schema::tenant::{audit_log, tenant_head};
use crate::db::statement::kept;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::page::{Direction, PageRequest};

/// One page's rows, the newest first, read in the page's direction.
pub async fn entry_list(
    read: &TenantRead,
    filter: EntryFilter,
    page: &PageRequest<i64>,
) -> Result<Vec<Entry>, DbError> {
    let mut query = audit_log::table.select(Entry::as_select()).limit(page.rows()).into_boxed();
    if let Some(entity) = filter.entity {
        query = query.filter(audit_log::entity.eq(entity));
    }
    if let Some(action) = filter.action {
        query = query.filter(audit_log::action.eq(action));
    }
    if let Some(actor) = filter.actor {
        query = query.filter(audit_log::actor.eq(actor.to_string()));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_log::at.ge(from));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit_log::at.lt(to));
    }
    let query = match (page.direction, page.from) {
        (Direction::Forward, None) => query.order(audit_log::sequence.desc()),
        (Direction::Forward, Some(from)) => {
            query.filter(audit_log::sequence.lt(from)).order(audit_log::sequence.desc())
        }
        (Direction::Backward, None) => query.order(audit_log::sequence.asc()),
        (Direction::Backward, Some(from)) => {
            query.filter(audit_log::sequence.gt(from)).order(audit_log::sequence.asc())
        }
    };
    read.load(query).await
}

/// The next entries after a number, in the order of numbers, with all that their hashes cover.
pub async fn stored_list(read: &TenantRead, after: i64, limit: i64) -> Result<Vec<StoredEntry>, DbError> {
    let query = audit_log::table.filter(audit_log::sequence.gt(after)).order(audit_log::sequence);
    read.load(query.limit(limit).select(StoredEntry::as_select())).await
}

/// Where the trail ends, noted as being anchored. It waits for whoever is about to add an entry.
pub async fn head_anchor(tx: &mut TenantTx) -> Result<Head, DbError> {
    let update = diesel::update(tenant_head::table)
        .set(tenant_head::anchored_sequence.eq(tenant_head::audit_sequence))
        .returning((tenant_head::audit_sequence, tenant_head::audit_hash));
    let (sequence, hash) = tx.one(kept(update)).await?;
    Ok(Head { sequence, hash })
}

/// The hash of an entry.
pub async fn entry_hash(read: &TenantRead, sequence: i64) -> Result<Option<Vec<u8>>, DbError> {
    read.first(audit_log::table.filter(audit_log::sequence.eq(sequence)).select(audit_log::hash)).await
}

/// Where the trail ends, locked until the transaction ends.
pub async fn head_lock(tx: &mut TenantTx) -> Result<Head, DbError> {
    let query = tenant_head::table.select((tenant_head::audit_sequence, tenant_head::audit_hash)).for_update();
    let (sequence, hash) = tx.one(query).await?;
    Ok(Head { sequence, hash })
}

/// Where the trail ends.
pub async fn head_first(read: &TenantRead) -> Result<Head, DbError> {
    let query = tenant_head::table.select((tenant_head::audit_sequence, tenant_head::audit_hash));
    let (sequence, hash) = read.one(query).await?;
    Ok(Head { sequence, hash })
}
