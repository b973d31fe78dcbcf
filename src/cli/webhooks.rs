//! `shelfwise tenant webhooks`: what operators do with tenants' webhooks at the command line.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::keys::vault;
use super::operator;
use super::output::{error, print_line};
use super::tenant::databases;
use crate::config::Config;
use crate::control::webhooks::model::Trouble;
use crate::control::webhooks::operations::Desk;
use crate::control::webhooks::service::trouble_list;
use crate::db::ControlDb;
use crate::kernel::clock::SystemClock;
use crate::kernel::ids::{WebhookDeliveryId, WebhookEndpointId};
use crate::kernel::page::{Direction, PageRequest};
use crate::tenant::webhooks::deliveries::model::{DeliveryFilter, DeliveryState};
use crate::tenant::webhooks::deliveries::service::REPLAY_MAX;
use crate::tenant::webhooks::endpoints::model::Endpoint;

/// Rows that a list reads at once.
const PAGE_ROWS: usize = 500;

/// What to do with tenants' webhooks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Suspend all active endpoints of a tenant; events wait for them.
    Suspend {
        /// The tenant.
        slug: String,
        /// Why; the shop is shown it.
        #[arg(long)]
        reason: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Resume all suspended endpoints of a tenant, and send what has waited first.
    Resume {
        /// The tenant.
        slug: String,
        /// Do not send what has waited: pass its events over, and make dead letters of its deliveries.
        #[arg(long)]
        skip_backlog: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List all endpoints of a tenant, the oldest first.
    List {
        /// The tenant.
        slug: String,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Send a finished delivery once more, or up to 10,000 of an endpoint.
    Replay(Replay),
    /// List endpoints of all tenants that are not well, the newest first.
    Troubles {
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
}

/// One delivery, or many of an endpoint.
#[derive(Debug, Args)]
pub struct Replay {
    /// The tenant.
    slug: String,
    /// The delivery.
    #[arg(long, required_unless_present = "endpoint")]
    delivery: Option<WebhookDeliveryId>,
    /// The deliveries to this endpoint.
    #[arg(long, conflicts_with = "delivery")]
    endpoint: Option<WebhookEndpointId>,
    /// Only those that have ended so; both where it is not given.
    #[arg(long, value_enum, conflicts_with = "delivery")]
    state: Option<Ended>,
    /// Only those of events of this type, as `order.placed`.
    #[arg(long, conflicts_with = "delivery")]
    event_type: Option<String>,
    /// Only those that were made then or later, as 2026-11-24T10:00:00Z.
    #[arg(long, conflicts_with = "delivery")]
    from: Option<DateTime<Utc>>,
    /// Only those that were made before.
    #[arg(long, conflicts_with = "delivery")]
    to: Option<DateTime<Utc>>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How a delivery has ended.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Ended {
    /// It was given up.
    Dead,
    /// The endpoint has accepted it.
    Delivered,
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let ((control, tenants), vault, operator) = (databases(config)?, vault(config), operator());
    let desk = Desk { control: &control, tenants: &tenants, vault: &vault, clock: &SystemClock, operator: &operator };
    match command {
        Command::Suspend { slug, reason, json } => {
            let count = desk.suspend(&slug, &reason).await.map_err(error)?;
            print_count(count, "endpoints were suspended", json)?;
        }
        Command::Resume { slug, skip_backlog, json } => {
            let count = desk.resume(&slug, skip_backlog).await.map_err(error)?;
            print_count(count, "endpoints were resumed", json)?;
        }
        Command::List { slug, json } => {
            for (endpoint, backlog) in desk.endpoint_list(&slug).await.map_err(error)? {
                print_endpoint(&endpoint, backlog, json)?;
            }
        }
        Command::Replay(which) => replay(desk, which).await?,
        Command::Troubles { json } => troubles(&control, json).await?,
    }
    Ok(())
}

async fn replay(desk: Desk<'_>, which: Replay) -> anyhow::Result<()> {
    let Replay { slug, delivery, endpoint, state, event_type, from, to, json } = which;
    if let Some(id) = delivery {
        desk.delivery_replay(&slug, id).await.map_err(error)?;
        return Ok(print_count(1, "deliveries are sent once more", json)?);
    }
    // One of the two is there.
    let Some(endpoint) = endpoint else { return Ok(()) };
    let state = state.map(|state| match state {
        Ended::Dead => DeliveryState::Dead,
        Ended::Delivered => DeliveryState::Delivered,
    });
    let filter = DeliveryFilter { endpoint: Some(endpoint), state, kind: event_type, from, to };
    let count = desk.replay(&slug, endpoint, filter).await.map_err(error)?;
    print_count(count, "deliveries are sent once more", json)?;
    // Not in a loop: what is delivered meanwhile would be sent again and again.
    if i64::try_from(count).is_ok_and(|count| count >= REPLAY_MAX) {
        eprintln!("there may be more; run it again when these have ended");
    }
    Ok(())
}

async fn troubles(control: &ControlDb, json: bool) -> anyhow::Result<()> {
    let mut from = None;
    loop {
        let request = PageRequest { limit: PAGE_ROWS, direction: Direction::Forward, from };
        let page = trouble_list(control, request).await?;
        for trouble in &page.items {
            print_trouble(trouble, json)?;
        }
        match page.items.last() {
            Some(trouble) if page.has_next => from = Some((trouble.since, trouble.endpoint.0)),
            _ => return Ok(()),
        }
    }
}

fn print_count(count: usize, what: &str, is_json: bool) -> std::io::Result<()> {
    if is_json {
        print_line(format_args!("{}", json!({ "count": count })))
    } else {
        print_line(format_args!("{count} {what}"))
    }
}

/// An endpoint as JSON. Its address may hold a password, so no more than the host is told.
fn endpoint_json(endpoint: &Endpoint, backlog: i64) -> Value {
    json!({
        "id": endpoint.id.to_string(),
        "host": endpoint.host(),
        "status": endpoint.status,
        "suspensionReason": endpoint.status_reason,
        "statusChangedAt": endpoint.status_at,
        "breakerState": endpoint.breaker,
        "failureCount": endpoint.failures,
        "restsUntil": endpoint.rests_until,
        "backlogCount": backlog,
    })
}

/// Prints an endpoint in the wanted form.
fn print_endpoint(endpoint: &Endpoint, backlog: i64, is_json: bool) -> std::io::Result<()> {
    if is_json {
        return print_line(format_args!("{}", endpoint_json(endpoint, backlog)));
    }
    let (host, reason) = (endpoint.host(), endpoint.status_reason.as_deref().unwrap_or_default());
    print_line(format_args!(
        "{} {:<10} {:<10} {backlog:>6} waiting  {host:<32} {reason}",
        endpoint.id, endpoint.status, endpoint.breaker
    ))
}

/// Prints an endpoint that is not well in the wanted form.
fn print_trouble(trouble: &Trouble, is_json: bool) -> std::io::Result<()> {
    if is_json {
        let object = json!({
            "tenant": trouble.tenant,
            "endpoint": trouble.endpoint.to_string(),
            "state": trouble.state,
            "backlogCount": trouble.backlog,
            "since": trouble.since,
            "updatedAt": trouble.updated_at,
        });
        return print_line(format_args!("{object}"));
    }
    print_line(format_args!(
        "{:<40} {} {:<10} {:>6} waiting  since {}",
        trouble.tenant,
        trouble.endpoint,
        trouble.state,
        trouble.backlog,
        trouble.since.format("%Y-%m-%d %H:%M:%S UTC")
    ))
}
