//! `shelfwise schema`: the SDL of both APIs, and the squashed schema of a tenant.

use anyhow::{Context as _, bail};
use clap::Subcommand;

use super::dev::with_running;
use super::output::print_line;
use crate::app::{owner, urls};
use crate::config::Config;
use crate::db::catalogue::squash::squash;
use crate::graphql::schema::{admin_schema, sdl_options, tenant_schema};
use crate::kernel::clock::{Clock as _, SystemClock};
use crate::kernel::ids::TenantId;
use crate::kernel::tenant::SchemaName;

/// Makes a schema's text.
type Sdl = fn() -> String;

/// Where the schemas are committed.
const FILES: [(&str, Sdl); 2] = [("schema.graphql", tenant_sdl), ("schema.admin.graphql", admin_sdl)];

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
    /// Compare `schema.graphql` and `schema.admin.graphql` of this folder with the code.
    Check,
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

/// Prints or checks.
pub async fn run(config: Config, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Print { admin: false } => print_line(format_args!("{}", tenant_sdl().trim_end()))?,
        Command::Print { admin: true } => print_line(format_args!("{}", admin_sdl().trim_end()))?,
        Command::Baseline => {
            let config = with_running(config)?;
            let scratch = SchemaName::from(TenantId(SystemClock.new_id()));
            print_line(format_args!("{}", squash(&owner(urls(&config)?)?, &scratch).await?.trim_end()))?;
        }
        Command::Check => {
            for (path, sdl) in FILES {
                let committed = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
                if committed != sdl() {
                    let flag = if path.contains("admin") { " --admin" } else { "" };
                    bail!("{path} is out of step with the code: shelfwise schema print{flag} > {path}");
                }
            }
        }
    }
    Ok(())
}
