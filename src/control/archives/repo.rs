//! SQL of the book of archives.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Archive, ArchiveStatus, Purpose};
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::schema::control::{archives, audit_anchors, tenants};
use crate::db::statement::{kept, statement};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::ids::{ArchiveId, TenantId, base32_encode};
use crate::kernel::page::{Direction, PageRequest};
use crate::kernel::tenant::SchemaName;

/// Anchors that are added at once.
const ANCHORS_MAX: usize = 1_000;

/// The archive with an id.
pub async fn archive_by_id(control: &ControlDb, id: ArchiveId) -> Result<Option<Archive>, DbError> {
    Ok(control.load(archives::table.filter(archives::id.eq(id.0)).select(Archive::as_select())).await?.pop())
}

/// The archive of a tenant and purpose that is asked for or under way.
pub async fn archive_unfinished(
    tx: &mut ControlTx,
    tenant: TenantId,
    purpose: Purpose,
) -> Result<Option<ArchiveId>, DbError> {
    let query = archives::table
        .filter(archives::tenant_id.eq(tenant.0))
        .filter(archives::purpose.eq(purpose.as_str()))
        .filter(archives::status.eq_any([ArchiveStatus::Pending.as_str(), ArchiveStatus::Running.as_str()]))
        .select(archives::id);
    Ok(tx.load::<_, Uuid, _>(query).await?.pop().map(ArchiveId))
}

/// Enters an archive that is asked for; false where one of its tenant and purpose is asked for already.
pub async fn archive_insert(
    tx: &mut ControlTx,
    (id, now): (ArchiveId, DateTime<Utc>),
    tenant: &Tenant,
    purpose: Purpose,
    requested_by: &str,
) -> Result<bool, DbError> {
    let insert = diesel::insert_into(archives::table).values((
        archives::id.eq(id.0),
        archives::tenant_id.eq(tenant.id.0),
        archives::slug.eq(tenant.slug.clone()),
        archives::purpose.eq(purpose.as_str()),
        archives::status.eq(ArchiveStatus::Pending.as_str()),
        archives::requested_by.eq(requested_by.to_owned()),
        archives::created_at.eq(now),
    ));
    Ok(tx.execute(insert.on_conflict_do_nothing()).await? == 1)
}

/// Has an archive of the platform's own be somebody's who has asked for one as well: they are told when it is made.
pub async fn archive_ask(tx: &mut ControlTx, id: ArchiveId, platform: &str, requested_by: &str) -> Result<(), DbError> {
    let update = diesel::update(archives::table.find(id.0).filter(archives::requested_by.eq(platform.to_owned())))
        .set(archives::requested_by.eq(requested_by.to_owned()));
    tx.execute(update).await?;
    Ok(())
}

/// Open tenants of whom no archive was asked for since a time, at most so many, the oldest first.
pub async fn tenant_list_unarchived(
    tx: &mut ControlTx,
    since: DateTime<Utc>,
    count: i64,
) -> Result<Vec<Tenant>, DbError> {
    let young = archives::table
        .filter(archives::tenant_id.eq(tenants::id))
        .filter(archives::purpose.eq(Purpose::Export.as_str()))
        .filter(archives::created_at.gt(since));
    let query = tenants::table
        .filter(tenants::status.eq_any([TenantStatus::Active.as_str(), TenantStatus::Suspended.as_str()]))
        .filter(diesel::dsl::not(diesel::dsl::exists(young)))
        .order(tenants::id)
        .limit(count);
    tx.load(query.select(Tenant::as_select())).await
}

/// Begins to make an archive: under this name, with this key. What was begun before is given up by it. Answers the row as it
/// is then, and under which name it was begun before; nothing where the archive has ended.
pub async fn archive_begin(
    tx: &mut ControlTx,
    id: ArchiveId,
    object_key: &str,
    (key_wrapped, key_master): (Vec<u8>, String),
) -> Result<Option<(Archive, Option<String>)>, DbError> {
    let query = archives::table
        .filter(archives::id.eq(id.0))
        .filter(archives::status.eq_any([ArchiveStatus::Pending.as_str(), ArchiveStatus::Running.as_str()]));
    let before: Option<Option<String>> = tx.load(query.select(archives::object_key).for_update()).await?.pop();
    let Some(before) = before else { return Ok(None) };
    let update = diesel::update(archives::table.find(id.0))
        .set((
            archives::status.eq(ArchiveStatus::Running.as_str()),
            archives::object_key.eq(object_key.to_owned()),
            archives::key_wrapped.eq(key_wrapped),
            archives::key_master.eq(key_master),
        ))
        .returning(Archive::as_returning());
    Ok(tx.load(kept(update)).await?.pop().map(|archive| (archive, before)))
}

/// An archive that was written.
pub struct Written {
    /// Bytes of the zip.
    pub bytes: i64,
    /// The zip's SHA-256.
    pub sha256: Vec<u8>,
    /// Over what the tables held.
    pub content_hash: Vec<u8>,
    /// The newest migration of the schema.
    pub schema_version: String,
    /// What is in it.
    pub manifest: Value,
    /// Until when it is kept.
    pub expires_at: DateTime<Utc>,
}

/// Ends an archive that was written under this name; nothing where another has begun it anew meanwhile.
pub async fn archive_complete(
    tx: &mut ControlTx,
    (id, now): (ArchiveId, DateTime<Utc>),
    object_key: &str,
    written: Written,
) -> Result<Option<Archive>, DbError> {
    let update = diesel::update(archives::table)
        .filter(archives::id.eq(id.0))
        .filter(archives::status.eq(ArchiveStatus::Running.as_str()))
        .filter(archives::object_key.eq(object_key.to_owned()))
        .set((
            archives::status.eq(ArchiveStatus::Completed.as_str()),
            archives::bytes.eq(written.bytes),
            archives::sha256.eq(written.sha256),
            archives::content_hash.eq(written.content_hash),
            archives::schema_version.eq(written.schema_version),
            archives::manifest.eq(written.manifest),
            archives::error.eq(None::<String>),
            archives::finished_at.eq(now),
            archives::expires_at.eq(written.expires_at),
        ))
        .returning(Archive::as_returning());
    Ok(tx.load(kept(update)).await?.pop())
}

/// Notes why an archive was not made, and, where it is given up, that it is not made any more: its key is destroyed then.
pub async fn archive_fail(
    tx: &mut ControlTx,
    (id, now): (ArchiveId, DateTime<Utc>),
    error: &str,
    is_given_up: bool,
) -> Result<(), DbError> {
    let unfinished = [ArchiveStatus::Pending.as_str(), ArchiveStatus::Running.as_str()];
    let of = archives::table.filter(archives::id.eq(id.0)).filter(archives::status.eq_any(unfinished));
    let error = archives::error.eq(error.to_owned());
    if !is_given_up {
        return tx.execute(kept(diesel::update(of).set(error))).await.map(drop);
    }
    let ended = (
        error,
        archives::status.eq(ArchiveStatus::Failed.as_str()),
        archives::key_wrapped.eq(None::<Vec<u8>>),
        archives::key_master.eq(None::<String>),
        archives::finished_at.eq(now),
    );
    tx.execute(kept(diesel::update(of).set(ended))).await.map(drop)
}

/// Whether an archive is over by the database's clock too: a worker's alone destroys no key.
fn is_over() -> SqlLiteral<Bool> {
    sql("archives.expires_at <= clock_timestamp()")
}

/// Lets an archive that is to be kept no longer expire: destroys its key. False where it is to be kept.
pub async fn archive_expire(tx: &mut ControlTx, id: ArchiveId, now: DateTime<Utc>) -> Result<bool, DbError> {
    let update = diesel::update(archives::table)
        .filter(archives::id.eq(id.0))
        .filter(archives::status.eq(ArchiveStatus::Completed.as_str()))
        .filter(archives::expires_at.le(now))
        .filter(is_over())
        .set((
            archives::status.eq(ArchiveStatus::Expired.as_str()),
            archives::key_wrapped.eq(None::<Vec<u8>>),
            archives::key_master.eq(None::<String>),
        ));
    Ok(tx.execute(kept(update)).await? == 1)
}

/// Archives that are to be kept no longer.
pub async fn archive_list_over(control: &ControlDb, now: DateTime<Utc>, limit: i64) -> Result<Vec<Archive>, DbError> {
    let query = archives::table
        .filter(archives::status.eq(ArchiveStatus::Completed.as_str()))
        .filter(archives::expires_at.le(now))
        .filter(is_over())
        .order(archives::expires_at)
        .limit(limit);
    control.load(query.select(Archive::as_select())).await
}

/// Archives that have ended without one, and may have an object yet: the next ones after an id.
pub async fn archive_list_leftover(
    control: &ControlDb,
    after: Option<ArchiveId>,
    limit: i64,
) -> Result<Vec<Archive>, DbError> {
    let query = archives::table
        .filter(archives::status.eq_any([ArchiveStatus::Expired.as_str(), ArchiveStatus::Failed.as_str()]))
        .filter(archives::object_key.is_not_null())
        .filter(archives::id.gt(after.map_or(Uuid::nil(), |after| after.0)))
        .order(archives::id)
        .limit(limit);
    control.load(query.select(Archive::as_select())).await
}

/// Notes that an archive's object is removed.
pub async fn archive_object_gone(tx: &mut ControlTx, id: ArchiveId) -> Result<(), DbError> {
    let update = diesel::update(archives::table.find(id.0)).set(archives::object_key.eq(None::<String>));
    tx.execute(kept(update)).await.map(drop)
}

statement!(
    /// Archives that were asked for before a time and are not made, and that no job makes any more.
    Orphans {
        /// The kind of the job.
        kind: &'static str => Text,
        /// The time.
        before: DateTime<Utc> => Timestamptz,
    } -> SqlUuid = "SELECT archives.id FROM control.archives
        WHERE archives.status IN ('pending', 'running') AND NOT EXISTS (
            SELECT FROM control.jobs
            WHERE jobs.kind = {} AND jobs.tenant_id IS NULL AND jobs.finalized_at IS NULL
                AND jobs.payload ->> 'archive' = archives.id::text
        ) AND archives.created_at < {}"
);

/// Archives that were asked for before a time and are not made, and that no job makes any more.
pub async fn archive_list_orphaned(
    control: &ControlDb,
    kind: &'static str,
    before: DateTime<Utc>,
) -> Result<Vec<ArchiveId>, DbError> {
    let ids = control.load::<_, Uuid, _>(Orphans { kind, before }).await?;
    Ok(ids.into_iter().map(ArchiveId).collect())
}

/// One page's rows of archives, the newest first, read in the page's direction; of one tenant's id, or of all.
pub async fn archive_list(
    control: &ControlDb,
    tenant: Option<TenantId>,
    page: &PageRequest<Uuid>,
) -> Result<Vec<Archive>, DbError> {
    let query = archives::table.select(Archive::as_select()).limit(page.rows()).into_boxed();
    let query = match tenant {
        Some(tenant) => query.filter(archives::tenant_id.eq(tenant.0)),
        None => query,
    };
    let query = match (&page.direction, page.from) {
        (Direction::Forward, None) => query.order(archives::id.desc()),
        (Direction::Forward, Some(from)) => query.filter(archives::id.lt(from)).order(archives::id.desc()),
        (Direction::Backward, None) => query.order(archives::id.asc()),
        (Direction::Backward, Some(from)) => query.filter(archives::id.gt(from)).order(archives::id.asc()),
    };
    control.load(query).await
}

/// The next archives after one that have a key, locked until the transaction ends.
pub async fn archive_list_keyed(
    tx: &mut ControlTx,
    after: Option<ArchiveId>,
    limit: i64,
) -> Result<Vec<Archive>, DbError> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let query = archives::table.filter(archives::id.gt(after)).filter(archives::key_wrapped.is_not_null());
    tx.load(query.order(archives::id).limit(limit).select(Archive::as_select()).for_update()).await
}

/// Puts the key of an archive under another master key.
pub async fn archive_rewrap(
    tx: &mut ControlTx,
    id: ArchiveId,
    (key_wrapped, key_master): (Vec<u8>, String),
) -> Result<(), DbError> {
    let set = (archives::key_wrapped.eq(key_wrapped), archives::key_master.eq(key_master));
    tx.execute(kept(diesel::update(archives::table.find(id.0)).set(set))).await.map(drop)
}

statement!(
    /// How many archives' keys each master key wraps.
    Wrapped {} -> (Text, BigInt) =
        "SELECT key_master, count(*) FROM control.archives WHERE key_master IS NOT NULL GROUP BY key_master"
);

/// How many archives' keys each master key wraps.
pub async fn archive_count_by_master(control: &ControlDb) -> Result<Vec<(String, i64)>, DbError> {
    control.load(Wrapped {}).await
}

/// Archives by their ids, which nobody changes until the transaction ends.
pub async fn archives_hold(tx: &mut ControlTx, ids: [ArchiveId; 2]) -> Result<Vec<Archive>, DbError> {
    let query = archives::table.filter(archives::id.eq_any(ids.map(|id| id.0))).order(archives::id);
    tx.load(query.select(Archive::as_select()).for_share()).await
}

/// Archives of a tenant that can be opened, or are not made yet, the oldest first.
pub async fn archive_list_left(tx: &mut ControlTx, tenant: TenantId) -> Result<Vec<Archive>, DbError> {
    let unfinished = [ArchiveStatus::Pending.as_str(), ArchiveStatus::Running.as_str()];
    let query = archives::table
        .filter(archives::tenant_id.eq(tenant.0))
        .filter(archives::key_wrapped.is_not_null().or(archives::status.eq_any(unfinished)))
        .order(archives::id);
    tx.load(query.select(Archive::as_select())).await
}

/// The tenant with an id, whose state nobody changes until the transaction ends.
pub async fn tenant_hold(tx: &mut ControlTx, id: TenantId) -> Result<Option<Tenant>, DbError> {
    Ok(tx.load(tenants::table.filter(tenants::id.eq(id.0)).select(Tenant::as_select()).for_share()).await?.pop())
}

/// The tenant with an id, as the transaction sees it.
pub async fn tenant_of(tx: &mut ControlTx, id: TenantId) -> Result<Option<Tenant>, DbError> {
    Ok(tx.load(tenants::table.filter(tenants::id.eq(id.0)).select(Tenant::as_select())).await?.pop())
}

/// Gives the slug of a tenant that is gone free: the tombstone is called by slug and id, as nobody living is.
pub async fn tombstone_move(
    tx: &mut ControlTx,
    slug: &str,
    tenant: TenantId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let update = diesel::update(tenants::table)
        .filter(tenants::id.eq(tenant.0))
        .filter(tenants::slug.eq(slug.to_owned()))
        .filter(tenants::status.eq(TenantStatus::Deleted.as_str()))
        .set((tenants::slug.eq(format!("{slug}~{}", base32_encode(tenant.0))), tenants::updated_at.eq(now)));
    tx.execute(kept(update)).await.map(drop)
}

/// A restored tenant's entry.
pub struct NewEntry<'a> {
    /// The tenant.
    pub id: TenantId,
    /// Its name in addresses.
    pub slug: &'a str,
    /// Its name for people.
    pub name: &'a str,
    /// The code of its plan.
    pub plan: &'a str,
    /// The currency of its prices.
    pub currency: &'a str,
    /// The newest migration that its schema will have.
    pub schema_version: &'a str,
    /// Its keys, wrapped for it.
    pub keys: Value,
    /// Under whose id its values are sealed.
    pub sealed_as: TenantId,
}

/// Enters a restored tenant into the registry.
pub async fn tenant_insert(
    tx: &mut ControlTx,
    entry: NewEntry<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Tenant>, DbError> {
    let insert = diesel::insert_into(tenants::table)
        .values((
            tenants::id.eq(entry.id.0),
            tenants::slug.eq(entry.slug.to_owned()),
            tenants::schema_name.eq(SchemaName::from(entry.id).as_str().to_owned()),
            tenants::name.eq(entry.name.to_owned()),
            tenants::plan.eq(entry.plan.to_owned()),
            tenants::currency.eq(entry.currency.to_owned()),
            // Nobody sees the row before the transaction ends, and then all is there.
            tenants::status.eq(TenantStatus::Active.as_str()),
            tenants::schema_version.eq(entry.schema_version.to_owned()),
            tenants::created_at.eq(now),
            tenants::updated_at.eq(now),
            tenants::keys.eq(entry.keys),
            tenants::sealed_as.eq(entry.sealed_as.0),
        ))
        .returning(Tenant::as_returning());
    Ok(tx.load(insert).await?.pop())
}

/// Keeps the places of a restored tenant's trail.
pub async fn anchors_insert(
    tx: &mut ControlTx,
    tenant: TenantId,
    anchors: &[(i64, Vec<u8>)],
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    for page in anchors.chunks(ANCHORS_MAX) {
        let rows: Vec<_> = page
            .iter()
            .map(|(sequence, hash)| {
                (
                    audit_anchors::tenant_id.eq(tenant.0),
                    audit_anchors::sequence.eq(*sequence),
                    audit_anchors::hash.eq(hash.clone()),
                    audit_anchors::at.eq(at),
                )
            })
            .collect();
        tx.execute(diesel::insert_into(audit_anchors::table).values(rows)).await?;
    }
    Ok(())
}
