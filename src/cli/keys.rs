//! `shelfwise keys`: the master keys that wrap tenants' keys.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::Subcommand;

use super::operator;
use super::output::print_line;
use super::tenant::databases;
use crate::config::Config;
use crate::control::tenants::keys::{rewrap_all, wrapped};
use crate::kernel::clock::SystemClock;
use crate::vault::Vault;

/// What to do with master keys.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell how many keys each master key wraps.
    Status {
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Wrap the keys of all tenants and archives under the first master key. Run it again where it was broken off.
    Rewrap {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The vault of a command.
pub(super) fn vault(config: &Config) -> Vault {
    Vault::new(&config.crypto, Arc::new(SystemClock))
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let (control, vault) = (databases(config)?.0, vault(config));
    match command {
        Command::Status { json } => {
            let mut wrapped = wrapped(&control).await?;
            for key in &config.crypto.master_keys {
                wrapped.by_master.entry(key.id.clone()).or_default();
            }
            for (id, keys) in &wrapped.by_master {
                print_master(&vault, id, *keys, json)?;
            }
            if wrapped.without > 0 {
                eprintln!("{} tenants have no keys; `shelfwise migrate` makes them", wrapped.without);
            }
        }
        Command::Rewrap { json } => {
            let first = vault.master_first().context("MASTER_KEYS holds no key")?;
            let outcome = rewrap_all(&control, &vault, &SystemClock, &operator()).await?;
            if json {
                let failed: Vec<_> = outcome
                    .failed
                    .iter()
                    .map(|(slug, error)| serde_json::json!({ "slug": slug, "error": error }))
                    .collect();
                let object = serde_json::json!({ "master": first, "rewrapped": outcome.rewrapped, "failed": failed });
                print_line(format_args!("{object}"))?;
            } else {
                print_line(format_args!("{} keys were wrapped anew, by `{first}`", outcome.rewrapped))?;
            }
            for (slug, error) in &outcome.failed {
                eprintln!("{slug}: {error}");
            }
            ensure!(outcome.failed.is_empty(), "the keys of {} tenants were not wrapped anew", outcome.failed.len());
        }
    }
    Ok(())
}

/// Prints a master key with what it wraps: the first one wraps new keys, others unwrap, a missing one is not configured.
fn print_master(vault: &Vault, id: &str, keys: usize, json: bool) -> std::io::Result<()> {
    let state = match vault.master_first() {
        Some(first) if first == id => "first",
        _ if vault.has_master(id) => "known",
        _ => "missing",
    };
    if json {
        print_line(format_args!("{}", serde_json::json!({ "master": id, "state": state, "keys": keys })))
    } else {
        print_line(format_args!("{id:<40} {state:<8} {keys}"))
    }
}
