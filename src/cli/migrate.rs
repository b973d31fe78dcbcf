//! `shelfwise migrate`: the control plane first, then every tenant that is behind.

use indicatif::{ProgressBar, ProgressStyle};

use super::keys::vault;
use super::operator;
use super::output::{error, print_line};
use crate::app::{owner, urls};
use crate::config::Config;
use crate::control::migrations::{self, Outcome};
use crate::control::tenants::keys::make_missing;
use crate::db::OwnerDb;
use crate::db::migrate::migrate_control;
use crate::kernel::clock::SystemClock;
use crate::vault::Vault;

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
    let (control, keys, outcome) = all(&owner, &vault(config), !args.json).await?;
    if args.json {
        let failed: Vec<_> =
            outcome.failed.iter().map(|(slug, error)| serde_json::json!({ "slug": slug, "error": error })).collect();
        print_line(format_args!(
            "{}",
            serde_json::json!({ "control": control, "keys": keys, "tenants": outcome.migrated, "failed": failed })
        ))?;
    } else {
        print_line(format_args!("control plane: {control} migrations; tenants: {} migrated", outcome.migrated))?;
        if keys > 0 {
            print_line(format_args!("keys were made for {keys} tenants that had none"))?;
        }
    }
    for (slug, error) in &outcome.failed {
        eprintln!("{slug}: {error}");
    }
    anyhow::ensure!(outcome.failed.is_empty(), "{} tenants were not migrated; run it again", outcome.failed.len());
    Ok(())
}

/// Migrates both planes, and makes keys for tenants that have none. Answers how many migrations the control plane had to
/// run, and how many tenants got keys.
pub(super) async fn all(owner: &OwnerDb, vault: &Vault, with_bar: bool) -> anyhow::Result<(usize, usize, Outcome)> {
    let control = migrate_control(owner).await?;
    let keys = make_missing(owner, vault, &SystemClock, &operator()).await.map_err(error)?;
    let bar = if with_bar { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} tenants {per_sec} {eta}")?);
    let outcome = migrations::migrate_all(owner, &SystemClock, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })
    .await?;
    bar.finish_and_clear();
    Ok((control, keys, outcome))
}
