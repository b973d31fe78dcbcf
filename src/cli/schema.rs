//! `shelfwise schema`: the SDL of both APIs, what has changed in them, and the squashed schema of a tenant.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use chrono::NaiveDate;
use clap::Subcommand;

use super::dev::with_running;
use super::output::print_line;
use super::tenant::databases;
use crate::app::{owner, urls};
use crate::config::Config;
use crate::control::deprecations::service::users_of;
use crate::db::catalogue::squash::squash;
use crate::graphql::changelog;
use crate::graphql::diff::{Change, Class, diff};
use crate::graphql::schema::{admin_schema, sdl_options, tenant_schema};
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;

/// One of the APIs.
pub struct Api {
    /// What the changelog calls it.
    pub name: &'static str,
    /// Where its schema is committed.
    pub file: &'static str,
    /// Where its schema is committed as it was last released.
    pub released: &'static str,
    /// Makes its schema.
    pub sdl: fn() -> String,
}

/// Both APIs.
pub static APIS: [Api; 2] = [
    Api { name: "Tenants' API", file: "schema.graphql", released: "schema.released.graphql", sdl: tenant_sdl },
    Api {
        name: "Operators' API",
        file: "schema.admin.graphql",
        released: "schema.admin.released.graphql",
        sdl: admin_sdl,
    },
];

/// What to do with the schemas.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the schema of the tenants' API.
    Print {
        /// The operators' API instead.
        #[arg(long)]
        admin: bool,
    },
    /// Print what all migrations of a tenant make, squashed: `tenant_migrations/baseline.sql`. Needs the owner's login; what
    /// is made to look at is taken back.
    Baseline,
    /// Check the files of this folder: the schemas and `CHANGELOG.api.md` are in step with the code, and the code breaks nothing
    /// that was released, but for what was announced and whose day has come.
    Check {
        /// Ask the database, too: what tenants have used in the last 30 days, or were given more time for, may not go.
        #[arg(long)]
        usage: bool,
        /// For machines: every change since the last release.
        #[arg(long)]
        json: bool,
    },
    /// List what has changed from one schema to another, with what it means for clients.
    Diff {
        /// The schema before; the last release where it is not given.
        old: Option<PathBuf>,
        /// The schema after; that of the code where it is not given.
        new: Option<PathBuf>,
        /// The operators' API, where a file is not given.
        #[arg(long)]
        admin: bool,
        /// For machines: an array.
        #[arg(long)]
        json: bool,
    },
    /// Write what has changed since the last release into `CHANGELOG.api.md`.
    Changelog,
    /// Note that the schemas of the code are released: in `CHANGELOG.api.md`, and for what is compared with from now on.
    Release {
        /// When; today where it is not given.
        day: Option<NaiveDate>,
    },
}

/// The SDL of the tenants' API.
#[must_use]
pub fn tenant_sdl() -> String {
    tenant_schema().sdl_with_options(sdl_options())
}

/// The SDL of the operators' API.
#[must_use]
pub fn admin_sdl() -> String {
    admin_schema().sdl_with_options(sdl_options())
}

/// Prints, compares or checks.
pub async fn run(config: Config, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Print { admin } => print_line(format_args!("{}", (api(*admin).sdl)().trim_end()))?,
        Command::Baseline => {
            let config = with_running(config)?;
            let scratch = SchemaName::from(TenantId(SystemClock.new_id()));
            print_line(format_args!("{}", squash(&owner(urls(&config)?)?, &scratch).await?.trim_end()))?;
        }
        Command::Check { usage, json } => {
            let changes = check(*json)?;
            if *usage {
                check_usage(&with_running(config)?, &changes).await?;
            }
        }
        Command::Diff { old, new, admin, json } => {
            let api = api(*admin);
            let old = read(old.as_deref().unwrap_or(Path::new(api.released)))?;
            let new = new.as_deref().map_or_else(|| Ok((api.sdl)()), read)?;
            print_changes(&diff(&old, &new)?, *json)?;
        }
        Command::Changelog => {
            let section = changelog::unreleased(&since_release()?);
            write_changelog(|text| changelog::with_unreleased(text, &section))?;
        }
        Command::Release { day } => {
            let section = changelog::unreleased(&since_release()?);
            let day = day.unwrap_or_else(|| SystemClock.now().date_naive());
            write_changelog(|text| changelog::released(text, &section, day))?;
            for api in &APIS {
                write(api.released, &(api.sdl)())?;
            }
        }
    }
    Ok(())
}

fn api(is_admin: bool) -> &'static Api {
    &APIS[usize::from(is_admin)]
}

/// What has changed in each API since its last release, as far as the files of this folder tell.
fn since_release() -> anyhow::Result<Vec<(&'static str, Vec<Change>)>> {
    let changes = |api: &Api| Ok((api.name, diff(&read(Path::new(api.released))?, &(api.sdl)())?));
    APIS.iter().map(changes).collect()
}

/// Checks the files, and answers what has changed since the last release.
fn check(json: bool) -> anyhow::Result<Vec<Change>> {
    for (api, flag) in APIS.iter().zip(["", " --admin"]) {
        if read(Path::new(api.file))? != (api.sdl)() {
            bail!("{0} is out of step with the code: shelfwise schema print{flag} > {0}", api.file);
        }
    }
    let apis = since_release()?;
    let text = read(Path::new(changelog::FILE))?;
    let is_in_step = changelog::with_unreleased(&text, &changelog::unreleased(&apis)).is_some_and(|new| new == text);
    ensure!(is_in_step, "{} is out of step with the code: shelfwise schema changelog", changelog::FILE);
    let today = SystemClock.now().date_naive();
    let changes: Vec<Change> = apis.into_iter().flat_map(|(_, changes)| changes).collect();
    if json {
        print_changes(&changes, true)?;
    }
    let breaking: Vec<String> = changes.iter().filter(|change| change.breaks(today)).map(told).collect();
    ensure!(breaking.is_empty(), "these break what was released:\n{}", breaking.join("\n"));
    Ok(changes)
}

/// Refuses to take out what tenants still use.
async fn check_usage(config: &Config, changes: &[Change]) -> anyhow::Result<()> {
    let (control, _) = databases(config)?;
    let mut used = Vec::new();
    for change in changes.iter().filter(|change| change.class == Class::Breaking) {
        let slugs = users_of(&control, &SystemClock, &change.coordinate).await?;
        if !slugs.is_empty() {
            used.push(format!("`{}` is used by {}", change.coordinate, slugs.join(", ")));
        }
    }
    ensure!(used.is_empty(), "these are used still:\n{}", used.join("\n"));
    Ok(())
}

fn print_changes(changes: &[Change], json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(print_line(format_args!("{}", serde_json::to_string(changes)?))?);
    }
    for change in changes {
        print_line(format_args!("{}", told(change)))?;
    }
    Ok(())
}

/// A change in a line.
fn told(change: &Change) -> String {
    let class = match change.class {
        Class::Breaking if change.announced_for.is_some() => "announced",
        Class::Breaking => "breaking",
        Class::Dangerous => "dangerous",
        Class::Safe => "safe",
    };
    let until = change.announced_for.map(|day| format!(" May go from {day} on.")).unwrap_or_default();
    format!("{class:<9}  {change}{until}")
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &str, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {path}"))
}

fn write_changelog(edit: impl FnOnce(&str) -> Option<String>) -> anyhow::Result<()> {
    let text = read(Path::new(changelog::FILE))?;
    let text = edit(&text).with_context(|| format!("{} has no `## Unreleased`", changelog::FILE))?;
    write(changelog::FILE, &text)
}
