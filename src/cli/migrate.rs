//! `shelfwise migrate`: the control plane first, then every tenant that is behind.

use indicatif::{ProgressBar, ProgressStyle};

use super::output::print_line;
use crate::app::{owner, urls};
use crate::config::Config;
use crate::control::migrations::{self, Outcome};
use crate::db::OwnerDb;
use crate::db::migrate::migrate_control;
use crate::kernel::clock::SystemClock;

/// How to report.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON and no progress bar.
    #[arg(long)]
    json: bool,
}

/// Migrates, and fails if a tenant could not be.
pub async fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let owner = owner(urls(config)?)?;
    let (control, outcome) = all(&owner, !args.json).await?;
    if args.json {
        let failed: Vec<_> =
            outcome.failed.iter().map(|(slug, error)| serde_json::json!({ "slug": slug, "error": error })).collect();
        print_line(format_args!(
            "{}",
            serde_json::json!({ "control": control, "tenants": outcome.migrated, "failed": failed })
        ))?;
    } else {
        print_line(format_args!("control plane: {control} migrations; tenants: {} migrated", outcome.migrated))?;
    }
    for (slug, error) in &outcome.failed {
        eprintln!("{slug}: {error}");
    }
    anyhow::ensure!(outcome.failed.is_empty(), "{} tenants were not migrated; run it again", outcome.failed.len());
    Ok(())
}

/// Migrates both planes.
pub(super) async fn all(owner: &OwnerDb, with_bar: bool) -> anyhow::Result<(usize, Outcome)> {
    let control = migrate_control(owner).await?;
    let bar = if with_bar { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} tenants {per_sec} {eta}")?);
    let outcome = migrations::migrate_all(owner, &SystemClock, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })
    .await?;
    bar.finish_and_clear();
    Ok((control, outcome))
}
