//! Decisions about archives.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::error::ArchiveError;
use super::export::{Desk, bytes_of, export};
use super::manifest::Manifest;
use super::model::{Archive, ArchiveStatus, Purpose};
use super::repo::{self, Written};
use super::terms::ENTRY;
use super::unpack::{SealedObject, Unpacked, digest};
use crate::config::retention::RetentionConfig;
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::control::error::{ControlError, ControlErrorCode};
use crate::control::jobs::{NewJob, job_enqueue};
use crate::control::tenants::service::{tenant_by_id, tenant_by_slug};
use crate::control::tenants::{Tenant, TenantStatus};
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::Clock;
use crate::kernel::ids::{ArchiveId, TenantId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::seal::Key;
use crate::objects::Objects;
use crate::vault::Vault;

/// The kind of the job that makes an archive: the platform's own, because jobs of closed tenants wait.
pub const EXPORT: &str = "archive.export";

/// The kind of the job that mails the owners where their archive is.
const READY_MAIL: &str = "mail.export_ready";

/// How long a link to an archive is good.
pub const LINK_LIFETIME: TimeDelta = TimeDelta::days(7);

/// Archives that are looked at in one go.
const BATCH: i64 = 100;

/// How long an archive may be without a job that makes it: whoever asked for it may be making it.
const ORPHANED_AFTER: TimeDelta = TimeDelta::hours(2);

/// When the job of an archive begins that is being made by whoever asked for it: should they not finish. What takes longer is
/// made anew by a worker.
const FALLBACK_AFTER: TimeDelta = TimeDelta::hours(4);

/// Asks for an archive of a tenant, in the caller's transaction: it is made by a job.
///
/// Where one of that purpose is asked for already and not yet made, it is that one. The caller rings the bell after the
/// COMMIT.
///
/// # Errors
/// The database failed.
pub async fn archive_request(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    tenant: &Tenant,
    purpose: Purpose,
) -> Result<ArchiveId, ControlError> {
    request(tx, clock, operator, (tenant, purpose), None).await
}

async fn request(
    tx: &mut ControlTx,
    clock: &dyn Clock,
    operator: &Operator,
    (tenant, purpose): (&Tenant, Purpose),
    at: Option<DateTime<Utc>>,
) -> Result<ArchiveId, ControlError> {
    let id = ArchiveId(clock.new_id());
    if !repo::archive_insert(tx, (id, clock.now()), tenant, purpose, &operator.name).await? {
        let unfinished = repo::archive_unfinished(tx, tenant.id, purpose).await?;
        let id = unfinished.ok_or_else(|| DbError::Conflict("an archive was finished meanwhile".to_owned()))?;
        repo::archive_ask(tx, id, &Operator::platform().name, &operator.name).await?;
        return Ok(id);
    }
    let payload = json!({ "archive": id.0 });
    let unique_key = Some(id.to_string());
    job_enqueue(tx, NewJob { id: clock.new_id(), tenant: None, kind: EXPORT, payload, unique_key, at }).await?;
    let details = json!({ "archive": id.to_string(), "purpose": purpose.as_str() });
    record(tx, clock, operator, ("tenant.export", &tenant.slug), details).await?;
    Ok(id)
}

/// Asks for an archive of the tenant with a slug. `is_made_here`: the caller makes it by [`archive_make`], and a job does
/// where the caller does not finish.
///
/// # Errors
/// There is no such tenant, or nothing of it is left, or soon will be.
pub async fn tenant_export(
    control: &ControlDb,
    clock: &dyn Clock,
    operator: &Operator,
    slug: &str,
    is_made_here: bool,
) -> Result<Archive, ControlError> {
    let refused = |code, message: String| ControlError::refused(code, message, &["slug"]);
    let tenant = tenant_by_slug(control, slug).await?;
    let tenant =
        tenant.ok_or_else(|| refused(ControlErrorCode::TenantNotFound, format!("There is no tenant `{slug}`.")))?;
    if tenant.is_going() || tenant.status() == TenantStatus::Provisioning {
        let message = format!("The tenant is {}; there is nothing to export.", tenant.status);
        return Err(refused(ControlErrorCode::TenantStatusConflict, message));
    }
    let at = is_made_here.then(|| clock.now() + FALLBACK_AFTER);
    let id = control
        .write(async |tx: &mut ControlTx| request(tx, clock, operator, (&tenant, Purpose::Export), at).await)
        .await?;
    let archive = archive_by_id(control, id).await?;
    Ok(archive.ok_or_else(|| DbError::Other("the new archive's row was not found".to_owned()))?)
}

/// The archive with an id.
///
/// # Errors
/// The database failed.
pub async fn archive_by_id(control: &ControlDb, id: ArchiveId) -> Result<Option<Archive>, DbError> {
    repo::archive_by_id(control, id).await
}

/// One page of archives, the newest first; of one tenant, or of all.
///
/// # Errors
/// The database failed.
pub async fn archive_list(
    control: &ControlDb,
    tenant: Option<TenantId>,
    page: PageRequest<Uuid>,
) -> Result<Page<Archive>, DbError> {
    Ok(page.cut(repo::archive_list(control, tenant, &page).await?))
}

/// Makes an archive that is asked for: writes it, reads it back, and only then says that there is one. Answers it as it is
/// then; nothing where it is made or given up already, or another makes it.
///
/// Twice is safe: each try has a name and a key of its own, and the one that began last is kept.
///
/// # Errors
/// The tenant cannot be read, or the store failed; what was written is removed. Or the tenant is being deleted: then the
/// archive is given up as well.
pub async fn archive_make(
    desk: Desk<'_>,
    retention: &RetentionConfig,
    id: ArchiveId,
) -> Result<Option<Archive>, ArchiveError> {
    let Desk { control, vault, objects, clock, .. } = desk;
    let Some(archive) = archive_by_id(control, id).await? else { return Ok(None) };
    let gone = || DbError::Other("the tenant is gone".to_owned());
    let tenant = tenant_by_id(control, archive.tenant_id).await?.ok_or_else(gone)?;
    if tenant.is_going() {
        return Err(given_up(desk, id).await?);
    }
    let (key, wrapped, master) = vault.archive_key_new(archive.tenant_id, archive.id.0)?;
    let name = format!("archives/{}/{}", archive.id, crate::kernel::ids::base32_encode(clock.new_id()));
    let begin = async |tx: &mut ControlTx| repo::archive_begin(tx, id, &name, (wrapped, master)).await;
    let Some((archive, before)) = control.write::<_, DbError>(begin).await? else { return Ok(None) };
    if let Some(before) = before {
        // What an earlier try has left. Should it stay, it is noise: its key is gone.
        let _ = objects.delete(&before).await;
    }
    let written = async {
        let (packed, manifest) = export(desk, &archive, &tenant, (&name, &key)).await?;
        let read = SealedObject::open(objects, &name, &key).await?;
        let expected = Expected { sha256: packed.sha256.clone(), bytes: packed.bytes, manifest: manifest.clone() };
        verify(read, expected).await?;
        Ok::<_, ArchiveError>((packed, manifest))
    };
    let (packed, manifest) = match written.await {
        Ok(written) => written,
        Err(error) => {
            let _ = objects.delete(&name).await;
            // Whoever has begun it anew has removed what this one wrote, and makes it.
            let is_ours = archive_by_id(control, id).await?.is_some_and(|archive| archive.object_key == Some(name));
            return if is_ours { Err(error) } else { Ok(None) };
        }
    };
    let written = Written {
        bytes: i64::try_from(packed.bytes).unwrap_or(i64::MAX),
        sha256: packed.sha256,
        content_hash: bytes_of(&manifest.content_sha256),
        schema_version: manifest.schema_version.clone(),
        manifest: json!(manifest),
        expires_at: clock.now()
            + if archive.purpose() == Purpose::Audit { retention.audit } else { retention.archives },
    };
    let completed = control.write::<_, DbError>(async |tx: &mut ControlTx| {
        // What was read of a shop that is taken down is a part of it. One whose deletion has not begun by now was whole.
        if repo::tenant_hold(tx, archive.tenant_id).await?.is_none_or(|tenant| tenant.is_going()) {
            return Ok(Made::Going);
        }
        let Some(archive) = repo::archive_complete(tx, (id, clock.now()), &name, written).await? else {
            return Ok(Made::Superseded);
        };
        // Who has asked for none is told of none.
        if archive.purpose() == Purpose::Export && archive.requested_by != Operator::platform().name {
            job_enqueue(tx, ready_mail(clock, &archive)).await?;
        }
        Ok(Made::Archive(Box::new(archive)))
    });
    let made = completed.await?;
    if let Made::Archive(archive) = made {
        return Ok(Some(*archive));
    }
    let _ = objects.delete(&name).await;
    if matches!(made, Made::Going) { Err(given_up(desk, id).await?) } else { Ok(None) }
}

/// What became of an archive that was written.
enum Made {
    /// There is one.
    Archive(Box<Archive>),
    /// Another has begun it anew.
    Superseded,
    /// Its tenant is being deleted.
    Going,
}

/// Gives up an archive whose tenant is being deleted, and answers why.
async fn given_up(desk: Desk<'_>, id: ArchiveId) -> Result<ArchiveError, DbError> {
    let message = "The tenant is being deleted; there is nothing to export.".to_owned();
    archive_fail(desk.control, desk.clock, id, &message, true).await?;
    Ok(ControlError::refused(ControlErrorCode::TenantStatusConflict, message, &["archive"]).into())
}

/// Archives by their ids, which nobody changes or lets expire until the transaction ends.
///
/// # Errors
/// The database failed.
pub async fn archives_hold(tx: &mut ControlTx, ids: [ArchiveId; 2]) -> Result<Vec<Archive>, DbError> {
    repo::archives_hold(tx, ids).await
}

/// Archives of a tenant that can be opened, or are not made yet, the oldest first.
///
/// # Errors
/// The database failed.
pub async fn archive_list_left(tx: &mut ControlTx, tenant: TenantId) -> Result<Vec<Archive>, DbError> {
    repo::archive_list_left(tx, tenant).await
}

fn ready_mail(clock: &dyn Clock, archive: &Archive) -> NewJob {
    NewJob {
        id: clock.new_id(),
        tenant: Some(archive.tenant_id),
        kind: READY_MAIL,
        // The link is made when it is mailed: no secret lies in the queue.
        payload: json!({ "archive": archive.id.0 }),
        unique_key: Some(archive.id.to_string()),
        at: None,
    }
}

/// Notes why an archive was not made. One that is given up is not made any more; another may be asked for.
///
/// # Errors
/// The database failed.
pub async fn archive_fail(
    control: &ControlDb,
    clock: &dyn Clock,
    id: ArchiveId,
    error: &str,
    is_given_up: bool,
) -> Result<(), DbError> {
    let now = clock.now();
    control.write(async |tx: &mut ControlTx| repo::archive_fail(tx, (id, now), error, is_given_up).await).await
}

/// What an archive must be.
struct Expected {
    sha256: Vec<u8>,
    bytes: u64,
    manifest: Manifest,
}

/// Reads an archive back from the store, all of it: that it is whole, is what was written, and holds what its manifest says.
///
/// # Errors
/// It is not completed, is not there, is damaged, or its key or the store cannot be used.
pub async fn archive_verify(objects: &Objects, vault: &Vault, archive: &Archive) -> Result<(), ArchiveError> {
    let read = archive_open(objects, vault, archive).await?;
    let row = || ArchiveError::Damaged("its row lacks what an archive has".to_owned());
    let manifest = archive.manifest.clone().and_then(|manifest| serde_json::from_value(manifest).ok());
    let expected = Expected {
        sha256: archive.sha256.clone().ok_or_else(row)?,
        bytes: archive.bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(row)?,
        manifest: manifest.ok_or_else(row)?,
    };
    verify(read, expected).await
}

/// Opens a completed archive for reading.
///
/// # Errors
/// As [`archive_verify`].
pub async fn archive_open(objects: &Objects, vault: &Vault, archive: &Archive) -> Result<SealedObject, ArchiveError> {
    let (name, key) = (archive.object_key.as_ref(), archive_key(vault, archive)?);
    let name = name.ok_or_else(|| ArchiveError::Damaged("its row lacks what an archive has".to_owned()))?;
    let opened = SealedObject::open(objects, name, &key).await?;
    if archive.bytes.and_then(|bytes| u64::try_from(bytes).ok()) != Some(opened.size()) {
        return Err(ArchiveError::Damaged("it is not as long as what was written".to_owned()));
    }
    Ok(opened)
}

/// The key of a completed archive.
///
/// # Errors
/// The archive is not completed, or has expired; or the key cannot be used.
pub fn archive_key(vault: &Vault, archive: &Archive) -> Result<Key, ArchiveError> {
    let wrapped = archive.key_wrapped.as_deref().zip(archive.key_master.as_deref());
    match (archive.status(), wrapped) {
        (ArchiveStatus::Completed, Some((wrapped, master))) => {
            Ok(vault.archive_key(archive.tenant_id, archive.id.0, (master, wrapped))?)
        }
        (status, _) => {
            let message = match status {
                ArchiveStatus::Expired => "The archive has expired; its key is destroyed.".to_owned(),
                status => format!("The archive is {}; it cannot be read.", status.as_str()),
            };
            Err(ControlError::refused(ControlErrorCode::ArchiveStatusConflict, message, &["archive"]).into())
        }
    }
}

async fn verify(mut read: SealedObject, expected: Expected) -> Result<(), ArchiveError> {
    let check = move || {
        if digest(&mut read)? != (expected.sha256, expected.bytes) {
            return Err(ArchiveError::Damaged("it is not what was written".to_owned()));
        }
        let mut archive = Unpacked::open(read)?;
        if archive.manifest()? != expected.manifest {
            return Err(ArchiveError::damaged("manifest.json", "not what was written"));
        }
        for table in &expected.manifest.tables {
            let mut rows = 0;
            let hash = archive.lines(&table.entry(), |_| {
                rows += 1;
                Ok(())
            })?;
            if hash != table.entry_sha256 || rows != table.rows {
                return Err(ArchiveError::damaged(&table.entry(), "not what the manifest says"));
            }
        }
        if archive.lines("audit/anchors.ndjson", |_| Ok(()))? != expected.manifest.anchors.entry_sha256 {
            return Err(ArchiveError::damaged("audit/anchors.ndjson", "not what the manifest says"));
        }
        if let Some(terms) = &expected.manifest.terms
            && archive.lines(ENTRY, |_| Ok(()))? != terms.entry_sha256
        {
            return Err(ArchiveError::damaged(ENTRY, "not what the manifest says"));
        }
        Ok(())
    };
    tokio::task::spawn_blocking(check).await.map_err(|error| ArchiveError::File(error.to_string()))?
}

/// Asks for an archive of each open tenant of whom there was none for so long, [`BATCH`] at most; answers how many. Twice is safe:
/// there is one then.
///
/// # Errors
/// The database failed.
pub async fn archive_schedule(control: &ControlDb, clock: &dyn Clock, every: TimeDelta) -> Result<usize, ControlError> {
    let ask = async |tx: &mut ControlTx| {
        let tenants = repo::tenant_list_unarchived(tx, clock.now() - every, BATCH).await?;
        for tenant in &tenants {
            archive_request(tx, clock, &Operator::platform(), tenant, Purpose::Export).await?;
        }
        Ok::<_, ControlError>(tenants.len())
    };
    control.write(ask).await
}

/// Destroys the keys of archives that are to be kept no longer, removes objects that nobody can open any more, and gives
/// up archives that nobody makes. Twice is safe: what is gone is gone.
///
/// # Errors
/// The database or the store failed; what is left is left to the next sweep.
pub async fn archive_sweep(control: &ControlDb, objects: &Objects, clock: &dyn Clock) -> Result<(), ArchiveError> {
    let now = clock.now();
    // Each page leaves fewer, so the loop ends; no key waits for the next sweep, however many are over.
    loop {
        let over = repo::archive_list_over(control, now, BATCH).await?;
        for archive in &over {
            let expire = async |tx: &mut ControlTx| {
                let is_over = repo::archive_expire(tx, archive.id, now).await?;
                if is_over {
                    let details = json!({ "archive": archive.id.to_string(), "purpose": archive.purpose });
                    record(tx, clock, &Operator::platform(), ("archive.expire", &archive.slug), details).await?;
                }
                Ok::<_, DbError>(())
            };
            control.write(expire).await?;
        }
        if (over.len() as i64) < BATCH {
            break;
        }
    }
    for id in repo::archive_list_orphaned(control, EXPORT, now - ORPHANED_AFTER).await? {
        archive_fail(control, clock, id, "nobody makes it any more", true).await?;
    }
    leftovers_delete(control, objects).await
}

/// Removes objects that nobody can open any more. One that cannot be removed keeps no other, and is told at the end.
async fn leftovers_delete(control: &ControlDb, objects: &Objects) -> Result<(), ArchiveError> {
    let (mut after, mut failed) = (None, None);
    loop {
        let page = repo::archive_list_leftover(control, after, BATCH).await?;
        for archive in &page {
            let Some(name) = &archive.object_key else { continue };
            match objects.delete(name).await {
                Ok(()) => {
                    let gone = async |tx: &mut ControlTx| repo::archive_object_gone(tx, archive.id).await;
                    control.write::<_, DbError>(gone).await?;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match page.last() {
            Some(archive) => after = Some(archive.id),
            None => return failed.map_or(Ok(()), |error| Err(error.into())),
        }
    }
}

/// Wraps the keys of all archives under the first master key, some a transaction, and answers how many were not yet.
///
/// # Errors
/// The database failed, or a master key is missing.
pub async fn archive_rewrap_all(control: &ControlDb, vault: &Vault) -> Result<usize, ControlError> {
    let (mut after, mut count) = (None, 0);
    loop {
        let page = control
            .write(async |tx: &mut ControlTx| {
                let archives = repo::archive_list_keyed(tx, after, BATCH).await?;
                for archive in &archives {
                    let wrapped = archive.key_master.as_deref().zip(archive.key_wrapped.as_deref());
                    let Some(wrapped) = wrapped else { continue };
                    if let Some(anew) = vault.archive_key_rewrap(archive.tenant_id, archive.id.0, wrapped)? {
                        repo::archive_rewrap(tx, archive.id, anew).await?;
                        count += 1;
                    }
                }
                Ok::<_, ControlError>(archives.last().map(|archive| archive.id))
            })
            .await?;
        // Each page begins behind the last one's end, so the loop ends with the archives.
        match page {
            Some(last) => after = Some(last),
            None => return Ok(count),
        }
    }
}

/// How many archives' keys each master key wraps.
///
/// # Errors
/// The database failed.
pub async fn archive_count_by_master(control: &ControlDb) -> Result<Vec<(String, i64)>, DbError> {
    repo::archive_count_by_master(control).await
}
