//! `shelfwise setting`: what operators set for plans and tenants at the command line.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::keys::vault;
use super::operator;
use super::output::{error, print_line};
use super::tenant::databases;
use crate::config::Config;
use crate::control::settings::model::{SettingState, Target};
use crate::control::settings::service::Desk;
use crate::db::News;
use crate::graphql::settings::shown;
use crate::kernel::clock::SystemClock;
use crate::kernel::settings::Setting;
use crate::tenant::settings::ShopSettings;

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all settings with what they are and why: of a tenant, or of a plan's tenants who have set nothing.
    List {
        #[command(flatten)]
        of: Of,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Set a setting for a tenant or for all of a plan. What a shop has set itself goes before it.
    Set {
        /// The setting, as `catalog.stock_low`.
        name: Setting,
        /// The value.
        value: String,
        #[command(flatten)]
        of: Of,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take back what is set for a tenant or a plan.
    Reset {
        /// The setting, as `catalog.stock_low`.
        name: Setting,
        #[command(flatten)]
        of: Of,
        /// Removes the shop's own value as well.
        #[arg(long, requires = "tenant")]
        own: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// For whom.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Of {
    /// A tenant's slug.
    #[arg(long)]
    tenant: Option<String>,
    /// A plan's code.
    #[arg(long)]
    plan: Option<String>,
}

impl Of {
    fn target(self) -> Target {
        // One of the two is there.
        self.tenant.map_or_else(|| Target::Plan(self.plan.unwrap_or_default()), Target::Tenant)
    }
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let ((control, tenants), vault, operator) = (databases(config)?, vault(config), operator());
    // What the environment of this command sets, which is the servers' where it is the same.
    let settings = ShopSettings::new(Arc::clone(&config.settings.environment), &News::default());
    let desk = Desk {
        control: &control,
        tenants: &tenants,
        settings: &settings,
        vault: &vault,
        clock: &SystemClock,
        operator: &operator,
    };
    match command {
        Command::List { of, json } => {
            for state in desk.list(&of.target()).await.map_err(error)? {
                print_state(state, json)?;
            }
        }
        Command::Set { name, value, of, json } => {
            let value = name.parse(&value)?;
            print_state(desk.update(&of.target(), name, &value).await.map_err(error)?, json)?;
        }
        Command::Reset { name, of, own, json } => {
            print_state(desk.reset(&of.target(), name, own).await.map_err(error)?, json)?;
        }
    }
    Ok(())
}

/// Prints a setting in the wanted form.
fn print_state(state: SettingState, is_json: bool) -> std::io::Result<()> {
    let SettingState { setting, found, ruled, is_own } = state;
    let (is_set, source, value) = (found.value.is_some(), found.source.as_str(), found.value.and_then(shown));
    if is_json {
        let object = json!({
            "name": setting.name(),
            "value": value,
            "isSet": is_set,
            "source": source,
            "isOwn": is_own,
            "ruledValue": ruled.as_ref().map(|ruled| &ruled.value),
            "ruledBy": ruled.as_ref().map(|ruled| &ruled.updated_by),
            "ruledAt": ruled.as_ref().map(|ruled| ruled.updated_at),
        });
        return print_line(format_args!("{object}"));
    }
    let value = match value {
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
        None if is_set => "(secret)".to_owned(),
        None => "(unset)".to_owned(),
    };
    print_line(format_args!("{:<28} {value:<24} {source:<12} {}", setting.name(), setting.definition().about))
}
