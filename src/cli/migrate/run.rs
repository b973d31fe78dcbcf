//! Leading a run at the command line, or following one that another process leads.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use futures_util::future::{FutureExt as _, Shared};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::report::{failures, print_run, print_skipped, run_json};
use super::{Start, bridge};
use crate::app::{owner, urls};
use crate::cli::keys::vault;
use crate::cli::operator;
use crate::cli::output::{error, print_line};
use crate::cli::tenant::databases;
use crate::config::Config;
use crate::control::error::ControlErrorCode;
use crate::control::migrations::drive::{Driver, Ended, Lease};
use crate::control::migrations::model::Progress;
use crate::control::migrations::service::{progress, run_by_id, run_current};
use crate::control::migrations::{MigrationSet, Options, Run, RunStatus};
use crate::control::tenants::keys::make_missing;
use crate::db::migrate::migrate_control;
use crate::db::migrate::notes::Direction;
use crate::db::{ControlDb, OwnerDb};
use crate::failure::Failure;
use crate::http::serve::stop_signal;
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::ids::{MigrationRunId, base32_encode};

/// The pause between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where a run is led from.
pub(super) struct Site {
    pub(super) control: ControlDb,
    pub(super) set: MigrationSet,
    owner: OwnerDb,
}

/// What bringing everything up to date came to.
pub(in crate::cli) struct Outcome {
    /// Migrations of the control plane that ran.
    pub control: usize,
    /// Tenants that got keys.
    pub keys: usize,
    /// The run, if there was anything to do.
    pub run: Option<Run>,
    /// How it ended.
    pub progress: Progress,
    /// Tenants whose step was given up, by slug, and why.
    pub failed: Vec<(String, String)>,
}

impl Site {
    pub(super) fn new(config: &Config, set: MigrationSet) -> anyhow::Result<Self> {
        Ok(Self { control: databases(config)?.0, set, owner: owner(urls(config)?)? })
    }
}

/// Brings everything up to date, and fails if a tenant could not be.
pub(super) async fn everything(config: &Config, set: MigrationSet, json: bool) -> anyhow::Result<()> {
    let Outcome { control, keys, run, progress, failed } = all(config, set, &Options::default(), !json).await?;
    if json {
        let failed: Vec<_> = failed.iter().map(|(slug, error)| json!({ "slug": slug, "error": error })).collect();
        let run = run.as_ref().map(|run| run_json(run, &progress));
        let answer = json!({
            "control": control, "keys": keys, "tenants": progress.completed, "failed": failed, "run": run,
        });
        print_line(format_args!("{answer}"))?;
    } else {
        print_line(format_args!("control plane: {control} migrations; tenants: {} migrated", progress.completed))?;
        if let Some(run) = &run {
            print_skipped(&databases(config)?.0, run).await?;
        }
        if keys > 0 {
            print_line(format_args!("keys were made for {keys} tenants that had none"))?;
        }
    }
    for (slug, error) in &failed {
        eprintln!("{slug}: {error}");
    }
    match &run {
        Some(run) => verdict(run, &progress),
        None => Ok(()),
    }
}

/// Migrates the control plane, makes keys for tenants that have none, and leads a run for those that are behind.
pub(in crate::cli) async fn all(
    config: &Config,
    set: MigrationSet,
    options: &Options,
    with_bar: bool,
) -> anyhow::Result<Outcome> {
    let site = Site::new(config, set)?;
    let control = migrate_control(&site.owner).await?;
    let keys = make_missing(&site.owner, &vault(config), &SystemClock, &operator()).await.map_err(error)?;
    let mut outcome = Outcome { control, keys, run: None, progress: Progress::default(), failed: Vec::new() };
    if let Some(run) = begin(&site, options, false).await? {
        let run = follow(&site, run.id, with_bar).await?;
        outcome.progress = progress(&site.control, run.id).await?;
        outcome.failed = failures(&site.control, run.id).await?;
        outcome.run = Some(run);
    }
    Ok(outcome)
}

/// `shelfwise migrate run`.
pub(super) async fn start(config: &Config, set: MigrationSet, wanted: &Start) -> anyhow::Result<()> {
    let site = Site::new(config, set)?;
    migrate_control(&site.owner).await?;
    let Some(run) = begin(&site, &wanted.into(), wanted.detach).await? else {
        if wanted.json {
            print_line(format_args!("{}", json!({ "run": null })))?;
        } else {
            print_line(format_args!("every schema is at the newest version"))?;
        }
        return Ok(());
    };
    let run = if wanted.detach { run } else { follow(&site, run.id, !wanted.json).await? };
    print_run(&site.control, &run, wanted.json).await?;
    if wanted.detach { Ok(()) } else { judge(&site.control, &run).await }
}

/// The run that is under way, or a new one; `None` where nothing is behind. One that is paused is not resumed by the way.
async fn begin(site: &Site, options: &Options, by_job: bool) -> anyhow::Result<Option<Run>> {
    if let Some(run) = run_current(&site.control).await? {
        match run.status() {
            RunStatus::Running => {
                is_ours(&run, &site.set)?;
                return Ok(Some(run));
            }
            RunStatus::Paused if !options.supersede => bail!(
                "the run {} is paused: {}; resume it, retry it or roll it back, or start another with --supersede",
                run.id,
                run.pause_reason.unwrap_or_default()
            ),
            _ => {}
        }
    }
    match bridge(&site.control, &site.set, &operator(), by_job).run_start(options).await {
        Ok(run) => Ok(Some(run)),
        Err(Failure::Refused(refusals)) if refusals[0].code == ControlErrorCode::MigrationNothingToDo => Ok(None),
        Err(failure) => Err(error(failure)),
    }
}

/// Refuses to go on with a run that brings the fleet to somewhere else than here.
fn is_ours(run: &Run, set: &MigrationSet) -> anyhow::Result<()> {
    let id = run.id;
    ensure!(
        run.direction() == Direction::Up,
        "the run {id} takes the fleet back: wait for its end, or pause it, and then `shelfwise migrate run --supersede`"
    );
    ensure!(
        run.target_version == set.newest(),
        "the run {id} goes to version {}, and this release to {}: wait for its end, or pause it, and then `shelfwise migrate \
         run --supersede`",
        run.target_version,
        set.newest()
    );
    Ok(())
}

/// Leads a run, or watches another lead it, until it ends or is paused. Ctrl-C leaves it to whoever comes next.
pub(super) async fn follow(site: &Site, id: MigrationRunId, with_bar: bool) -> anyhow::Result<Run> {
    let stop = stop_signal()?.boxed().shared();
    let name = format!("{} {}", operator().name, base32_encode(SystemClock.new_id()));
    let driver = Driver {
        control: site.control.clone(),
        owner: site.owner.clone(),
        set: site.set.clone(),
        clock: Arc::new(SystemClock),
        name,
        lease: Lease::default(),
    };
    let bar = if with_bar { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} schemas {per_sec} {eta} {msg}")?);
    let result = tokio::select! {
        result = lead(&driver, id, &stop) => result,
        never = show(site, id, &bar) => never,
    };
    bar.finish_and_clear();
    result?;
    ensure!(stop.peek().is_none(), "stopped; `shelfwise migrate run` goes on with the run {id}");
    run_by_id(&site.control, id).await?.ok_or_else(|| anyhow::anyhow!("the run {id} is gone"))
}

type Stop = Shared<futures_util::future::BoxFuture<'static, ()>>;

async fn lead(driver: &Driver, id: MigrationRunId, stop: &Stop) -> anyhow::Result<()> {
    loop {
        match driver.drive(id, stop.clone()).await? {
            Ended::Completed | Ended::Paused => return Ok(()),
            Ended::Unknown => bail!("this release does not know the migrations of the run {id}"),
            Ended::Elsewhere => {
                // Whoever leads it may be lost: its lease is over soon then.
                tokio::select! {
                    () = stop.clone() => return Ok(()),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }
}

/// Shows how far a run is, for ever.
async fn show(site: &Site, id: MigrationRunId, bar: &ProgressBar) -> anyhow::Result<()> {
    loop {
        if !bar.is_hidden() {
            let progress = progress(&site.control, id).await?;
            bar.set_length(u64::try_from(progress.total).unwrap_or(0));
            bar.set_position(u64::try_from(progress.ended()).unwrap_or(0));
            bar.set_message(format!("{} failed, {} tried again", progress.failed, progress.retrying));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether a run came to what it was for.
pub(super) async fn judge(control: &ControlDb, run: &Run) -> anyhow::Result<()> {
    verdict(run, &progress(control, run.id).await?)
}

fn verdict(run: &Run, progress: &Progress) -> anyhow::Result<()> {
    let reason = run.pause_reason.as_deref().unwrap_or_default();
    match run.status() {
        RunStatus::Completed => {}
        RunStatus::Paused => bail!("the run is paused: {reason}"),
        RunStatus::Abandoned => bail!("the run was abandoned: {reason}"),
        RunStatus::Running => bail!("the run is still running"),
    }
    ensure!(progress.failed == 0, "{} tenants were not migrated; run it again", progress.failed);
    Ok(())
}
