//! The deletion, a step a transaction: keys, tables one by one, schema and role, rows of the control plane, certificate.
//!
//! Which step is next is read off the catalogue and the row: what is gone is not dropped again, and what a table held is
//! counted in the transaction that drops it. So a process may die anywhere, and the next one goes on.

use chrono::SubsecRound as _;
use serde_json::{Map, Value, json};

use super::advance::{Next, Offboarder, is_before_deletion};
use super::certificate::{self, Facts};
use super::model::{Offboarding, OffboardingStatus};
use super::repo;
use super::service::locked;
use crate::control::archives::Archive;
use crate::control::archives::service::archive_by_id;
use crate::control::audit::service::record;
use crate::control::error::ControlError;
use crate::control::tenants::TenantStatus;
use crate::db::{DbError, OwnerTx};
use crate::kernel::tenant::SchemaName;
use crate::tenant::audit::head::head;

/// Jobs that one transaction deletes at most.
const JOBS_BATCH: i64 = 1_000;

/// The shop's trail: every change adds to it, and nothing is taken from it. An archive that has fewer entries was written
/// before the last request or job that the shop's closing has overtaken.
const TRAIL: &str = "audit_log";

/// What became of a beginning.
pub(super) enum Begun {
    /// The keys are destroyed.
    Yes,
    /// The shop has changed after it was archived: nothing was destroyed.
    Outdated,
    /// It was called off, or another has begun.
    Ended,
}

/// Destroys the keys: from the COMMIT on nothing that they sealed can be opened, by whomever. Every server hears of it, as
/// of any change of a tenant's entry, and lets go of what it has in memory.
pub(super) async fn begin(
    offboarder: &Offboarder<'_>,
    offboarding: &Offboarding,
    archive: &Archive,
) -> Result<Begun, ControlError> {
    let clock = offboarder.clock;
    let work = async |tx: &mut OwnerTx| {
        let Some((tenant, live)) = locked(tx, offboarding).await? else { return Ok(Begun::Ended) };
        let now = clock.now();
        // Under the locks: who called it off, or put it off, was first.
        let is_due = is_before_deletion(&live) && live.delete_after <= now && live.archive_id == offboarding.archive_id;
        if !is_due || tenant.status() != TenantStatus::Offboarding {
            return Ok(Begun::Ended);
        }
        let context = tenant.context().ok_or_else(|| DbError::Other("the tenant's entry cannot be read".to_owned()))?;
        let shop = tx.as_tenant(&context).await?;
        let end = head(&shop).await?;
        if archived_rows(archive, TRAIL) != Some(tx.rows(&SchemaName::from(tenant.id), TRAIL).await?) {
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
        let schema = SchemaName::from(tenant.id);
        if let Some(table) = tx.tables(&schema).await?.into_iter().next() {
            table_drop(offboarder, tx, (&live, &schema), table).await?;
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
        let facts = Facts {
            tenant: &tenant,
            offboarding: &live,
            archives: (archives.0.as_ref(), archives.1.as_ref()),
            copies: &repo::copies_list(tx, &tenant).await?,
        };
        complete(offboarder, tx, facts).await?;
        Ok::<_, ControlError>(Next::Nothing)
    };
    offboarder.owner.write(work).await
}

/// Counts a table, drops it, and notes how much that was.
async fn table_drop(
    offboarder: &Offboarder<'_>,
    tx: &mut OwnerTx,
    (live, schema): (&Offboarding, &SchemaName),
    table: String,
) -> Result<(), DbError> {
    let count = tx.table_drop(schema, &table).await?;
    let tables = counted(&live.tables_dropped, [(table, count)]);
    repo::gone_set(tx, live.id, (tables, live.rows_purged.clone()), offboarder.clock.now()).await
}

/// Deletes what the control plane's tables have of the tenant, a batch of it, and answers how many rows.
async fn purge(offboarder: &Offboarder<'_>, tx: &mut OwnerTx, live: &Offboarding) -> Result<usize, DbError> {
    let purged = [
        ("jobs".to_owned(), repo::jobs_purge(tx, live.tenant_id, JOBS_BATCH).await?),
        ("audit_anchors".to_owned(), repo::anchors_purge(tx, live.tenant_id).await?),
        ("backfills".to_owned(), repo::backfills_purge(tx, live.tenant_id).await?),
        ("webhook_troubles".to_owned(), repo::troubles_purge(tx, live.tenant_id).await?),
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
