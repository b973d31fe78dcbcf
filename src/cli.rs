//! The command line: one file for each command.

mod admin;
mod archives;
mod audit;
mod cache;
mod deprecations;
pub mod dev;
pub mod doctor;
mod documents;
mod drift;
mod flag;
mod healthcheck;
mod jobs;
mod keys;
mod migrate;
mod offboard;
mod output;
mod plans;
mod provision;
pub mod schema;
mod serve;
mod setting;
mod tenant;
mod token;
mod webhooks;
mod work;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, TABLE};
use crate::control::audit::Operator;
use crate::control::audit::service::record;
use crate::db::{ControlDb, ControlTx, DbError};
use crate::kernel::clock::SystemClock;

/// The server that a bookshop-software company runs for all of its shops.
#[derive(Debug, Parser)]
#[command(name = "shelfwise", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the APIs until Ctrl-C or SIGTERM.
    Serve,
    /// Do the jobs that the APIs and other jobs have enqueued, until Ctrl-C or SIGTERM.
    Work,
    /// Run a whole installation for a developer: PostgreSQL where none is given, demo shops, the server.
    Dev,
    /// Bring the control plane and every tenant's schema to the newest version; see and steer how.
    Migrate(migrate::Args),
    /// Provision, list, suspend and resume tenants and their webhooks, import their catalogues, and trust their documents.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// List plans with their limits, and change them.
    #[command(subcommand)]
    Plan(plans::Command),
    /// List and count jobs, replay or put away dead letters, and call jobs off.
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// List what goes away of the tenants' API and who uses it, and give tenants more time.
    #[command(subcommand)]
    Deprecation(deprecations::Command),
    /// Print the schemas of the APIs, or check the committed ones.
    #[command(subcommand)]
    Schema(schema::Command),
    /// Print one token and nothing else.
    #[command(subcommand)]
    Token(token::Command),
    /// List settings with what they are and why, and set them for plans and tenants.
    #[command(subcommand)]
    Setting(setting::Command),
    /// List feature flags, and switch them on for a share of all tenants or for single ones.
    #[command(subcommand)]
    Flag(flag::Command),
    /// Invite, list and disable the platform's administrators.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Have servers forget what they keep of the database.
    #[command(subcommand)]
    Cache(cache::Command),
    /// Tell which master keys wrap tenants' keys, and wrap them anew.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Ask the running server or worker how it is; for the health check of a container.
    Healthcheck(healthcheck::Args),
    /// Check an installation against the readiness checklist, row by row.
    Doctor(doctor::Args),
    /// Print the environment variables that are read, with their defaults, as the README has them.
    Variables,
}

/// Who runs commands, for the trail of acts: the login on this machine, as far as the environment tells it.
#[must_use]
pub fn operator() -> Operator {
    #[expect(clippy::disallowed_methods, reason = "not a setting: who sits at the keyboard")]
    let login = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    Operator::cli(login.as_deref().unwrap_or("unknown"))
}

/// Notes in the trail what an operator is about to do where the trail is no part of the transaction: with a shop's data,
/// or with the keys.
async fn note(control: &ControlDb, act: (&'static str, &str), details: serde_json::Value) -> anyhow::Result<()> {
    let entry = async |tx: &mut ControlTx| record(tx, &SystemClock, &operator(), act, details).await;
    control.write::<_, DbError>(entry).await.context("the act cannot be noted in the trail")
}

/// What a command does whose settings cannot be read: it fails, and says why.
///
/// # Errors
/// Always.
pub fn run_without_settings(cli: &Cli, problem: ConfigError) -> anyhow::Result<()> {
    match cli.command {
        Command::Doctor(args) => doctor::run_without_settings(&problem, args),
        Command::Variables => variables(),
        _ => Err(problem.into()),
    }
}

/// Prints the table of variables.
fn variables() -> anyhow::Result<()> {
    Ok(output::print_line(format_args!("{}", TABLE.trim_end()))?)
}

/// Runs a command.
///
/// # Errors
/// What went wrong, for a person to read.
pub async fn run(cli: Cli, config: Config) -> anyhow::Result<()> {
    match cli.command {
        Command::Dev => dev::run(config).await,
        Command::Serve => serve::run(config).await,
        Command::Work => work::run(config).await,
        Command::Healthcheck(args) => healthcheck::run(&dev::with_running(config)?, args).await,
        Command::Doctor(args) => doctor::run(&dev::with_running(config)?, args).await,
        Command::Variables => variables(),
        Command::Schema(command) => schema::run(config, &command).await,
        Command::Migrate(args) => migrate::run(&dev::with_running(config)?, args).await,
        Command::Tenant(command) => tenant::run(&dev::with_running(config)?, command).await,
        Command::Plan(command) => plans::run(&dev::with_running(config)?, command).await,
        Command::Deprecation(command) => deprecations::run(&dev::with_running(config)?, command).await,
        Command::Jobs(command) => jobs::run(&dev::with_running(config)?, command).await,
        Command::Setting(command) => setting::run(&dev::with_running(config)?, command).await,
        Command::Flag(command) => flag::run(&dev::with_running(config)?, command).await,
        Command::Admin(command) => admin::run(&dev::with_running(config)?, command).await,
        Command::Cache(command) => cache::run(&dev::with_running(config)?, command).await,
        Command::Keys(command) => keys::run(&dev::with_running(config)?, command).await,
        Command::Token(command) => token::run(&dev::with_running(config)?, command).await,
    }
}
