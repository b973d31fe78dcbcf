//! `shelfwise token`: tokens for development and for operators at the command line.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;

use super::output::print_line;
use super::tenant::{context, databases};
use super::{note, operator};
use crate::auth::tokens::AdminClaims;
use crate::auth::{Claims, Tokens};
use crate::config::Config;
use crate::db::{ControlDb, TenantDb};
use crate::kernel::actor::Role;
use crate::kernel::clock::{Clock, SystemClock};
use crate::kernel::ids::UserId;
use crate::tenant::identity::users::service::owner_first;

/// How long a printed token is valid where nothing else is asked for.
const HOURS_DEFAULT: u64 = 12;

/// The longest that an operator's token is valid: a month.
const HOURS_MAX: u64 = 744;

/// Whose token to print.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// An administrator's.
    Admin {
        /// How many hours it is valid: nothing but its end, or the end of the signing key, takes it back.
        #[arg(long, default_value_t = HOURS_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=HOURS_MAX))]
        hours: u64,
    },
    /// A shop's user's: the first owner's id, with the role that is asked for.
    Tenant {
        /// The shop.
        slug: String,
        /// What the bearer may do: owner, manager, clerk or read-only.
        #[arg(long, default_value = "owner")]
        role: Role,
        /// How many hours it is valid: nothing but its end, or the end of the signing key, takes it back.
        #[arg(long, default_value_t = HOURS_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=HOURS_MAX))]
        hours: u64,
    },
}

/// Prints the token and nothing else.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let tokens = Tokens::new(&config.auth)?;
    let token = match command {
        Command::Admin { hours } => {
            note(&databases(config)?.0, ("token.admin", "platform"), serde_json::json!({ "hours": hours })).await?;
            admin(&tokens, lifetime(hours))?
        }
        Command::Tenant { slug, role, hours } => {
            let (control, tenants) = databases(config)?;
            let details = serde_json::json!({ "role": role.as_str(), "hours": hours });
            note(&control, ("token.tenant", &slug), details).await?;
            tenant(&tokens, &control, &tenants, &slug, role, lifetime(hours)).await?
        }
    };
    print_line(format_args!("{token}"))?;
    Ok(())
}

fn lifetime(hours: u64) -> Duration {
    Duration::from_secs(hours.saturating_mul(3600))
}

/// An administrator's token.
pub(super) fn admin(tokens: &Tokens, lifetime: Duration) -> anyhow::Result<String> {
    let claims = Claims::Admin(AdminClaims::Operator { name: operator().name });
    tokens.mint(&claims, SystemClock.now(), lifetime)
}

/// A token of a shop's first owner, with any role.
pub(super) async fn tenant(
    tokens: &Tokens,
    control: &ControlDb,
    tenants: &TenantDb,
    slug: &str,
    role: Role,
    lifetime: Duration,
) -> anyhow::Result<String> {
    let context = context(control, slug).await?;
    let session = tenants.session(Arc::clone(&context));
    let owner = owner_first(&session.read().await?).await?.context("the shop has no owner")?;
    session.finish().await;
    let user: UserId = owner.id;
    let claims =
        Claims::Tenant { slug: context.slug.clone(), tenant: context.id, user, session: None, role: Some(role) };
    tokens.mint(&claims, SystemClock.now(), lifetime)
}
