//! `shelfwise plan` and `shelfwise tenant limit`: what tenants may use, at the command line.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::operator;
use super::output::{error, print_line, print_tenant};
use super::tenant::databases;
use crate::config::Config;
use crate::control::plans::model::{NewOverride, PlanPatch};
use crate::control::plans::service::{Desk, override_list, override_list_all, plan_list};
use crate::control::plans::{Override, Plan};
use crate::control::tenants::service::tenant_by_slug;
use crate::db::ControlDb;
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::limits::{LimitKind, Limits};

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all plans with their limits, from the smallest to the largest.
    List {
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Change a plan for all tenants who have it, within a second everywhere.
    Set {
        /// The plan.
        code: String,
        /// Limits, as `points_per_minute=120000`; those that are not named stay.
        #[arg(value_parser = assignment)]
        limits: Vec<(LimitKind, i32)>,
        /// Another name for people.
        #[arg(long)]
        name: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with the limits of single tenants.
#[derive(Debug, Subcommand)]
pub enum LimitCommand {
    /// List what is agreed with a tenant beside its plan, ended or not; or with all tenants, where it has not ended.
    List {
        /// The tenant; all of them where none is named.
        slug: Option<String>,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Agree to another limit for a tenant until a time.
    Set(SetArgs),
    /// End what was agreed about a limit.
    Clear {
        /// The tenant.
        slug: String,
        /// The limit.
        limit: LimitKind,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What is agreed.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The tenant.
    slug: String,
    /// The limit and what it is to be, as `points_per_minute=120000`.
    #[arg(value_parser = assignment)]
    limit: (LimitKind, i32),
    /// From when on it is the plan's again, as `2027-01-31T00:00:00Z`.
    #[arg(long)]
    until: DateTime<Utc>,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let control = databases(config)?.0;
    let desk = Desk { control: &control, clock: &SystemClock, operator: &operator() };
    match command {
        Command::List { json } => {
            for plan in plan_list(&control).await? {
                print_plan(&plan, json)?;
            }
        }
        Command::Set { code, limits, name, json } => {
            let limits = limits.into_iter().map(|(kind, value)| (kind, value, kind.as_str().into())).collect();
            let plan = desk.plan_update(&code, &PlanPatch { name, limits }).await.map_err(error)?;
            print_plan(&plan, json)?;
        }
    }
    Ok(())
}

/// Does something with a tenant's limits.
pub async fn limit(config: &Config, command: LimitCommand) -> anyhow::Result<()> {
    let control = databases(config)?.0;
    let desk = Desk { control: &control, clock: &SystemClock, operator: &operator() };
    match command {
        LimitCommand::List { slug, json } => {
            for (slug, agreed) in listed(&control, slug).await? {
                print_override(&slug, &agreed, json)?;
            }
        }
        LimitCommand::Set(SetArgs { slug, limit: (limit, value), until, reason, json }) => {
            let new = NewOverride { limit, value, ends_at: until, reason };
            print_override(&slug, &desk.limit_override(&slug, &new).await.map_err(error)?, json)?;
        }
        LimitCommand::Clear { slug, limit, json } => {
            print_tenant(&desk.limit_clear(&slug, limit).await.map_err(error)?, json)?;
        }
    }
    Ok(())
}

/// Puts a tenant on another plan.
pub async fn change(config: &Config, slug: &str, plan: &str, json: bool) -> anyhow::Result<()> {
    let control = databases(config)?.0;
    let desk = Desk { control: &control, clock: &SystemClock, operator: &operator() };
    print_tenant(&desk.tenant_plan_change(slug, plan).await.map_err(error)?, json)?;
    Ok(())
}

async fn listed(control: &ControlDb, slug: Option<String>) -> anyhow::Result<Vec<(String, Override)>> {
    let Some(slug) = slug else { return Ok(override_list_all(control, SystemClock.now()).await?) };
    let tenant = tenant_by_slug(control, &slug).await?.with_context(|| format!("there is no tenant `{slug}`"))?;
    let agreed = override_list(control, tenant.id).await?;
    Ok(agreed.into_iter().map(|agreed| (slug.clone(), agreed)).collect())
}

/// A limit and its value.
fn assignment(text: &str) -> Result<(LimitKind, i32), String> {
    let (name, value) = text.split_once('=').ok_or("write LIMIT=NUMBER")?;
    let kind = name.parse::<LimitKind>().map_err(|error| error.to_string())?;
    Ok((kind, value.parse().map_err(|_| format!("`{value}` is no number"))?))
}

fn print_plan(plan: &Plan, json: bool) -> std::io::Result<()> {
    let limits = Limits::from(&plan.limits);
    if json {
        let numbers = LimitKind::ALL.map(|kind| (kind.as_str().to_owned(), Value::from(limits.get(kind))));
        let limits = Value::Object(numbers.into_iter().collect::<Map<_, _>>());
        let plan = json!({ "code": plan.code, "name": plan.name, "limits": limits, "updatedAt": plan.updated_at });
        return print_line(format_args!("{plan}"));
    }
    let numbers = LimitKind::ALL.map(|kind| format!("{}={}", kind.as_str(), limits.get(kind)));
    print_line(format_args!("{:<12} {}", plan.code, numbers.join(" ")))
}

fn print_override(slug: &str, agreed: &Override, json: bool) -> std::io::Result<()> {
    let Override { limit_name, value, ends_at, reason, made_by, made_at, .. } = agreed;
    if json {
        let agreed = json!({
            "tenant": slug, "limit": limit_name, "value": value, "endsAt": ends_at, "reason": reason,
            "madeBy": made_by, "madeAt": made_at,
        });
        return print_line(format_args!("{agreed}"));
    }
    print_line(format_args!("{slug:<40} {limit_name}={value} until {ends_at}, by {made_by}: {reason}"))
}
