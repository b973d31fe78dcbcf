//! The deletion, a step a transaction: keys, tables one by one, schema and role, rows of the control plane, certificate.
//!
//! Which step is next is read off the catalogue and the row: what is gone is not dropped again, and what a table held is
//! counted in the transaction that drops it. So a process may die anywhere, and the next one goes on.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::advance::{Next, Offboarder, is_before_deletion, same_archives};
use super::certificate::{self, Facts};
use super::model::{Offboarding, OffboardingStatus};
use super::repo;
use super::service::locked;
use crate::control::archives::Archive;
use crate::control::archives::service::{archive_by_id, archive_list_left, archives_hold};
use crate::control::audit::service::record;
use crate::control::error::ControlError;
use crate::control::tenants::TenantStatus;
use crate::db::{DbError, OwnerTx};
use crate::kernel::tenant::SchemaName;
use crate::tenant::audit::head::head_lock;

/// Jobs that one transaction deletes at most.
const JOBS_BATCH: i64 = 1_000;

/// The shop's trail: every change adds to it, and nothing is taken from it. An archive that has fewer entries was written
/// before the last request or job that the shop's closing has overtaken.
const TRAIL: &str = "audit_log";

/// How long the archives must be kept yet when the keys are destroyed: half as long as any archive is kept at least.
const KEPT_MIN: TimeDelta = TimeDelta::hours(12);

/// What became of a beginning.
pub(super) enum Begun {
    /// The keys are destroyed.
    Yes,
    /// The shop has changed after it was archived, or an archive is not what it was or not kept for long: nothing was
    /// destroyed.
    Outdated,
    /// It is not due by the database's clock, which says this: nothing was destroyed.
    Early(DateTime<Utc>),
    /// A worker is at a job of the shop: nothing was destroyed.
    Busy,
    /// It was called off, or another has begun.
    Ended,
}

/// Destroys the keys: from the COMMIT on nothing that they sealed can be opened, by whomever. Every server hears of it, as
/// of any change of a tenant's entry, and lets go of what it has in memory.
pub(super) async fn begin(
    offboarder: &Offboarder<'_>,
    offboarding: &Offboarding,
    archives: [&Archive; 2],
) -> Result<Begun, ControlError> {
    let clock = offboarder.clock;
    let work = async |tx: &mut OwnerTx| {
        let Some((tenant, live)) = locked(tx, offboarding).await? else { return Ok(Begun::Ended) };
        let now = clock.now();
        // Under the locks: who called it off, or put it off, was first.
        let is_due = is_before_deletion(&live) && live.delete_after <= now && same_archives(&live, offboarding);
        if !is_due || tenant.status() != TenantStatus::Offboarding {
            return Ok(Begun::Ended);
        }
        let context = tenant.context().ok_or_else(|| DbError::Other("the tenant's entry cannot be read".to_owned()))?;
        if let Some(not) = not_yet(tx, &live, archives, now).await? {
            return Ok(not);
        }
        let mut shop = tx.as_tenant(context.id).await?;
        // Who is about to add an entry is waited for, and adds it before it is counted, or never.
        let end = head_lock(&mut shop).await?;
        let count = tx.rows(&SchemaName::from(tenant.id), TRAIL).await?;
        if archives.iter().any(|archive| archived_rows(archive, TRAIL) != Some(count)) {
            return Ok(Begun::Outdated);
        }
        let keys: Vec<Value> = context
            .keys
            .0
            .iter()
            .map(|key| json!({ "id": key.id, "purpose": key.purpose, "master": key.master }))
            .collect();
        let details = json!({ "offboarding": live.id.to_string(), "keys": keys });
        repo::keys_destroy(tx, &live, json!(keys), (end.sequence, end.hash), now).await?;
        record(tx, clock, &offboarder.operator(), ("offboarding.destroy_keys", &tenant.slug), details).await?;
        Ok::<_, ControlError>(Begun::Yes)
    };
    let begun = offboarder.owner.write(work).await?;
    offboarder.vault.forget();
    Ok(begun)
}

/// Why the keys are not destroyed yet, if so. The archives stay as they are until the transaction ends.
async fn not_yet(
    tx: &mut OwnerTx,
    live: &Offboarding,
    archives: [&Archive; 2],
    now: DateTime<Utc>,
) -> Result<Option<Begun>, DbError> {
    let server = repo::server_now(tx).await?;
    if live.delete_after > server {
        return Ok(Some(Begun::Early(server)));
    }
    if repo::has_running_job(tx, live.tenant_id).await? {
        return Ok(Some(Begun::Busy));
    }
    let held = archives_hold(tx, archives.map(|archive| archive.id)).await?;
    let until = now.max(server) + KEPT_MIN;
    let is_held = |verified: &&Archive| {
        held.iter().any(|row| {
            row.id == verified.id
                && row.tenant_id == live.tenant_id
                && row.is_completed()
                && row.sha256 == verified.sha256
                && row.expires_at.is_some_and(|at| at > until)
        })
    };
    Ok((!archives.iter().all(is_held)).then_some(Begun::Outdated))
}

/// How many rows of a table an archive has.
fn archived_rows(archive: &Archive, table: &str) -> Option<i64> {
    let tables = archive.manifest.as_ref()?.get("tables")?.as_array()?;
    tables.iter().find(|facts| facts["name"] == table)?["rows"].as_i64()
}

/// Does the next step of a deletion that has begun.
pub(super) async fn step(offboarder: &Offboarder<'_>, offboarding: &Offboarding) -> Result<Next, ControlError> {
    let archives = (
        archive_by_id(offboarder.control, offboarding.archive_id).await?,
        archive_by_id(offboarder.control, offboarding.audit_archive_id).await?,
    );
    let work = async |tx: &mut OwnerTx| {
        let Some((tenant, live)) = locked(tx, offboarding).await? else { return Ok(Next::Nothing) };
        if live.status() != Some(OffboardingStatus::Deleting) {
            return Ok(Next::Now);
        }
        if !tenant.is_going() {
            let error = "the tenant has its keys: no deletion of it was begun by whoever may".to_owned();
            return Err(DbError::Other(error).into());
        }
        let schema = SchemaName::from(tenant.id);
        if let Some(table) = tx.tables(&schema).await?.into_iter().next() {
            let archived = archives.0.as_ref().and_then(|archive| archived_rows(archive, &table));
            table_drop(offboarder, tx, (&live, &schema), (table, archived)).await?;
            return Ok(Next::Now);
        }
        if tx.has_schema_or_role(&schema).await? {
            tx.schema_drop(&schema).await?;
            let details = json!({ "offboarding": live.id.to_string(), "schema": schema.as_str() });
            let act = ("offboarding.drop_schema", tenant.slug.as_str());
            record(tx, offboarder.clock, &offboarder.operator(), act, details).await?;
            return Ok(Next::Now);
        }
        if purge(offboarder, tx, &live).await? > 0 {
            return Ok(Next::Now);
        }
        let left = archive_list_left(tx, tenant.id).await?;
        let facts = Facts {
            tenant: &tenant,
            offboarding: &live,
            archives: (archives.0.as_ref(), archives.1.as_ref()),
            left: &left,
            copies: &repo::copies_list(tx, &tenant).await?,
            sandboxes: &repo::sandboxes_list(tx, &tenant).await?,
            unarchived: unarchived(&live, archives.0.as_ref()),
        };
        complete(offboarder, tx, facts).await?;
        Ok::<_, ControlError>(Next::Nothing)
    };
    offboarder.owner.write(work).await
}

/// How many entries the trail had when it was dropped that its archive lacks.
fn unarchived(live: &Offboarding, archive: Option<&Archive>) -> Option<i64> {
    let archived = archive.and_then(|archive| archived_rows(archive, TRAIL))?;
    Some(live.tables_dropped.get(TRAIL)?.as_i64()? - archived)
}

/// Counts a table, drops it, and notes how much that was.
async fn table_drop(
    offboarder: &Offboarder<'_>,
    tx: &mut OwnerTx,
    (live, schema): (&Offboarding, &SchemaName),
    (table, archived): (String, Option<i64>),
) -> Result<(), DbError> {
    let count = tx.table_drop(schema, &table).await?;
    if table == TRAIL && archived.is_some_and(|archived| archived < count) {
        tracing::error!(
            tenant.slug = %live.slug, offboarding.id = %live.id, count, archived,
            "Entries were added to a trail after its keys were destroyed; the certificate says how many"
        );
    }
    let tables = counted(&live.tables_dropped, [(table, count)]);
    repo::gone_set(tx, live.id, (tables, live.rows_purged.clone()), offboarder.clock.now()).await
}

/// Deletes what the control plane's tables have of the tenant, a batch of it, and answers how many rows.
async fn purge(offboarder: &Offboarder<'_>, tx: &mut OwnerTx, live: &Offboarding) -> Result<usize, DbError> {
    let purged = [
        ("jobs".to_owned(), repo::jobs_purge(tx, live.tenant_id, JOBS_BATCH).await?),
        ("audit_anchors".to_owned(), repo::anchors_purge(tx, live.tenant_id).await?),
        ("backfills".to_owned(), repo::backfills_purge(tx, live.tenant_id).await?),
        ("plan_overrides".to_owned(), repo::overrides_purge(tx, live.tenant_id).await?),
        ("deprecated_usage".to_owned(), repo::usage_purge(tx, live.tenant_id).await?),
        ("deprecation_notices".to_owned(), repo::deprecation_notices_purge(tx, live.tenant_id).await?),
        ("deprecation_extensions".to_owned(), repo::extensions_purge(tx, live.tenant_id).await?),
        ("webhook_troubles".to_owned(), repo::troubles_purge(tx, live.tenant_id).await?),
        ("tenant_settings".to_owned(), repo::settings_purge(tx, live.tenant_id).await?),
        ("tenant_flags".to_owned(), repo::flags_purge(tx, live.tenant_id).await?),
    ];
    let total = purged.iter().map(|(_, count)| count).sum();
    if total > 0 {
        let rows = counted(&live.rows_purged, purged.map(|(table, count)| (table, i64::try_from(count).unwrap_or(0))));
        repo::gone_set(tx, live.id, (live.tables_dropped.clone(), rows), offboarder.clock.now()).await?;
    }
    Ok(total)
}

/// Signs what was destroyed, and ends it: the tombstone keeps the slug.
async fn complete(offboarder: &Offboarder<'_>, tx: &mut OwnerTx, facts: Facts<'_>) -> Result<(), ControlError> {
    let Facts { tenant, offboarding, .. } = facts;
    // As the row will have it.
    let now = offboarder.clock.now().trunc_subsecs(6);
    let (certificate, key) = certificate::sign(offboarder.tokens, facts, (now, offboarder.backup_horizon))?;
    let tables = offboarding.tables_dropped.as_object().map_or(0, Map::len);
    repo::offboarding_complete(tx, offboarding, (certificate, key), now).await?;
    let details = json!({
        "offboarding": offboarding.id.to_string(), "tables": tables,
        "rows": certificate::total(&offboarding.tables_dropped),
    });
    let act = ("offboarding.complete", tenant.slug.as_str());
    Ok(record(tx, offboarder.clock, &offboarder.operator(), act, details).await?)
}

/// Counts with more added to them.
fn counted(counts: &Value, more: impl IntoIterator<Item = (String, i64)>) -> Value {
    let mut counts = counts.as_object().cloned().unwrap_or_default();
    for (name, count) in more {
        let before = counts.get(&name).and_then(Value::as_i64).unwrap_or(0);
        counts.insert(name, json!(before + count));
    }
    Value::Object(counts)
}
