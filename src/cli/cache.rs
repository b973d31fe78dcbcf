//! `shelfwise cache`: what operators do with what servers keep.

use clap::Subcommand;

use super::note;
use super::output::print_line;
use super::tenant::{context, databases};
use crate::config::Config;
use crate::news::announce;

/// What to do with what servers keep of the database.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Have all servers and Redis forget what they keep of a tenant: after its rows were changed past all servers.
    Forget {
        /// The tenant.
        #[arg(required_unless_present = "all")]
        slug: Option<String>,
        /// Forget what is kept of all tenants.
        #[arg(long, conflicts_with = "slug")]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let Command::Forget { slug, all: _, json } = command;
    let control = databases(config)?.0;
    let tenant = match &slug {
        Some(slug) => Some(context(&control, slug).await?.id),
        None => None,
    };
    let whose = slug.as_deref().unwrap_or("platform");
    note(&control, ("cache.forget", whose), serde_json::json!({})).await?;
    announce(&control, tenant).await?;
    if json {
        print_line(format_args!("{}", serde_json::json!({ "forgotten": slug.as_deref().unwrap_or("*") })))?;
    } else {
        let what = slug.as_deref().map_or_else(|| "all tenants".to_owned(), |slug| format!("`{slug}`"));
        print_line(format_args!("all servers forget what they keep of {what}"))?;
    }
    Ok(())
}
