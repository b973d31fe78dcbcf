//! `shelfwise deprecation`: what goes away of the tenants' API, who uses it, and who is given more time.

use std::sync::Arc;

use chrono::NaiveDate;
use clap::Subcommand;
use serde_json::json;

use super::operator;
use super::output::{error, print_line};
use super::schema::tenant_sdl;
use super::tenant::databases;
use crate::config::Config;
use crate::control::deprecations::model::{Extension, TenantUsage, UsageFilter};
use crate::control::deprecations::service::{extension_list, extension_remove, extension_set, part_counts, usage_list};
use crate::db::ControlDb;
use crate::graphql::deprecation::Deprecations;
use crate::kernel::clock::SystemClock;
use crate::kernel::deprecation::Part;
use crate::kernel::page::{Direction, PageRequest};

/// Rows that are read at a time.
const PAGE: usize = 500;

/// What to do about what goes away.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all parts that go away, with how many tenants have used each in the last 30 days.
    List {
        /// For machines: an object a line.
        #[arg(long)]
        json: bool,
    },
    /// List who uses what, as it was a minute ago.
    Usage {
        /// One tenant alone.
        #[arg(long)]
        slug: Option<String>,
        /// One part alone: `Type.field`, `Type.field(argument:)`, `Input.field` or `Enum.VALUE`.
        #[arg(long)]
        part: Option<String>,
        /// For machines: an object a line.
        #[arg(long)]
        json: bool,
    },
    /// List which tenants were given more time.
    Extensions {
        /// For machines: an object a line.
        #[arg(long)]
        json: bool,
    },
    /// Give a tenant more time for a part.
    Extend {
        /// The tenant.
        slug: String,
        /// The part.
        part: String,
        /// The first day, in UTC, on which it is gone for the tenant.
        #[arg(long)]
        until: NaiveDate,
        /// Why.
        #[arg(long)]
        reason: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Take back the time that a tenant was given for a part.
    Unextend {
        /// The tenant.
        slug: String,
        /// The part.
        part: String,
    },
}

/// Lists, gives or takes back.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let (control, _) = databases(config)?;
    let deprecations = Deprecations::new(&tenant_sdl());
    let parts = deprecations.parts();
    match command {
        Command::List { json } => list(&control, parts, json).await,
        Command::Usage { slug, part, json } => {
            usage(&control, UsageFilter { slug, part, used_since: None }, json).await
        }
        Command::Extensions { json } => {
            for extension in extension_list(&control, None).await? {
                print_extension(&extension, json)?;
            }
            Ok(())
        }
        Command::Extend { slug, part, until, reason, json } => {
            let given = (until, reason.as_str());
            let of = (slug.as_str(), part.as_str());
            let extension = extension_set(&control, &SystemClock, &operator(), of, given, parts).await;
            Ok(print_extension(&extension.map_err(error)?, json)?)
        }
        Command::Unextend { slug, part } => {
            let of = (slug.as_str(), part.as_str());
            extension_remove(&control, &SystemClock, &operator(), of).await.map_err(error)?;
            Ok(())
        }
    }
}

async fn list(control: &ControlDb, parts: &[Arc<Part>], json: bool) -> anyhow::Result<()> {
    let counts = part_counts(control, &SystemClock).await?;
    for Part { coordinate, reason } in parts.iter().map(AsRef::as_ref) {
        let tenants = counts.iter().find(|count| count.part == *coordinate).map_or(0, |count| count.tenants);
        if json {
            let part = json!({
                "part": coordinate, "instead": reason.instead, "deprecatedOn": reason.deprecated_on,
                "removalOn": reason.removal_on, "tenantCount": tenants,
            });
            print_line(format_args!("{part}"))?;
        } else {
            let (until, instead) = (reason.removal_on, &reason.instead);
            print_line(format_args!("{until}  {coordinate:<40} {tenants:>6} tenants  use {instead}"))?;
        }
    }
    Ok(())
}

async fn usage(control: &ControlDb, filter: UsageFilter, json: bool) -> anyhow::Result<()> {
    let mut from = None;
    // Ends: each turn begins behind the last row of the one before.
    loop {
        let page = PageRequest { limit: PAGE, direction: Direction::Forward, from };
        let page = usage_list(control, filter.clone(), page).await?;
        for TenantUsage { slug, used, .. } in &page.items {
            if json {
                let row = json!({
                    "tenant": slug, "part": used.part, "operation": used.operation, "credential": used.credential,
                    "client": used.client, "count": used.count, "firstUsedAt": used.first_used_at,
                    "lastUsedAt": used.last_used_at,
                });
                print_line(format_args!("{row}"))?;
            } else {
                let last = used.last_used_at.format("%Y-%m-%d %H:%M");
                print_line(format_args!(
                    "{slug:<20} {:<32} {:<24} {:<36} {:<16} {:>8}  {last}",
                    used.part, used.operation, used.credential, used.client, used.count
                ))?;
            }
        }
        let Some(TenantUsage { tenant, used, .. }) = page.items.into_iter().next_back().filter(|_| page.has_next)
        else {
            return Ok(());
        };
        from = Some((tenant.0, [used.part, used.operation, used.credential, used.client]));
    }
}

fn print_extension(extension: &Extension, json: bool) -> std::io::Result<()> {
    let Extension { slug, part, until, reason, made_by, made_at } = extension;
    if json {
        let row = json!({
            "tenant": slug, "part": part, "until": until, "reason": reason, "madeBy": made_by, "madeAt": made_at,
        });
        return print_line(format_args!("{row}"));
    }
    print_line(format_args!("{until}  {slug:<20} {part:<40} {made_by}: {reason}"))
}
