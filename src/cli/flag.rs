//! `shelfwise flag`: how far features are switched on, at the command line.

use chrono::{DateTime, NaiveDate, Utc};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::operator;
use super::output::{error, print_line};
use super::tenant::databases;
use crate::config::Config;
use crate::control::flags::model::{Decision, ExceptionRow, FlagPatch, FlagState};
use crate::control::flags::service::{flag_by_name, flag_list, flag_update, tenant_flag_remove, tenant_flag_set};
use crate::kernel::clock::{Clock as _, SystemClock};

/// What to do with flags.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all flags of this release, and fail if one should have gone.
    List {
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
        /// Do not fail.
        #[arg(long)]
        no_fail: bool,
    },
    /// Switch a flag on for a share of all tenants. The first time say whose it is and by when it goes.
    Set {
        /// The flag.
        name: String,
        /// The percent of all tenants, 0 to 100.
        #[arg(long)]
        percent: Option<i32>,
        /// Who sees to it that the flag goes.
        #[arg(long)]
        owner: Option<String>,
        /// By when it is to go, as 2027-03-31.
        #[arg(long)]
        ends_on: Option<NaiveDate>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Decide a flag for one tenant, whatever its share.
    Tenant {
        /// The flag.
        name: String,
        /// The tenant.
        slug: String,
        /// On or off.
        #[arg(value_enum)]
        switch: Switch,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Until when, as 2026-12-24T10:00:00Z; without an end where it is not given.
        #[arg(long)]
        ends_at: Option<DateTime<Utc>>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have a flag's share count again for a tenant.
    Untenant {
        /// The flag.
        name: String,
        /// The tenant.
        slug: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Whether it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is on.
    On,
    /// It is off.
    Off,
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let ((control, _), operator) = (databases(config)?, operator());
    let (state, is_json) = match command {
        Command::List { json, no_fail } => {
            let states = flag_list(&control).await?;
            let today = SystemClock.now().date_naive();
            for state in &states {
                print_state(state, json)?;
            }
            let overdue = states.iter().filter(|state| state.is_overdue(today)).count();
            anyhow::ensure!(no_fail || overdue == 0, "{overdue} flags should have gone");
            return Ok(());
        }
        Command::Set { name, percent, owner, ends_on, json } => {
            let (flag, patch) = (flag_by_name(&name).map_err(error)?, FlagPatch { percent, owner, ends_on });
            (flag_update(&control, &SystemClock, &operator, flag, &patch).await, json)
        }
        Command::Tenant { name, slug, switch, reason, ends_at, json } => {
            let (flag, decision) =
                (flag_by_name(&name).map_err(error)?, Decision { is_on: switch == Switch::On, ends_at, reason });
            (tenant_flag_set(&control, &SystemClock, &operator, (flag, &slug), decision).await, json)
        }
        Command::Untenant { name, slug, json } => {
            let flag = flag_by_name(&name).map_err(error)?;
            (tenant_flag_remove(&control, &SystemClock, &operator, (flag, &slug)).await, json)
        }
    };
    Ok(print_state(&state.map_err(error)?, is_json)?)
}

/// Prints a flag in the wanted form.
fn print_state(state: &FlagState, is_json: bool) -> std::io::Result<()> {
    let is_overdue = state.is_overdue(SystemClock.now().date_naive());
    let row = state.row.as_ref();
    let percent = row.map_or(0, |row| row.percent);
    if is_json {
        let object = json!({
            "name": state.flag.name(),
            "percent": percent,
            "owner": row.map(|row| &row.owner),
            "endsOn": row.map(|row| row.ends_on),
            "isOverdue": is_overdue,
            "exceptions": state.exceptions.iter().map(exception_json).collect::<Vec<_>>(),
        });
        return print_line(format_args!("{object}"));
    }
    let until = row.map_or_else(|| "nobody's yet".to_owned(), |row| format!("{}'s until {}", row.owner, row.ends_on));
    let overdue = if is_overdue { "  OVERDUE" } else { "" };
    print_line(format_args!("{:<28} {percent:>3} %  {until}{overdue}", state.flag.name()))?;
    state.exceptions.iter().try_for_each(|exception| {
        let switch = if exception.is_on { "on" } else { "off" };
        let until = exception.ends_at.map_or_else(String::new, |ends_at| format!(" until {ends_at}"));
        print_line(format_args!("    {:<24} {switch}{until}: {}", exception.tenant, exception.reason))
    })
}

fn exception_json(exception: &ExceptionRow) -> Value {
    json!({
        "tenant": exception.tenant,
        "isOn": exception.is_on,
        "endsAt": exception.ends_at,
        "reason": exception.reason,
        "updatedBy": exception.updated_by,
    })
}
