//! `shelfwise tenant export`, `restore`, `archives` and `verify-archive`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::SubsecRound as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::keys::vault;
use super::output::{error, print_line, print_tenant};
use super::tenant::databases;
use super::{note, operator};
use crate::app::{owner, urls};
use crate::config::Config;
use crate::control::archives::contents::row::hex;
use crate::control::archives::export::Desk;
use crate::control::archives::restore::{self, From, To, tenant_restore};
use crate::control::archives::service::{
    archive_by_id, archive_fail, archive_list, archive_make, archive_open, archive_verify, tenant_export,
};
use crate::control::archives::{Archive, ArchiveStatus};
use crate::control::tenants::service::tenant_by_slug;
use crate::db::ControlDb;
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::ids::{ArchiveId, TenantId};
use crate::kernel::page::{Direction, PageRequest};
use crate::objects::Objects;

/// Rows that a list reads at once.
const PAGE_ROWS: usize = 500;

/// Makes an archive of a tenant, here and now, and writes it to a file if one is named.
pub async fn export(config: &Config, slug: &str, out: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let (control, tenants) = databases(config)?;
    let (vault, objects) = (vault(config), Objects::new(config.objects.clone()));
    // The row's time has fewer digits than the clock's.
    let started = SystemClock.now().trunc_subsecs(6);
    let asked = tenant_export(&control, &SystemClock, &operator(), slug, true).await.map_err(error)?;
    if asked.created_at < started {
        bail!("archive {} is being made already; `shelfwise tenant archives {slug}` tells when it is done", asked.id);
    }
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_message(format!("Archiving {slug}"));
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let desk = Desk { control: &control, tenants: &tenants, vault: &vault, objects: &objects, clock: &SystemClock };
    let archive = match archive_make(desk, &config.retention, asked.id).await {
        Ok(Some(archive)) => archive,
        Ok(None) => finished(&control, asked.id).await?,
        Err(error) => {
            archive_fail(&control, &SystemClock, asked.id, &error.to_string(), true).await?;
            return Err(error.into());
        }
    };
    bar.finish_and_clear();
    if let Some(path) = out {
        note(&control, ("archive.fetch", slug), json!({ "archive": archive.id.to_string() })).await?;
        write_out(&objects, config, &archive, path).await?;
    }
    print_archive(&archive, json)?;
    Ok(())
}

/// The archive that another has made meanwhile.
async fn finished(control: &ControlDb, id: ArchiveId) -> anyhow::Result<Archive> {
    let archive = archive_by_id(control, id).await?.context("the archive is gone")?;
    match archive.status() {
        ArchiveStatus::Completed => Ok(archive),
        ArchiveStatus::Failed => bail!("the archive failed: {}", archive.error.unwrap_or_default()),
        _ => bail!("another worker is making archive {id}; `shelfwise tenant archives` tells when it is done"),
    }
}

/// Writes an archive, opened, to a file that nobody else reads, and that is there when all of it is.
async fn write_out(objects: &Objects, config: &Config, archive: &Archive, path: &Path) -> anyhow::Result<()> {
    let mut opened = archive_open(objects, &vault(config), archive).await?;
    let partial = path.with_added_extension("partial");
    let target = path.to_owned();
    let write = move || {
        // What an earlier try has left may be readable for others.
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = create(&partial)?;
        let written = io::copy(&mut opened, &mut file).and_then(|_| file.sync_all());
        match written {
            Ok(()) => std::fs::rename(&partial, &target),
            Err(error) => std::fs::remove_file(&partial).and(Err(error)),
        }
    };
    tokio::task::spawn_blocking(write).await?.with_context(|| format!("cannot write {}", path.display()))
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Restores an archive, by its id or its file, as a tenant.
pub async fn restore(
    config: &Config,
    from: &str,
    slug: String,
    name: Option<String>,
    json: bool,
) -> anyhow::Result<()> {
    let (control, _) = databases(config)?;
    let owner = owner(urls(config)?)?;
    let (vault, objects) = (vault(config), Objects::new(config.objects.clone()));
    let desk =
        restore::Desk { control: &control, owner: &owner, vault: &vault, objects: &objects, clock: &SystemClock };
    let from = match from.parse::<ArchiveId>() {
        Ok(id) => From::Archive(id),
        Err(_) => From::File(PathBuf::from(from)),
    };
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_style(ProgressStyle::with_template("{spinner} {human_pos} rows {per_sec}")?);
    let to = To { id: TenantId(SystemClock.new_id()), slug, name };
    let tenant = tenant_restore(desk, &operator(), &from, to, &|rows| bar.set_position(rows)).await?;
    bar.finish_and_clear();
    print_tenant(&tenant, json)?;
    Ok(())
}

/// Lists archives, the newest first; of a tenant, or of all.
pub async fn list(config: &Config, slug: Option<&str>, json: bool) -> anyhow::Result<()> {
    let control = databases(config)?.0;
    let tenant = match slug {
        None => None,
        Some(slug) => {
            Some(tenant_by_slug(&control, slug).await?.with_context(|| format!("there is no tenant `{slug}`"))?)
        }
    };
    let mut from = None;
    loop {
        let request = PageRequest { limit: PAGE_ROWS, direction: Direction::Forward, from };
        let page = archive_list(&control, tenant.as_ref().map(|tenant| tenant.id), request).await?;
        for archive in &page.items {
            print_archive(archive, json)?;
        }
        // Each page starts behind the last one's end, so the loop ends with the list.
        match page.items.last() {
            Some(archive) if page.has_next => from = Some(archive.id.0),
            _ => return Ok(()),
        }
    }
}

/// Reads an archive back, all of it, and fails if it is not what was written.
pub async fn verify(config: &Config, id: ArchiveId, json: bool) -> anyhow::Result<()> {
    let control = databases(config)?.0;
    let archive = archive_by_id(&control, id).await?.with_context(|| format!("there is no archive `{id}`"))?;
    archive_verify(&Objects::new(config.objects.clone()), &vault(config), &archive).await?;
    print_archive(&archive, json)?;
    Ok(())
}

fn print_archive(archive: &Archive, json: bool) -> io::Result<()> {
    if json {
        let object = json!({
            "id": archive.id.to_string(),
            "tenant": archive.slug,
            "purpose": archive.purpose,
            "status": archive.status,
            "schemaVersion": archive.schema_version,
            "bytes": archive.bytes,
            "sha256": archive.sha256.as_deref().map(hex),
            "contentSha256": archive.content_hash.as_deref().map(hex),
            "error": archive.error,
            "createdAt": archive.created_at,
            "finishedAt": archive.finished_at,
            "expiresAt": archive.expires_at,
        });
        return print_line(format_args!("{object}"));
    }
    let bytes = archive.bytes.map(|bytes| format!("{bytes} bytes")).unwrap_or_default();
    let Archive { id, slug, purpose, status, .. } = archive;
    print_line(format_args!("{id} {slug:<40} {purpose:<12} {status:<10} {bytes}"))
}
