//! Brings an archive back as a tenant: all of it in one transaction of the owner's, or nothing.
//!
//! The schema is built as it was when the archive was made, filled, and then migrated as any other: an archive of an older
//! release comes through the migrations. What was loaded is read again before that and must hash to what the manifest says.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::contents::row::{Locker, Tally, restore, with_column};
use super::contents::{HEAD, archived_columns};
use super::error::ArchiveError;
use super::export::{bytes_of, sha256};
use super::manifest::{Manifest, TableFacts};
use super::model::{Archive, Purpose};
use super::repo::{self, NewEntry};
use super::service::{archive_by_id, archive_key, archive_open};
use super::terms::{Terms, terms_enter};
use super::unpack::{Unpacked, digest};
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::jobs::{NewJob, job_enqueue};
use crate::control::provisioning::{name_valid, slug_valid};
use crate::control::tenants::keys::to_json;
use crate::control::tenants::service::tenant_by_slug;
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::contents::{
    column_list, cursor_close, cursor_next, cursor_open, rows_clear, rows_insert, settings_fix, stamp_insert,
};
use crate::db::migrate::fleet::fill_again;
use crate::db::migrate::{Plane, migrate_tenant, migrations, newest_version, tenant_script_at};
use crate::db::{ControlDb, ControlTx, DbError, OwnerDb, OwnerTx, TenantTx};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{ArchiveId, JobId, TenantId};
use crate::kernel::keys::TenantKeys;
use crate::kernel::seal::Key;
use crate::kernel::tenant::{SchemaName, TenantSlug};
use crate::objects::Objects;
use crate::tenant::audit::head::ANCHOR;
use crate::tenant::tables::{TABLES, Table};
use crate::tenant::webhooks::DISPATCH;
use crate::vault::Vault;

/// The kind of the job that restores. It waits for a worker that makes schemas.
pub const RESTORE: &str = "archive.restore";

/// Bytes that are loaded at once, about.
const BATCH_LEN: usize = 512 << 10;

/// Rows that are loaded or read again at once, at most.
const ROWS_MAX: usize = 1_000;

/// Batches that wait at most.
const WAITING_MAX: usize = 2;

/// What restores.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The book of archives.
    pub control: &'a ControlDb,
    /// Who makes schemas.
    pub owner: &'a OwnerDb,
    /// The keys.
    pub vault: &'a Vault,
    /// Where archives are kept.
    pub objects: &'a Objects,
    /// Time and ids.
    pub clock: &'a dyn Clock,
}

/// What is restored from.
#[derive(Debug, Clone)]
pub enum From {
    /// An archive in the object store.
    Archive(ArchiveId),
    /// A file that somebody was given.
    File(PathBuf),
}

/// Whom the archive becomes.
#[derive(Debug, Clone)]
pub struct To {
    /// The new tenant. Where there is one with this id, it was restored before.
    pub id: TenantId,
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people; the one in the archive where none is said.
    pub name: Option<String>,
}

/// What a job of [`RESTORE`] is about.
#[derive(Debug, Serialize, Deserialize)]
pub struct Restoring {
    /// The archive.
    pub archive: Uuid,
    /// The id that the new tenant gets.
    pub tenant: Uuid,
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Who asked for it.
    pub operator: String,
}

/// What is handed over from the archive.
enum Load {
    /// Rows of a table: a JSON array, and how many.
    Rows(&'static Table, String, usize),
    /// Places of the trail.
    Anchors(Vec<(i64, Vec<u8>)>),
    /// There is no more.
    End,
}

/// What is known before anything is made.
struct Plan {
    archive: Archive,
    manifest: Manifest,
    sealed_as: TenantId,
    keys: Value,
    terms: Terms,
    to: To,
    slug: TenantSlug,
    name: String,
}

/// Asks for an archive to be restored as a tenant, by a job, and answers the job.
///
/// # Errors
/// The slug is taken or none, the name is none, or the archive is unknown or cannot be restored.
pub async fn restore_request(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    (archive, slug, name): (ArchiveId, &str, Option<&str>),
) -> Result<JobId, ControlError> {
    let slug = slug_valid(slug, "slug")?;
    let name = name.map(|name| name_valid(name, "name")).transpose()?;
    let refused = |code, message: String, field| ControlError::refused(code, message, &[field]);
    let found = archive_by_id(control, archive).await?;
    let found = found.ok_or_else(|| {
        refused(ControlErrorCode::ArchiveNotFound, format!("There is no archive `{archive}`."), "archive")
    })?;
    if !found.is_completed() {
        let message = format!("The archive is {}; it cannot be restored.", found.status);
        return Err(refused(ControlErrorCode::ArchiveStatusConflict, message, "archive"));
    }
    if found.purpose() == Purpose::Audit {
        let message = "The archive holds a trail alone; no tenant can be made of it.".to_owned();
        return Err(refused(ControlErrorCode::ArchiveUnsuitable, message, "archive"));
    }
    let taken = |message: String| refused(ControlErrorCode::SlugTaken, message, "slug");
    let holder = tenant_by_slug(control, slug.as_str()).await?;
    if holder.is_some_and(|holder| holder.id != found.tenant_id || holder.status() != TenantStatus::Deleted) {
        return Err(taken(format!("The slug `{slug}` is taken.")));
    }
    let job = clock.new_id();
    let restoring = Restoring {
        archive: archive.0,
        tenant: clock.new_id(),
        slug: slug.as_str().to_owned(),
        name,
        operator: operator.name.clone(),
    };
    control
        .write(async |tx: &mut ControlTx| {
            let details = json!({ "archive": archive.to_string(), "job": JobId(job).to_string() });
            let payload = json!(restoring);
            let unique_key = Some(restoring.slug.clone());
            let new = NewJob { id: job, tenant: None, kind: RESTORE, payload, unique_key, at: None };
            if !job_enqueue(tx, new).await? {
                return Err(taken(format!("An archive is being restored as `{slug}` already.")));
            }
            record(tx, clock, operator, ("tenant.restore_request", slug.as_str()), details).await?;
            Ok(JobId(job))
        })
        .await
}

/// Restores an archive as a tenant.
///
/// # Errors
/// The slug is taken, the archive is unknown, has expired or is none that this release can restore; it is damaged; or a key,
/// the store or the database failed. Nothing is left of it then.
pub async fn tenant_restore(
    desk: Desk<'_>,
    operator: &Operator,
    from: &From,
    to: To,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Tenant, ArchiveError> {
    let slug = slug_valid(&to.slug, "slug").map_err(|refusal| ArchiveError::Refused(vec![refusal]))?;
    let (archive, mut unpacked) = open(desk, from).await?;
    let (key, tenant) = (archive_key(desk.vault, &archive)?, archive.tenant_id);
    let reading = move || {
        let manifest = unpacked.manifest()?;
        let keys =
            if manifest.purpose == Purpose::Audit.as_str() { Vec::new() } else { unpacked.whole("keys.json")? };
        let terms = Terms::read(&mut unpacked, manifest.terms.as_ref(), Locker { key: &key, tenant })?;
        Ok::<_, ArchiveError>((unpacked, manifest, (key, keys, terms)))
    };
    let (unpacked, manifest, (key, keys, terms)) = blocking(reading).await?;
    suits(&archive, &manifest)?;
    let packed: TenantKeys =
        serde_json::from_slice(&keys).map_err(|error| ArchiveError::damaged("keys.json", error))?;
    let keys = to_json(&desk.vault.tenant_keys_unpack((archive.tenant_id, to.id), &packed, &key)?);
    let name = name_valid(to.name.as_deref().unwrap_or(&manifest.tenant.name), "name");
    let name = name.map_err(|refusal| ArchiveError::Refused(vec![refusal]))?;
    let sealed_as = manifest.tenant.sealed_as.parse();
    let sealed_as = sealed_as.map_err(|error| ArchiveError::damaged("manifest.json", error))?;
    let (loads, of_loads) = mpsc::channel(WAITING_MAX);
    let facts = manifest.clone();
    let reading = blocking(move || read(unpacked, &facts, (&key, tenant), &loads));
    let plan = Plan { archive, manifest, sealed_as, keys, terms, to, slug, name };
    let building =
        desk.owner.write(async |tx: &mut OwnerTx| build(tx, desk, operator, (&plan, of_loads), progress).await);
    // What was read wrong is why it was not built.
    match tokio::join!(reading, building) {
        (Err(error @ ArchiveError::Damaged(_)), Err(_)) => Err(error),
        (_, built) => built,
    }
}

/// Opens what is restored from, and finds its row: without it nothing that an archive has sealed can be opened.
async fn open(desk: Desk<'_>, from: &From) -> Result<(Archive, Unpacked), ArchiveError> {
    let unknown = |id: &dyn std::fmt::Display| {
        let message = format!("There is no archive `{id}`.");
        ControlError::refused(ControlErrorCode::ArchiveNotFound, message, &["archive"])
    };
    let path = match from {
        From::Archive(id) => {
            let archive = archive_by_id(desk.control, *id).await?.ok_or_else(|| unknown(id))?;
            let source = archive_open(desk.objects, desk.vault, &archive).await?;
            return Ok((archive, blocking(move || Unpacked::open(source)).await?));
        }
        From::File(path) => path.clone(),
    };
    let opened = path.clone();
    let (manifest, unpacked) = blocking(move || {
        let mut unpacked = Unpacked::open_file(&opened)?;
        Ok((unpacked.manifest()?, unpacked))
    })
    .await?;
    let id = manifest.archive.parse::<ArchiveId>().map_err(|error| ArchiveError::damaged("manifest.json", error))?;
    let archive = archive_by_id(desk.control, id).await?.ok_or_else(|| unknown(&id))?;
    // Nobody has vouched for the file yet.
    let (sha256, _) = blocking(move || {
        let file = std::fs::File::open(&path);
        digest(&mut file.map_err(|error| ArchiveError::File(format!("{}: {error}", path.display())))?)
    })
    .await?;
    archive_key(desk.vault, &archive)?;
    if archive.sha256.as_ref() != Some(&sha256) {
        return Err(ArchiveError::Damaged("the file is not the one that was written".to_owned()));
    }
    Ok((archive, unpacked))
}

/// Whether this release can restore an archive.
fn suits(archive: &Archive, manifest: &Manifest) -> Result<(), ArchiveError> {
    let refused =
        |message: String| Err(ControlError::refused(ControlErrorCode::ArchiveUnsuitable, message, &["archive"]).into());
    if archive.purpose() == Purpose::Audit || manifest.purpose == Purpose::Audit.as_str() {
        return refused("The archive holds a trail alone; no tenant can be made of it.".to_owned());
    }
    let version = &manifest.schema_version;
    if !migrations(Plane::Tenant).iter().any(|migration| migration.version == *version) {
        return refused(format!("The archive is of version {version}, which this release does not know."));
    }
    if let Some(facts) = manifest.tables.iter().find(|facts| table(facts).is_none()) {
        return refused(format!("The archive has a table `{}`, which this release does not know.", facts.name));
    }
    Ok(())
}

fn table(facts: &TableFacts) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.archived && table.name == facts.name)
}

/// Reads the archive and hands over what it has, in the order in which tables are filled.
fn read(
    mut unpacked: Unpacked,
    manifest: &Manifest,
    (key, tenant): (&Key, TenantId),
    loads: &mpsc::Sender<Load>,
) -> Result<(), ArchiveError> {
    let locker = Locker { key, tenant };
    let send = |load: Load| {
        let sent = loads.blocking_send(load);
        sent.map_err(|_| ArchiveError::File("whoever restores has gone away".to_owned()))
    };
    for facts in &manifest.tables {
        let Some(table) = table(facts) else { continue };
        let (mut content, mut batch, mut count) = (Tally::default(), String::new(), 0);
        let entry_sha256 = unpacked.lines(&facts.entry(), |line| {
            let row = restore(line, table.secrets, locker)
                .map_err(|error| ArchiveError::damaged(&facts.entry(), format!("row {}: {error}", content.rows + 1)))?;
            content.add(&row);
            batch.push(if batch.is_empty() { '[' } else { ',' });
            batch.push_str(&row);
            count += 1;
            if batch.len() >= BATCH_LEN || count == ROWS_MAX {
                batch.push(']');
                send(Load::Rows(table, std::mem::take(&mut batch), std::mem::take(&mut count)))?;
            }
            Ok(())
        })?;
        if count > 0 {
            batch.push(']');
            send(Load::Rows(table, batch, count))?;
        }
        if content.rows != facts.rows || content.hash() != facts.content_sha256 || entry_sha256 != facts.entry_sha256 {
            return Err(ArchiveError::damaged(&facts.entry(), "not what the manifest says"));
        }
    }
    let anchors = unpacked.whole("audit/anchors.ndjson")?;
    if sha256(&anchors) != manifest.anchors.entry_sha256 {
        return Err(ArchiveError::damaged("audit/anchors.ndjson", "not what the manifest says"));
    }
    send(Load::Anchors(String::from_utf8_lossy(&anchors).lines().filter_map(anchor).collect()))?;
    send(Load::End)
}

fn anchor(line: &str) -> Option<(i64, Vec<u8>)> {
    let anchor: Value = serde_json::from_str(line).ok()?;
    Some((anchor["sequence"].as_i64()?, bytes_of(anchor["hash"].as_str()?)))
}

/// Makes the tenant, within the owner's transaction.
async fn build(
    tx: &mut OwnerTx,
    desk: Desk<'_>,
    operator: &Operator,
    (plan, mut loads): (&Plan, mpsc::Receiver<Load>),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Tenant, ArchiveError> {
    let Plan { archive, manifest, to, .. } = plan;
    if let Some(tenant) = repo::tenant_of(tx, to.id).await? {
        return Ok(tenant);
    }
    let tenant = enter(tx, desk.clock, plan).await?;
    let schema = SchemaName::from(to.id);
    tx.batch(&tenant_script_at(&schema, desk.owner.runtime_login(), &manifest.schema_version)).await?;
    let context = tenant.context().ok_or_else(|| DbError::Other("the new tenant has no context".to_owned()))?;
    let mut shop = tx.as_tenant(context.id).await?;
    settings_fix(&shop).await?;
    for table in TABLES.iter().rev() {
        if column_list(&shop, table.name, None).await?.is_some() {
            rows_clear(&mut shop, table.name).await?;
        }
    }
    let broken = || ArchiveError::File("the archive was not read to its end".to_owned());
    let (mut anchors, mut loaded) = (Vec::new(), 0);
    loop {
        match loads.recv().await.ok_or_else(broken)? {
            Load::Rows(table, rows, count) => {
                load(&mut shop, to.id, table, rows, count).await?;
                loaded += count as u64;
                progress(loaded);
            }
            Load::Anchors(places) => anchors = places,
            Load::End => break,
        }
    }
    for facts in &manifest.tables {
        read_again(&shop, facts).await?;
    }
    drop(shop);
    // An archive does not tell how far its backfills were.
    fill_again(tx, &schema, &migrations(Plane::Tenant), &manifest.schema_version).await?;
    migrate_tenant(tx, &schema).await?;
    stamp_insert(&mut tx.as_tenant(context.id).await?).await?;
    repo::anchors_insert(tx, to.id, &anchors, manifest.at).await?;
    // What the jobs of the old tenant would have done, the sign for which its tables have set.
    for kind in [ANCHOR, DISPATCH] {
        let id = desk.clock.new_id();
        let job = NewJob { id, tenant: Some(to.id), kind, payload: json!({}), unique_key: None, at: None };
        job_enqueue(tx, job).await?;
    }
    // Last of all, and before anybody sees the shop: others may want the rows that these refer to.
    let terms = terms_enter(tx, desk.clock, to.id, &plan.terms).await?;
    let details = json!({
        "archive": archive.id.to_string(), "of": manifest.tenant.slug, "tenant": to.id.to_string(), "terms": terms,
    });
    record(tx, desk.clock, operator, ("tenant.restore", plan.slug.as_str()), details).await?;
    Ok(tenant)
}

/// Enters the tenant into the registry. The tombstone of the very tenant whose archive it is makes room.
async fn enter(tx: &mut OwnerTx, clock: &dyn Clock, plan: &Plan) -> Result<Tenant, ArchiveError> {
    let (slug, facts) = (plan.slug.as_str(), &plan.manifest.tenant);
    let now = clock.now();
    repo::tombstone_move(tx, slug, plan.archive.tenant_id, now).await?;
    let entry = NewEntry {
        id: plan.to.id,
        slug,
        name: &plan.name,
        plan: &facts.plan,
        currency: &facts.currency,
        schema_version: &newest_version(Plane::Tenant),
        keys: plan.keys.clone(),
        sealed_as: plan.sealed_as,
    };
    let tenant = repo::tenant_insert(tx, entry, now).await.map_err(|error| match error {
        DbError::Unique(constraint) if constraint == "tenants_slug_key" => {
            let message = format!("The slug `{slug}` is taken.");
            ControlError::refused(ControlErrorCode::SlugTaken, message, &["slug"]).into()
        }
        DbError::ForeignKey(_) => {
            let message = format!("There is no plan `{}`, which the tenant had.", facts.plan);
            ControlError::refused(ControlErrorCode::PlanNotFound, message, &["archive"]).into()
        }
        error => ArchiveError::from(error),
    })?;
    Ok(tenant.ok_or_else(|| DbError::Other("the new tenant's row was not returned".to_owned()))?)
}

/// Adds rows to a table.
async fn load(
    shop: &mut TenantTx,
    tenant: TenantId,
    table: &Table,
    rows: String,
    count: usize,
) -> Result<(), ArchiveError> {
    let columns = column_list(shop, table.name, None).await?;
    let columns = columns.ok_or_else(|| ArchiveError::damaged(table.name, "its version has no such table"))?;
    let rows = if table.name == HEAD.0 {
        // Whose shop it is, the archive does not say.
        let row = rows.trim_start_matches('[').trim_end_matches(']');
        format!("[{}]", with_column(row, HEAD.1, &json!(tenant.0))?)
    } else {
        rows
    };
    match rows_insert(shop, table.name, &columns, rows).await {
        Ok(inserted) if inserted == count => Ok(()),
        Ok(_) => Err(ArchiveError::damaged(table.name, "not all rows were loaded")),
        Err(error) if error.is_unavailable() || matches!(error, DbError::Cancelled(_)) => Err(error.into()),
        Err(error) => Err(ArchiveError::damaged(table.name, error)),
    }
}

/// Reads a table again: it holds what the archive's tenant had.
async fn read_again(shop: &TenantTx, facts: &TableFacts) -> Result<(), ArchiveError> {
    let Some(table) = table(facts) else { return Ok(()) };
    let columns = archived_columns(shop, table).await?;
    let columns = columns.ok_or_else(|| ArchiveError::damaged(table.name, "its version has no such table"))?;
    let mut content = Tally::default();
    cursor_open(shop, (table.name, table.order), &columns).await?;
    let mut count = 1;
    loop {
        let rows = cursor_next(shop, count).await?;
        if rows.is_empty() {
            break;
        }
        let len: usize = rows.iter().map(String::len).sum();
        rows.iter().for_each(|row| content.add(row));
        count = (rows.len() * BATCH_LEN / len.max(1)).clamp(1, ROWS_MAX);
    }
    cursor_close(shop).await?;
    if content.rows == facts.rows && content.hash() == facts.content_sha256 {
        Ok(())
    } else {
        Err(ArchiveError::damaged(&facts.entry(), "what was loaded is not what was read"))
    }
}

/// Does what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ArchiveError::File(error.to_string()))?
}
