//! SQL of offboardings.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use super::model::{NewOffboarding, Offboarding, OffboardingStatus};
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::schema::control::{
    audit_anchors, backfills, deprecated_usage, deprecation_extensions, deprecation_notices, offboardings,
    plan_overrides, tenant_flags, tenant_settings, tenants, webhook_troubles,
};
use crate::db::statement::{kept, statement};
use crate::db::{ControlDb, ControlTx, DbError, OwnerTx};
use crate::kernel::ids::{ArchiveId, OffboardingId, TenantId};
use crate::kernel::page::{Direction, PageRequest};

/// The offboarding with an id.
pub async fn offboarding_by_id(control: &ControlDb, id: OffboardingId) -> Result<Option<Offboarding>, DbError> {
    let query = offboardings::table.filter(offboardings::id.eq(id.0)).select(Offboarding::as_select());
    Ok(control.load(query).await?.pop())
}

/// The newest offboarding of a slug.
pub async fn offboarding_by_slug(control: &ControlDb, slug: &str) -> Result<Option<Offboarding>, DbError> {
    let query = offboardings::table
        .filter(offboardings::slug.eq(slug.to_owned()))
        .order(offboardings::id.desc())
        .limit(1)
        .select(Offboarding::as_select());
    Ok(control.load(query).await?.pop())
}

/// One page's rows, the newest first, read in the page's direction; in one state, or in all.
pub async fn offboarding_list(
    control: &ControlDb,
    status: Option<OffboardingStatus>,
    page: &PageRequest<Uuid>,
) -> Result<Vec<Offboarding>, DbError> {
    let query = offboardings::table.select(Offboarding::as_select()).limit(page.rows()).into_boxed();
    let query = match status {
        Some(status) => query.filter(offboardings::status.eq(status.as_str())),
        None => query,
    };
    let query = match (&page.direction, page.from) {
        (Direction::Forward, None) => query.order(offboardings::id.desc()),
        (Direction::Forward, Some(from)) => query.filter(offboardings::id.lt(from)).order(offboardings::id.desc()),
        (Direction::Backward, None) => query.order(offboardings::id.asc()),
        (Direction::Backward, Some(from)) => query.filter(offboardings::id.gt(from)).order(offboardings::id.asc()),
    };
    control.load(query).await
}

/// The offboarding of a tenant that has not ended, locked until the transaction ends.
pub async fn live_lock(tx: &mut ControlTx, tenant: TenantId) -> Result<Option<Offboarding>, DbError> {
    let query = offboardings::table
        .filter(offboardings::tenant_id.eq(tenant.0))
        .filter(offboardings::completed_at.is_null())
        .select(Offboarding::as_select())
        .for_update();
    Ok(tx.load(query).await?.pop())
}

statement!(
    /// Offboardings that have not ended and have no job that does the next step, the oldest first.
    Jobless {
        /// The kind of the job.
        kind: &'static str => Text,
        /// How many at most.
        limit: i64 => BigInt,
    } -> SqlUuid = "SELECT offboardings.id FROM control.offboardings
        WHERE offboardings.completed_at IS NULL AND NOT EXISTS (
            SELECT FROM control.jobs
            WHERE jobs.kind = {} AND jobs.tenant_id IS NULL AND jobs.finalized_at IS NULL
                AND jobs.payload ->> 'offboarding' = offboardings.id::text
        ) ORDER BY offboardings.id LIMIT {}"
);

/// The ids of offboardings that have not ended and have no job that does the next step, the oldest first.
pub async fn jobless_list(tx: &mut ControlTx, kind: &'static str, limit: i64) -> Result<Vec<Uuid>, DbError> {
    tx.load(Jobless { kind, limit }).await
}

/// The tenant of an offboarding, locked until the transaction ends. It is locked before the offboarding by everybody.
pub async fn tenant_lock(tx: &mut ControlTx, id: TenantId) -> Result<Option<Tenant>, DbError> {
    Ok(tx.load(tenants::table.filter(tenants::id.eq(id.0)).select(Tenant::as_select()).for_update()).await?.pop())
}

/// Enters an offboarding.
pub async fn offboarding_insert(
    tx: &mut ControlTx,
    tenant: &Tenant,
    new: NewOffboarding,
) -> Result<Option<Offboarding>, DbError> {
    let insert = diesel::insert_into(offboardings::table)
        .values((
            offboardings::id.eq(new.id.0),
            offboardings::tenant_id.eq(tenant.id.0),
            offboardings::slug.eq(tenant.slug.clone()),
            offboardings::status.eq(OffboardingStatus::Exporting.as_str()),
            offboardings::reason.eq(new.reason),
            offboardings::prior_status.eq(tenant.status.clone()),
            offboardings::prior_reason.eq(tenant.suspension_reason.clone()),
            offboardings::requested_by.eq(new.requested_by),
            offboardings::requested_at.eq(new.requested_at),
            offboardings::delete_after.eq(new.delete_after),
            offboardings::archive_id.eq(new.archive.0),
            offboardings::audit_archive_id.eq(new.audit_archive.0),
            offboardings::updated_at.eq(new.requested_at),
        ))
        .returning(Offboarding::as_returning());
    Ok(tx.load(insert).await?.pop())
}

/// Calls an offboarding off.
pub async fn offboarding_cancel(
    tx: &mut ControlTx,
    id: OffboardingId,
    now: DateTime<Utc>,
) -> Result<Option<Offboarding>, DbError> {
    let update = diesel::update(offboardings::table.find(id.0))
        .set((
            offboardings::status.eq(OffboardingStatus::Canceled.as_str()),
            offboardings::error.eq(None::<String>),
            offboardings::retry_at.eq(None::<DateTime<Utc>>),
            offboardings::completed_at.eq(Some(now)),
            offboardings::updated_at.eq(now),
        ))
        .returning(Offboarding::as_returning());
    Ok(tx.load(kept(update)).await?.pop())
}

/// Notes that both archives were read back: what is left is to wait.
pub async fn offboarding_exported(tx: &mut ControlTx, id: OffboardingId, now: DateTime<Utc>) -> Result<(), DbError> {
    let update = diesel::update(offboardings::table.find(id.0)).set((
        offboardings::status.eq(OffboardingStatus::Waiting.as_str()),
        offboardings::error.eq(None::<String>),
        offboardings::retry_at.eq(None::<DateTime<Utc>>),
        offboardings::updated_at.eq(now),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Notes that there is no archive that could be read back, and when another is asked for.
pub async fn export_failed(
    tx: &mut ControlTx,
    id: OffboardingId,
    error: &str,
    (now, retry_at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), DbError> {
    let update = diesel::update(offboardings::table.find(id.0)).set((
        offboardings::status.eq(OffboardingStatus::Exporting.as_str()),
        offboardings::error.eq(Some(error.to_owned())),
        offboardings::failures.eq(offboardings::failures + 1),
        offboardings::retry_at.eq(Some(retry_at)),
        offboardings::updated_at.eq(now),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Notes which archives are waited for now.
pub async fn archives_set(
    tx: &mut ControlTx,
    id: OffboardingId,
    (archive, audit): (ArchiveId, ArchiveId),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let update = diesel::update(offboardings::table.find(id.0)).set((
        offboardings::status.eq(OffboardingStatus::Exporting.as_str()),
        offboardings::archive_id.eq(archive.0),
        offboardings::audit_archive_id.eq(audit.0),
        offboardings::retry_at.eq(None::<DateTime<Utc>>),
        offboardings::updated_at.eq(now),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Notes why a step could not be done; one that has ended meanwhile stays as it ended.
pub async fn error_set(tx: &mut ControlTx, id: OffboardingId, error: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    let live = offboardings::table.filter(offboardings::id.eq(id.0)).filter(offboardings::completed_at.is_null());
    let update = diesel::update(live).set((
        offboardings::error.eq(Some(error.to_owned())),
        offboardings::failures.eq(offboardings::failures + 1),
        offboardings::updated_at.eq(now),
    ));
    tx.execute(kept(update)).await.map(drop)
}

statement!(
    /// What the database's clock says.
    ServerNow {} -> Timestamptz = "SELECT clock_timestamp()"
);

/// What the database's clock says: a worker's alone destroys nothing.
pub async fn server_now(tx: &mut OwnerTx) -> Result<DateTime<Utc>, DbError> {
    let now = tx.load(ServerNow {}).await?.pop();
    now.ok_or_else(|| DbError::Other("the database has told no time".to_owned()))
}

statement!(
    /// A job of a tenant that a worker is at.
    Running { tenant: Uuid => SqlUuid } -> SqlUuid = "
SELECT jobs.id FROM control.jobs WHERE jobs.tenant_id = {} AND jobs.state = 'running' LIMIT 1"
);

/// Whether a worker is at a job of a tenant.
pub async fn has_running_job(tx: &mut OwnerTx, tenant: TenantId) -> Result<bool, DbError> {
    let running: Vec<Uuid> = tx.load(Running { tenant: tenant.0 }).await?;
    Ok(!running.is_empty())
}

statement!(
    /// Counts offboardings that have not ended by their state, and those of them that have failed at something.
    Counts {} -> (Text, BigInt, BigInt) = "
SELECT status, count(*), count(error) FROM control.offboardings WHERE completed_at IS NULL GROUP BY status"
);

/// How many offboardings that have not ended are in each state, and how many of them have failed at something.
pub async fn offboarding_counts(control: &ControlDb) -> Result<Vec<(String, i64, i64)>, DbError> {
    control.load(Counts {}).await
}

/// Begins the deletion: the keys are not in the registry any more, and the trail's end is noted.
pub async fn keys_destroy(
    tx: &mut OwnerTx,
    offboarding: &Offboarding,
    keys: Value,
    (sequence, hash): (i64, Vec<u8>),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = diesel::update(tenants::table.find(offboarding.tenant_id.0))
        .set((tenants::keys.eq(serde_json::json!([])), tenants::updated_at.eq(now)));
    tx.execute(kept(tenant)).await?;
    let update = diesel::update(offboardings::table.find(offboarding.id.0)).set((
        offboardings::status.eq(OffboardingStatus::Deleting.as_str()),
        offboardings::error.eq(None::<String>),
        offboardings::keys_destroyed_at.eq(Some(now)),
        offboardings::keys_destroyed.eq(Some(keys)),
        offboardings::audit_sequence.eq(Some(sequence)),
        offboardings::audit_hash.eq(Some(hash)),
        offboardings::updated_at.eq(now),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Notes what is gone so far: tables of the schema, and rows of the control plane.
pub async fn gone_set(
    tx: &mut OwnerTx,
    id: OffboardingId,
    (tables, rows): (Value, Value),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let update = diesel::update(offboardings::table.find(id.0)).set((
        offboardings::tables_dropped.eq(tables),
        offboardings::rows_purged.eq(rows),
        offboardings::error.eq(None::<String>),
        offboardings::updated_at.eq(now),
    ));
    tx.execute(kept(update)).await.map(drop)
}

statement!(
    /// Deletes some of a tenant's jobs, in whatever state they are.
    JobsPurge { tenant: Uuid => SqlUuid, count_max: i64 => BigInt } -> SqlUuid = "
DELETE FROM control.jobs WHERE jobs.id = ANY (ARRAY(
    SELECT jobs.id FROM control.jobs WHERE jobs.tenant_id = {} ORDER BY jobs.id LIMIT {}
)) RETURNING jobs.id"
);

/// Deletes some of a tenant's jobs, and answers how many.
pub async fn jobs_purge(tx: &mut OwnerTx, tenant: TenantId, count_max: i64) -> Result<usize, DbError> {
    let purged: Vec<Uuid> = tx.load(JobsPurge { tenant: tenant.0, count_max }).await?;
    Ok(purged.len())
}

/// Deletes the anchors of a tenant's trail, and answers how many. The certificate has where the trail ended.
pub async fn anchors_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(audit_anchors::table.filter(audit_anchors::tenant_id.eq(tenant.0)))).await
}

/// Deletes what was agreed with a tenant beside its plan, and answers how many rows.
pub async fn overrides_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(plan_overrides::table.filter(plan_overrides::tenant_id.eq(tenant.0)))).await
}

/// Deletes what the book of endpoints that are not well has of a tenant, and answers how many rows.
pub async fn troubles_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(webhook_troubles::table.filter(webhook_troubles::tenant_id.eq(tenant.0)))).await
}

/// Deletes what operators have set for a tenant, and answers how many rows.
pub async fn settings_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(tenant_settings::table.filter(tenant_settings::tenant_id.eq(tenant.0)))).await
}

/// Deletes what was decided of flags for a tenant, and answers how many rows.
pub async fn flags_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(tenant_flags::table.filter(tenant_flags::tenant_id.eq(tenant.0)))).await
}

/// The slugs of other tenants that have what a tenant's keys have sealed, and the keys: those that its archives were
/// restored as, and the one that it was restored from.
pub async fn copies_list(tx: &mut OwnerTx, tenant: &Tenant) -> Result<Vec<String>, DbError> {
    let sealed_as = tenant.sealed_as().0;
    let query = tenants::table
        .filter(tenants::sealed_as.eq(Some(sealed_as)).or(tenants::id.nullable().eq(Some(sealed_as))))
        .filter(tenants::id.ne(tenant.id.0))
        .filter(tenants::status.ne(TenantStatus::Deleted.as_str()))
        .order(tenants::slug);
    tx.load(query.select(tenants::slug)).await
}

statement!(
    /// The slugs of sandboxes that were made of a tenant, and are there.
    Sandboxes {
        /// What the tenant is called.
        slug: String => Text,
        /// When it was made: who was called so before is another.
        since: DateTime<Utc> => Timestamptz,
    } -> Text = "
SELECT DISTINCT tenants.slug FROM control.admin_audit JOIN control.tenants ON tenants.slug = admin_audit.target
WHERE admin_audit.action = 'tenant.clone' AND admin_audit.details ->> 'from' = {} AND admin_audit.at >= {}
    AND tenants.status <> 'deleted' ORDER BY tenants.slug"
);

/// The slugs of sandboxes that were made of a tenant, and are there.
pub async fn sandboxes_list(tx: &mut OwnerTx, tenant: &Tenant) -> Result<Vec<String>, DbError> {
    tx.load(Sandboxes { slug: tenant.slug.clone(), since: tenant.created_at }).await
}

/// Ends an offboarding: the tenant is deleted, and here is the certificate.
pub async fn offboarding_complete(
    tx: &mut OwnerTx,
    offboarding: &Offboarding,
    (certificate, key): (String, Value),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = diesel::update(tenants::table.find(offboarding.tenant_id.0))
        .set((tenants::status.eq(TenantStatus::Deleted.as_str()), tenants::updated_at.eq(now)));
    tx.execute(kept(tenant)).await?;
    let update = diesel::update(offboardings::table.find(offboarding.id.0)).set((
        offboardings::status.eq(OffboardingStatus::Completed.as_str()),
        offboardings::error.eq(None::<String>),
        offboardings::certificate.eq(Some(certificate)),
        offboardings::certificate_key.eq(Some(key)),
        offboardings::completed_at.eq(Some(now)),
        offboardings::updated_at.eq(now),
    ));
    tx.execute(kept(update)).await.map(drop)
}

/// Removes what migrations have left to be filled in, and answers how much.
pub async fn backfills_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(backfills::table.filter(backfills::tenant_id.eq(tenant.0)))).await
}

/// Removes what is known of the tenant's use of what goes away, and answers how much.
pub async fn usage_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(deprecated_usage::table.filter(deprecated_usage::tenant_id.eq(tenant.0)))).await
}

/// Removes what the tenant was told of what goes away, and answers how much.
pub async fn deprecation_notices_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    tx.execute(diesel::delete(deprecation_notices::table.filter(deprecation_notices::tenant_id.eq(tenant.0)))).await
}

/// Removes what the tenant was given more time for, and answers how much.
pub async fn extensions_purge(tx: &mut OwnerTx, tenant: TenantId) -> Result<usize, DbError> {
    let given = deprecation_extensions::table.filter(deprecation_extensions::tenant_id.eq(tenant.0));
    tx.execute(diesel::delete(given)).await
}
