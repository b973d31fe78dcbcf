//! `shelfwise jobs`: what operators do with the queue at the command line.

use anyhow::ensure;
use clap::{Args, Subcommand};

use super::operator;
use super::output::{error, print_line};
use super::tenant::databases;
use crate::config::Config;
use crate::control::jobs::model::{JobFilter, JobRow};
use crate::control::jobs::service::{BULK_MAX, Desk, job_list, job_stats};
use crate::db::{Bell, ControlDb};
use crate::jobs::JobState;
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::ids::JobId;
use crate::kernel::page::{Direction, PageRequest};

/// Rows that a list reads at once.
const PAGE_ROWS: usize = 500;

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List jobs, the newest first.
    List {
        /// Only those of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Only those of this kind.
        #[arg(long)]
        kind: Option<String>,
        /// Only those in this state: available, scheduled, running, retryable, completed, cancelled or discarded.
        #[arg(long)]
        state: Option<JobState>,
        /// So many at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Count jobs by kind and state.
    Stats {
        /// Only those of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a dead letter or a cancelled job available once more, or many dead letters.
    Replay(Which),
    /// Put a dead letter away, or many of them.
    Discard(Which),
    /// Call a job off, be it waiting or running.
    Cancel {
        /// The job.
        id: JobId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// One job, or many dead letters.
#[derive(Debug, Args)]
pub struct Which {
    /// The job.
    id: Option<JobId>,
    /// All dead letters of this tenant.
    #[arg(long, conflicts_with = "id")]
    tenant: Option<String>,
    /// All dead letters of this kind.
    #[arg(long, conflicts_with = "id")]
    kind: Option<String>,
    /// All dead letters.
    #[arg(long, conflicts_with_all = ["id", "tenant", "kind"])]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let control = databases(config)?.0;
    // Workers are other processes; they look by themselves within a second, and beat within ten.
    let bell = Bell::default();
    let desk = Desk { control: &control, bell: &bell, clock: &SystemClock, operator: &operator() };
    match command {
        Command::List { tenant, kind, state, limit, json } => {
            list(&control, &JobFilter { tenant, kind, state }, limit, json).await
        }
        Command::Stats { tenant, json } => stats(&control, tenant, json).await,
        Command::Replay(which) => match which.id {
            Some(id) => Ok(print_job(&desk.job_replay(id).await.map_err(error)?, which.json)?),
            None => many(&which, async |filter| desk.jobs_replay(filter).await.map_err(error)).await,
        },
        Command::Discard(which) => match which.id {
            Some(id) => Ok(print_job(&desk.job_discard(id).await.map_err(error)?, which.json)?),
            None => many(&which, async |filter| desk.jobs_discard(filter).await.map_err(error)).await,
        },
        Command::Cancel { id, json } => Ok(print_job(&desk.job_cancel(id).await.map_err(error)?, json)?),
    }
}

/// Does something to many dead letters, and prints to how many.
async fn many(which: &Which, act: impl AsyncFn(JobFilter) -> anyhow::Result<usize>) -> anyhow::Result<()> {
    let is_told = which.all || which.tenant.is_some() || which.kind.is_some();
    ensure!(is_told, "say which: a job's id, --tenant, --kind, or --all");
    let filter = JobFilter { tenant: which.tenant.clone(), kind: which.kind.clone(), state: Some(JobState::Discarded) };
    let mut total = 0;
    loop {
        let count = act(filter.clone()).await?;
        total += count;
        // A full batch leaves some; anything less was the rest.
        if count < BULK_MAX {
            break;
        }
    }
    if which.json {
        print_line(format_args!("{}", serde_json::json!({ "count": total })))?;
    } else {
        print_line(format_args!("{total} jobs"))?;
    }
    Ok(())
}

async fn list(control: &ControlDb, filter: &JobFilter, limit: usize, json: bool) -> anyhow::Result<()> {
    let (mut from, mut left) = (None, limit);
    while left > 0 {
        let request = PageRequest { limit: left.min(PAGE_ROWS), direction: Direction::Forward, from };
        let page = job_list(control, filter.clone(), request).await?;
        for job in &page.items {
            print_job(job, json)?;
        }
        left -= page.items.len();
        match page.items.last() {
            Some(job) if page.has_next => from = Some(job.id.0),
            _ => break,
        }
    }
    Ok(())
}

async fn stats(control: &ControlDb, tenant: Option<String>, json: bool) -> anyhow::Result<()> {
    let slug = tenant.clone().unwrap_or_default();
    let Some(stats) = job_stats(control, tenant).await? else { anyhow::bail!("there is no tenant `{slug}`") };
    let oldest = stats.oldest_due_at.map(|at| (SystemClock.now() - at).num_seconds().max(0));
    if json {
        let count = |count: &crate::control::jobs::model::JobCount| serde_json::json!({ "kind": count.kind, "state": count.state, "count": count.count });
        let counts: Vec<_> = stats.counts.iter().map(count).collect();
        print_line(format_args!("{}", serde_json::json!({ "counts": counts, "oldestDueSeconds": oldest })))?;
        return Ok(());
    }
    for count in &stats.counts {
        print_line(format_args!("{:<40} {:<12} {:>10}", count.kind, count.state, count.count))?;
    }
    match oldest {
        Some(seconds) => print_line(format_args!("the oldest that may be claimed has waited for {seconds} s"))?,
        None => print_line(format_args!("none may be claimed"))?,
    }
    Ok(())
}

/// A job as JSON.
fn job_json(job: &JobRow) -> serde_json::Value {
    serde_json::json!({
        "id": job.id.to_string(),
        "tenant": job.tenant,
        "kind": job.kind,
        "state": job.state,
        "priority": job.priority,
        "attempt": job.attempt,
        "attemptsMax": job.attempts_max,
        "createdAt": job.created_at,
        "scheduledAt": job.scheduled_at,
        "attemptedAt": job.attempted_at,
        "attemptedBy": job.attempted_by,
        "finalizedAt": job.finalized_at,
        "errors": job.errors,
    })
}

/// Prints a job in the wanted form.
fn print_job(job: &JobRow, json: bool) -> std::io::Result<()> {
    if json {
        return print_line(format_args!("{}", job_json(job)));
    }
    let tenant = job.tenant.as_deref().unwrap_or("-");
    let attempts = format!("{}/{}", job.attempt, job.attempts_max);
    let error = job.errors.as_array().and_then(|errors| errors.last()).and_then(|error| error["message"].as_str());
    print_line(format_args!(
        "{} {:<11} {attempts:>5} {:<28} {tenant:<24} {}",
        job.id,
        job.state,
        job.kind,
        error.unwrap_or_default()
    ))
}
