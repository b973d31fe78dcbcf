//! `shelfwise tenant`: what operators do with tenants at the command line.

use std::convert::Infallible;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::ExposeSecret as _;

use super::keys::vault;
use super::note;
use super::output::{error, print_line, print_tenant};
use super::{archives, audit, documents, drift, offboard, operator, plans, provision, webhooks};
use crate::app::{runtime, urls};
use crate::config::Config;
use crate::control::isolation::verify;
use crate::control::tenants::keys::tenant_rotate_key;
use crate::control::tenants::{Tenant, service};
use crate::db::pool::Pool;
use crate::db::probe::Breach;
use crate::db::tls::Target;
use crate::db::{ControlDb, News, TenantDb, TenantTx};
use crate::kernel::actor::Actor;
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::ids::{ArchiveId, TenantId, base32_encode};
use crate::kernel::page::{Direction, PageRequest};
use crate::kernel::tenant::TenantCtx;
use crate::news::{Carrier, announce};
use crate::tenant::catalog::import::model::{Import, ImportOptions, OnConflict, OnInvalidIsbn};
use crate::tenant::catalog::import::service::{book_import, row_error_list};
use crate::tenant::journal::{self, Act};
use crate::vault::Vault;

/// Rows that a list reads at once.
const PAGE_ROWS: usize = 500;

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a tenant with its schema, first data and owner, or all tenants of a file.
    Provision(provision::Args),
    /// Copy a tenant as a sandbox, without its people.
    Clone(provision::CloneArgs),
    /// List all tenants.
    List {
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Close a tenant to its users; its data stays.
    Suspend {
        /// The tenant.
        slug: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Open a suspended tenant again.
    Resume {
        /// The tenant.
        slug: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put a tenant on another plan.
    ChangePlan {
        /// The tenant.
        slug: String,
        /// The plan.
        plan: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// See and change what is agreed with a tenant in the place of its plan's limits.
    #[command(subcommand)]
    Limit(plans::LimitCommand),
    /// Close a tenant, archive it, and delete it after a grace period; call that off; tell how far it is; print its certificate.
    Offboard(offboard::Offboard),
    /// Give a tenant a new data key; what earlier ones sealed, they open.
    RotateKey {
        /// The tenant.
        slug: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let every tenant try what must not be possible, and fail if anything is.
    VerifyIsolation {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell where schemas are not what their migrations make, and fail if any is not.
    Drift {
        /// The tenant; all of them where none is named.
        slug: Option<String>,
        /// Print JSON, one object a tenant.
        #[arg(long)]
        json: bool,
    },
    /// Recompute a tenant's trail, and fail if anything of it was changed or removed.
    VerifyAudit {
        /// The tenant.
        slug: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Import a catalogue from a CSV file.
    Import {
        /// The tenant.
        slug: String,
        /// The file.
        file: PathBuf,
        /// What becomes of a row whose book exists already.
        #[arg(long, value_enum, default_value_t = OnConflict::Skip)]
        on_conflict: OnConflict,
        /// What becomes of a row whose ISBN is not one.
        #[arg(long, value_enum, default_value_t = OnInvalidIsbn::Reject)]
        on_invalid_isbn: OnInvalidIsbn,
        /// Print JSON and no progress bar.
        #[arg(long)]
        json: bool,
    },
    /// Trust the operations of a tenant's frontend, by the file that the frontend's build wrote.
    Documents {
        /// The tenant.
        slug: String,
        /// JSON: documents by their SHA-256, Apollo's manifest of operations, or a list of documents.
        file: PathBuf,
        /// Trust these alone, and none of those that were trusted before.
        #[arg(long)]
        replace: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make an archive of a tenant: all that it has, in one sealed file in the object store.
    Export {
        /// The tenant.
        slug: String,
        /// Write the archive, opened, to this file as well.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Bring an archive back as a tenant, all of it or nothing.
    Restore {
        /// The archive's id, or its file.
        archive: String,
        /// The new tenant's name in addresses.
        #[arg(long = "as", value_name = "SLUG")]
        slug: String,
        /// Its name for people; the one in the archive where none is said.
        #[arg(long)]
        name: Option<String>,
        /// Print JSON and no progress.
        #[arg(long)]
        json: bool,
    },
    /// List archives, the newest first.
    Archives {
        /// Only those of this tenant.
        slug: Option<String>,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Read an archive back, all of it, and fail if it is not what was written.
    VerifyArchive {
        /// The archive.
        id: ArchiveId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Suspend, resume and list a tenant's webhooks, replay their deliveries, and list those of all tenants that are not well.
    #[command(subcommand)]
    Webhooks(webhooks::Command),
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Provision(args) => provision::run(config, args).await?,
        Command::Clone(args) => provision::clone(config, &args).await?,
        Command::List { json } => list(&databases(config)?.0, json).await?,
        Command::Suspend { slug, reason, json } => {
            let control = databases(config)?.0;
            let tenant =
                service::tenant_suspend(&control, &SystemClock, &operator(), &slug, &reason).await.map_err(error)?;
            print_tenant(&tenant, json)?;
        }
        Command::Resume { slug, json } => {
            let control = databases(config)?.0;
            print_tenant(
                &service::tenant_resume(&control, &SystemClock, &operator(), &slug).await.map_err(error)?,
                json,
            )?;
        }
        Command::ChangePlan { slug, plan, json } => plans::change(config, &slug, &plan, json).await?,
        Command::Limit(command) => plans::limit(config, command).await?,
        Command::Offboard(asked) => offboard::run(config, asked).await?,
        Command::RotateKey { slug, json } => {
            let control = databases(config)?.0;
            let tenant = tenant_rotate_key(&control, &vault(config), &SystemClock, &operator(), &slug).await;
            print_tenant(&tenant.map_err(error)?, json)?;
        }
        Command::VerifyIsolation { json } => verify_isolation(config, json).await?,
        Command::Drift { slug, json } => drift::run(config, slug.as_deref(), json).await?,
        Command::VerifyAudit { slug, json } => audit::run(config, &slug, json).await?,
        Command::Import { slug, file, on_conflict, on_invalid_isbn, json } => {
            let options = ImportOptions { id: None, on_conflict, on_invalid_isbn };
            let (control, tenants) = databases(config)?;
            let context = context(&control, &slug).await?;
            note(&control, ("tenant.import", &slug), serde_json::json!({})).await?;
            let (news, tenant) = (News::default(), context.id);
            let (tenants, vault) = (tenants.with_news(news.clone()), vault(config));
            let work = import(&tenants, &vault, context, &file, options, json);
            telling(config, &control, news, tenant, work).await?;
        }
        Command::Documents { slug, file, replace, json } => documents::run(config, &slug, &file, replace, json).await?,
        Command::Export { slug, out, json } => archives::export(config, &slug, out.as_deref(), json).await?,
        Command::Restore { archive, slug, name, json } => {
            archives::restore(config, &archive, slug, name, json).await?;
        }
        Command::Archives { slug, json } => archives::list(config, slug.as_deref(), json).await?,
        Command::VerifyArchive { id, json } => archives::verify(config, id, json).await?,
        Command::Webhooks(command) => webhooks::run(config, command).await?,
    }
    Ok(())
}

/// Does what changes a shop, telling all servers. They miss this process if it is killed meanwhile.
async fn telling(
    config: &Config,
    control: &ControlDb,
    news: News,
    tenant: TenantId,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let listen = Target::from_url(urls(config)?.listen.expose_secret()).context("DATABASE_LISTEN_URL")?;
    let name = base32_encode(SystemClock.new_id());
    let carrier = Carrier { news: news.clone(), control: control.clone(), redis: None, name };
    let carry = async {
        carrier.run(listen).await;
        std::future::pending::<Infallible>().await
    };
    let work = async {
        let done = work.await;
        (done, news.leave().await)
    };
    let (done, is_told) = tokio::select! {
        never = carry => match never {},
        done = work => done,
    };
    if !is_told {
        announce(control, Some(tenant)).await?;
    }
    done
}

/// The databases of both planes.
pub(super) fn databases(config: &Config) -> anyhow::Result<(ControlDb, TenantDb)> {
    let timeout = config.database.checkout_timeout;
    let target = runtime(config)?;
    let tenants = Pool::new(target.clone(), 2, timeout, config.database.tenants_per_connection_max);
    Ok((ControlDb::new(Pool::control(target, timeout)), TenantDb::new(tenants)))
}

/// The context of a tenant, whatever its state: an operator works on suspended ones too.
pub(super) async fn context(control: &ControlDb, slug: &str) -> anyhow::Result<Arc<TenantCtx>> {
    let tenant =
        service::tenant_by_slug(control, slug).await?.with_context(|| format!("there is no tenant `{slug}`"))?;
    tenant.context().context("the tenant's entry holds what this version cannot read")
}

async fn verify_isolation(config: &Config, json: bool) -> anyhow::Result<()> {
    let (control, tenants) = databases(config)?;
    let report = verify(&control, &tenants).await?;
    if json {
        let breach = |(slug, breach): &(String, Breach)| serde_json::json!({ "slug": slug, "attempt": breach.attempt, "outcome": breach.outcome });
        let breaches: Vec<_> = report.breaches.iter().map(breach).collect();
        print_line(format_args!(
            "{}",
            serde_json::json!({ "tenants": report.tenants, "attempts": report.attempts, "breaches": breaches })
        ))?;
    } else {
        print_line(format_args!(
            "{} tenants made {} attempts: {} were not denied",
            report.tenants,
            report.attempts,
            report.breaches.len()
        ))?;
        for (slug, breach) in &report.breaches {
            print_line(format_args!("{slug}: {}: {}", breach.attempt, breach.outcome))?;
        }
    }
    anyhow::ensure!(report.breaches.is_empty(), "the wall has holes");
    Ok(())
}

/// The tenant with a slug, or all of them in the order of their slugs.
pub(super) async fn tenants_of(control: &ControlDb, slug: Option<&str>) -> anyhow::Result<Vec<Tenant>> {
    if let Some(slug) = slug {
        let tenant = service::tenant_by_slug(control, slug).await?;
        return Ok(vec![tenant.with_context(|| format!("there is no tenant `{slug}`"))?]);
    }
    let (mut tenants, mut from) = (Vec::new(), None);
    loop {
        let request = PageRequest { limit: PAGE_ROWS, direction: Direction::Forward, from };
        let page = service::tenant_list(control, request).await?;
        let last = page.items.last().map(|tenant| tenant.slug.clone());
        tenants.extend(page.items);
        // Each page starts behind the last one's end, so the loop ends with the list.
        match last {
            Some(slug) if page.has_next => from = Some(slug),
            _ => return Ok(tenants),
        }
    }
}

async fn list(control: &ControlDb, json: bool) -> anyhow::Result<()> {
    for tenant in tenants_of(control, None).await? {
        print_tenant(&tenant, json)?;
    }
    Ok(())
}

async fn import(
    tenants: &TenantDb,
    vault: &Vault,
    context: Arc<TenantCtx>,
    path: &std::path::Path,
    options: ImportOptions,
    json: bool,
) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(file.metadata()?.len()) };
    bar.set_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg} {eta}")?);
    let session = tenants.session(Arc::clone(&context));
    let reader = bar.wrap_read(file);
    let on_progress = |rows: i32| bar.set_message(format!("{rows} rows"));
    let work = async |tx: &mut TenantTx| {
        book_import(tx, &Actor::System, &SystemClock, &context, reader, options, on_progress).await
    };
    let act = Act::of_system("book.import", &context, vault, &SystemClock);
    let import = journal::service::write(&session, act, work).await.map_err(error)?;
    bar.finish_and_clear();
    if json {
        print_line(format_args!("{}", import_json(&import)))?;
    } else {
        print_line(format_args!(
            "{} rows: {} created, {} updated, {} unchanged, {} rejected",
            import.row_count, import.created_count, import.updated_count, import.unchanged_count, import.rejected_count
        ))?;
    }
    report_rejected(&session.read().await?, &import, json).await?;
    session.finish().await;
    Ok(())
}

async fn report_rejected(read: &crate::db::TenantRead, import: &Import, json: bool) -> anyhow::Result<()> {
    let mut from = None;
    loop {
        let request = PageRequest { limit: PAGE_ROWS, direction: Direction::Forward, from };
        let page = row_error_list(read, &Actor::System, import.id, request).await.map_err(error)?;
        for (_, row) in &page.items {
            let column = row.column_name.as_deref().unwrap_or("-");
            if json {
                let row = serde_json::json!({ "line": row.line, "column": row.column_name, "code": row.code, "message": row.message });
                print_line(format_args!("{row}"))?;
            } else {
                print_line(format_args!("line {}, {column}: {} {}", row.line, row.code, row.message))?;
            }
        }
        match page.items.last() {
            Some((position, _)) if page.has_next => from = Some(*position),
            _ => return Ok(()),
        }
    }
}

fn import_json(import: &Import) -> serde_json::Value {
    serde_json::json!({
        "id": import.id.to_string(),
        "status": import.status,
        "rows": import.row_count,
        "created": import.created_count,
        "updated": import.updated_count,
        "unchanged": import.unchanged_count,
        "rejected": import.rejected_count,
    })
}
