//! `shelfwise migrate`: the control plane first, then every schema of the fleet that is behind.

mod report;
mod run;

use anyhow::ensure;
use clap::Subcommand;

use super::operator;
use super::output::{error, print_line};
use super::tenant::databases;
use crate::config::Config;
use crate::control::migrations::service::{self, Bridge, plan, tenants_too_old};
use crate::control::migrations::{MigrationSet, Options, Run};
use crate::db::ControlDb;
use crate::kernel::clock::SystemClock;
use crate::kernel::ids::MigrationRunId;
use report::{plan_json, print_plan, print_run};
pub(super) use run::all;
use run::{Site, follow, start};

/// How many tenants `check` names.
const NAMED_MAX: i64 = 20;

/// What to do with the fleet: without a word, all that is to be done.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print JSON and no progress bar.
    #[arg(long)]
    json: bool,
}

/// What to do with the fleet.
#[derive(Debug, Subcommand)]
enum Command {
    /// Tell what a run would do, and change nothing.
    Plan {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Bring every schema to the newest version; goes on with a run that is under way.
    Run(Start),
    /// Tell how far a run is.
    Status(Which),
    /// Have a run do no more steps before it is resumed.
    Pause {
        /// The run; the one that has not ended where none is said.
        run: Option<MigrationRunId>,
        /// Why, for other operators.
        #[arg(long)]
        reason: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have a paused run go on. What has failed in it stays failed.
    Resume(Act),
    /// Have what has failed in a run tried again.
    Retry(Act),
    /// Take back what a run has done.
    Rollback(Act),
    /// Fail while this release does not work on some tenant's schema: for a deploy to ask.
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// How a run goes.
#[derive(Debug, clap::Args)]
struct Start {
    /// A tenant who goes first; may be said more than once.
    #[arg(long = "canary", value_name = "SLUG")]
    canaries: Vec<String>,
    /// Schemas of a wave.
    #[arg(long, default_value_t = Options::default().wave_size)]
    wave_size: i32,
    /// Schemas that are changed at once.
    #[arg(long, default_value_t = Options::default().concurrency)]
    concurrency: i16,
    /// The share of a wave's steps that may fail before the run pauses itself.
    #[arg(long, default_value_t = Options::default().error_rate_max)]
    error_rate_max: f64,
    /// After so many attempts a step is given up.
    #[arg(long, default_value_t = Options::default().attempts_max)]
    attempts_max: i16,
    /// How long a step waits for a lock, and so may keep a shop waiting.
    #[arg(long, default_value_t = Options::default().lock_timeout_ms)]
    lock_timeout_ms: i32,
    /// Pause when spare schemas and canaries are done.
    #[arg(long)]
    hold_after_canaries: bool,
    /// Abandon a paused run that is in the way.
    #[arg(long)]
    supersede: bool,
    /// Leave it to a worker, and do not wait.
    #[arg(long)]
    detach: bool,
    /// Print JSON and no progress bar.
    #[arg(long)]
    json: bool,
}

/// A run.
#[derive(Debug, clap::Args)]
struct Which {
    /// The run; the one that has not ended, or else the newest, where none is said.
    run: Option<MigrationRunId>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A run that goes on.
#[derive(Debug, clap::Args)]
struct Act {
    /// The run; the one that has not ended, or else the newest, where none is said.
    run: Option<MigrationRunId>,
    /// Leave it to a worker, and do not wait.
    #[arg(long)]
    detach: bool,
    /// Print JSON and no progress bar.
    #[arg(long)]
    json: bool,
}

impl From<&Start> for Options {
    fn from(start: &Start) -> Self {
        Self {
            canaries: start.canaries.clone(),
            wave_size: start.wave_size,
            concurrency: start.concurrency,
            error_rate_max: start.error_rate_max,
            attempts_max: start.attempts_max,
            lock_timeout_ms: start.lock_timeout_ms,
            hold_after_canaries: start.hold_after_canaries,
            supersede: start.supersede,
        }
    }
}

/// Does it.
pub async fn run(config: &Config, args: Args) -> anyhow::Result<()> {
    let set = MigrationSet::embedded();
    match args.command {
        None => run::everything(config, set, args.json).await,
        Some(Command::Plan { json }) => {
            let plan = plan(&databases(config)?.0, &set).await?;
            if json { Ok(print_line(format_args!("{}", plan_json(&plan)))?) } else { print_plan(&plan) }
        }
        Some(Command::Run(wanted)) => start(config, set, &wanted).await,
        Some(Command::Status(which)) => {
            let control = databases(config)?.0;
            let run = current(&control, which.run).await?;
            print_run(&control, &run, which.json).await
        }
        Some(Command::Pause { run, reason, json }) => {
            let control = databases(config)?.0;
            let paused = bridge(&control, &set, &operator(), false).run_pause(run, &reason).await.map_err(error)?;
            print_run(&control, &paused, json).await
        }
        Some(Command::Resume(act)) => go_on(config, set, &act, async |b, id| b.run_resume(id).await).await,
        Some(Command::Retry(act)) => go_on(config, set, &act, async |b, id| b.run_retry(id).await).await,
        Some(Command::Rollback(act)) => go_on(config, set, &act, async |b, id| b.run_rollback(id).await).await,
        Some(Command::Check { json }) => check(&databases(config)?.0, &set, json).await,
    }
}

fn bridge<'a>(
    control: &'a ControlDb,
    set: &'a MigrationSet,
    operator: &'a crate::control::audit::Operator,
    by_job: bool,
) -> Bridge<'a> {
    Bridge { control, set, clock: &SystemClock, operator, by_job }
}

/// The run that is meant.
async fn current(control: &ControlDb, id: Option<MigrationRunId>) -> anyhow::Result<Run> {
    let run = match id {
        Some(id) => service::run_by_id(control, id).await?,
        None => service::run_current(control).await?,
    };
    run.ok_or_else(|| anyhow::anyhow!("there is no such run"))
}

/// Has a run go on by an operator's word, and leads it or leaves it to a worker.
async fn go_on(
    config: &Config,
    set: MigrationSet,
    act: &Act,
    word: impl AsyncFnOnce(&Bridge<'_>, Option<MigrationRunId>) -> Result<Run, crate::control::error::ControlError>,
) -> anyhow::Result<()> {
    let site = Site::new(config, set)?;
    let run = word(&bridge(&site.control, &site.set, &operator(), act.detach), act.run).await.map_err(error)?;
    if act.detach {
        return print_run(&site.control, &run, act.json).await;
    }
    let run = follow(&site, run.id, !act.json).await?;
    print_run(&site.control, &run, act.json).await?;
    run::judge(&site.control, &run).await
}

async fn check(control: &ControlDb, set: &MigrationSet, json: bool) -> anyhow::Result<()> {
    let below = tenants_too_old(control, set, NAMED_MAX).await?;
    if json {
        let tenants: Vec<_> =
            below.iter().map(|(slug, version)| serde_json::json!({ "slug": slug, "version": version })).collect();
        let answer = serde_json::json!({ "versionMin": set.version_min, "tenants": tenants });
        print_line(format_args!("{answer}"))?;
    } else {
        for (slug, version) in &below {
            print_line(format_args!("{slug:<40} {version}"))?;
        }
    }
    ensure!(below.is_empty(), "this release needs version {}: migrate before the deploy", set.version_min);
    Ok(())
}
