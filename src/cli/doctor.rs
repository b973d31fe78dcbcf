//! `shelfwise doctor`: whether an installation is fit for production, row by row of the readiness checklist.
//!
//! Each row is looked at by itself, as far as it can be seen from here; what cannot is told as not known. Nothing is changed but
//! that an object of a few bytes is stored and removed again.

mod database;
mod facts;
mod secrets;
mod services;

use anyhow::ensure;
use clap::Args as Arguments;
use serde_json::{Value, json};

use super::output::print_line;
use crate::config::{Config, ConfigError, Environment};
use crate::kernel::clock::{Clock, SystemClock};
use facts::Facts;

/// How to print.
#[derive(Debug, Clone, Copy, Arguments)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is as it should be.
    Pass,
    /// It works, but not as it should, or it is not known.
    Warn,
    /// Nothing should be put on this installation.
    Fail,
}

impl Status {
    /// The word that is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was found of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How it stands.
    pub status: Status,
    /// What was found. It holds no secret.
    pub message: String,
    /// What to do, where there is something.
    pub hint: Option<&'static str>,
}

/// A row of the checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its name, for machines and in the checklist.
    pub name: &'static str,
    /// What must be so.
    pub title: &'static str,
    /// The page that tells more.
    pub runbook: &'static str,
    what: What,
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Settings,
    SigningKeys,
    MasterKeys,
    Passwords,
    Database,
    DatabaseTls,
    Clock,
    RuntimeLogin,
    OwnerLogin,
    SearchPath,
    Wall,
    BackendMemory,
    Extensions,
    ControlMigrations,
    TenantMigrations,
    Indexes,
    Connections,
    LockTable,
    Durability,
    Backups,
    Redis,
    ObjectStore,
    Mail,
    Metrics,
    Alerts,
}

const fn row(name: &'static str, title: &'static str, runbook: &'static str, what: What) -> Row {
    Row { name, title, runbook, what }
}

/// The page of the checklist itself, which tells what each row wants.
const CHECKLIST: &str = "runbooks/readiness-checklist.md";

/// The checklist, in the order in which it is gone through.
pub const ROWS: [Row; 25] = [
    row("settings", "All settings can be read, and are those of an installation", CHECKLIST, What::Settings),
    row(
        "signing-keys",
        "Tokens are signed by a key of production",
        "runbooks/rotate-signing-keys.md",
        What::SigningKeys,
    ),
    row(
        "master-keys",
        "Tenants' keys are wrapped by keys that are here",
        "runbooks/rotate-master-keys.md",
        What::MasterKeys,
    ),
    row("passwords", "Each login has a long password of its own", CHECKLIST, What::Passwords),
    row("database", "PostgreSQL answers, and is new enough", "runbooks/pool-exhaustion.md", What::Database),
    row("database-tls", "Nobody listens on the way to PostgreSQL", CHECKLIST, What::DatabaseTls),
    row("clock", "This machine and PostgreSQL agree on the time", CHECKLIST, What::Clock),
    row(
        "runtime-login",
        "The runtime login owns nothing and makes nothing",
        "runbooks/isolation-violation.md",
        What::RuntimeLogin,
    ),
    row("owner-login", "The owner's login makes roles, owns ours, and is no superuser", CHECKLIST, What::OwnerLogin),
    row(
        "search-path",
        "A statement that forgot its tenant finds no table",
        "runbooks/isolation-violation.md",
        What::SearchPath,
    ),
    row("wall", "No statement can leave its tenant's schema", "runbooks/isolation-violation.md", What::Wall),
    row("backend-memory", "Backends tell their memory", "runbooks/backend-memory.md", What::BackendMemory),
    row("extensions", "No extension lives among tables of ours", CHECKLIST, What::Extensions),
    row(
        "control-migrations",
        "The control plane is as this release needs it",
        "runbooks/migration-failed.md",
        What::ControlMigrations,
    ),
    row(
        "tenant-migrations",
        "Every tenant is as this release needs it",
        "runbooks/fleet-migration.md",
        What::TenantMigrations,
    ),
    row("indexes", "Every index counts", "runbooks/schema-drift.md", What::Indexes),
    row("connections", "All processes together find connections", "runbooks/pool-exhaustion.md", What::Connections),
    row("lock-table", "Migrations find room in the lock table", "runbooks/migration-failed.md", What::LockTable),
    row("durability", "What was committed survives a crash", CHECKLIST, What::Durability),
    row("backups", "The write-ahead log is archived", "runbooks/backup-and-restore.md", What::Backups),
    row("redis", "Replicas share their limits and cache", "runbooks/redis-down.md", What::Redis),
    row("object-store", "Archives of tenants can be kept", "runbooks/export-and-restore.md", What::ObjectStore),
    row("mail", "Mail is taken, and somebody is told what operators should know", CHECKLIST, What::Mail),
    row("metrics", "The process here is ready and tells its metrics", CHECKLIST, What::Metrics),
    row("alerts", "Alerts reach somebody", CHECKLIST, What::Alerts),
];

/// A row and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The row.
    pub row: Row,
    /// What was found.
    pub verdict: Verdict,
}

impl Verdict {
    fn pass(message: impl Into<String>) -> Self {
        Self { status: Status::Pass, message: message.into(), hint: None }
    }

    fn warn(message: impl Into<String>, hint: &'static str) -> Self {
        Self { status: Status::Warn, message: message.into(), hint: Some(hint) }
    }

    fn fail(message: impl Into<String>, hint: &'static str) -> Self {
        Self { status: Status::Fail, message: message.into(), hint: Some(hint) }
    }

    /// What cannot be seen from here.
    fn unknown(why: impl std::fmt::Display, hint: &'static str) -> Self {
        Self::warn(format!("not known: {why}"), hint)
    }
}

/// Goes through the checklist and prints it; a row that fails is an error.
pub async fn run(config: &Config, args: Args) -> anyhow::Result<()> {
    let findings = examine(config, &SystemClock).await;
    print(&findings, args.json)?;
    conclude(&findings)
}

/// Prints the checklist of an installation whose settings cannot be read, and answers that as an error.
///
/// # Errors
/// Always.
pub fn run_without_settings(problem: &ConfigError, args: Args) -> anyhow::Result<()> {
    let finding = |row: Row| {
        let verdict = match row.what {
            What::Settings => Verdict::fail(problem.to_string(), "mend the variables that are named"),
            _ => Verdict::unknown("the settings cannot be read", "mend the settings first"),
        };
        Finding { row, verdict }
    };
    let findings: Vec<Finding> = ROWS.into_iter().map(finding).collect();
    print(&findings, args.json)?;
    conclude(&findings)
}

/// Goes through the checklist.
pub async fn examine(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    let facts = Facts::gather(config, clock).await;
    let mut findings = Vec::with_capacity(ROWS.len());
    for row in ROWS {
        findings.push(Finding { row, verdict: verdict(row.what, &facts).await });
    }
    findings
}

async fn verdict(what: What, facts: &Facts<'_>) -> Verdict {
    match what {
        What::Settings => settings(facts.config),
        What::SigningKeys => secrets::signing_keys(facts.config),
        What::MasterKeys => secrets::master_keys(facts).await,
        What::Passwords => secrets::passwords(facts.config),
        What::Database => database::server(facts),
        What::DatabaseTls => database::tls(facts),
        What::Clock => database::clock(facts),
        What::RuntimeLogin => database::runtime_login(facts).await,
        What::OwnerLogin => database::owner_login(facts).await,
        What::SearchPath => database::empty_path(facts),
        What::Wall => database::wall(facts).await,
        What::BackendMemory => database::backend_memory(facts).await,
        What::Extensions => database::extensions(facts).await,
        What::ControlMigrations => database::control_migrations(facts).await,
        What::TenantMigrations => database::tenant_migrations(facts).await,
        What::Indexes => database::indexes(facts).await,
        What::Connections => database::connections(facts),
        What::LockTable => database::lock_table(facts),
        What::Durability => database::durability(facts),
        What::Backups => database::backups(facts).await,
        What::Redis => services::redis(facts.config).await,
        What::ObjectStore => services::object_store(facts).await,
        What::Mail => services::mail(facts.config).await,
        What::Metrics => services::metrics(facts.config).await,
        What::Alerts => services::alerts(facts.config).await,
    }
}

/// The settings were read, or nobody would be here.
fn settings(config: &Config) -> Verdict {
    let environment = config.environment;
    if environment == Environment::Development {
        return Verdict::fail(
            "SHELFWISE_ENV is development: own keys are allowed, and shops may have this machine called",
            "set SHELFWISE_ENV to production, or to staging for a rehearsal",
        );
    }
    if config.http.trusted_proxies.is_empty() {
        return Verdict::warn(
            format!(
                "SHELFWISE_ENV is {environment}, and TRUSTED_PROXIES is empty: all clients have the proxy's address"
            ),
            "set TRUSTED_PROXIES to the networks of the proxies in front",
        );
    }
    Verdict::pass(format!("SHELFWISE_ENV is {environment}"))
}

fn print(findings: &[Finding], json: bool) -> std::io::Result<()> {
    if json {
        return print_line(format_args!("{}", as_json(findings)));
    }
    for Finding { row, verdict } in findings {
        print_line(format_args!("{}  {:<20} {}", verdict.status.as_str(), row.name, verdict.message))?;
        if let Some(hint) = verdict.hint {
            print_line(format_args!("{:<27}{hint}; see {}", "", row.runbook))?;
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.verdict.status == status).count();
    let (pass, warn, fail) = (count(Status::Pass), count(Status::Warn), count(Status::Fail));
    print_line(format_args!("{} rows: {pass} pass, {warn} warn, {fail} fail", findings.len()))
}

/// The checklist for machines.
fn as_json(findings: &[Finding]) -> Value {
    let object = |Finding { row, verdict }: &Finding| {
        json!({
            "name": row.name,
            "title": row.title,
            "status": verdict.status.as_str(),
            "message": verdict.message,
            "hint": verdict.hint,
            "runbook": row.runbook,
        })
    };
    let is_ok = findings.iter().all(|finding| finding.verdict.status != Status::Fail);
    json!({ "ok": is_ok, "rows": findings.iter().map(object).collect::<Vec<_>>() })
}

fn conclude(findings: &[Finding]) -> anyhow::Result<()> {
    let failing: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.verdict.status == Status::Fail)
        .map(|finding| finding.row.name)
        .collect();
    ensure!(failing.is_empty(), "not fit for production: {}", failing.join(", "));
    Ok(())
}
