//! `shelfwise admin`: the platform's administrators, for whoever has its keys at hand.

use clap::Subcommand;

use super::operator;
use super::output::{error, print_line};
use super::tenant::databases;
use crate::config::Config;
use crate::control::admins::model::Admin;
use crate::control::admins::service;
use crate::db::ControlTx;
use crate::kernel::clock::SystemClock;

/// What to do with administrators.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Invite an administrator, or one who has lost the password again; print the invitation's token and nothing else.
    Invite {
        /// What the administrator logs in by.
        email: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List all administrators.
    List {
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shut an administrator out: every log-in ends.
    Disable {
        /// What the administrator logs in by.
        email: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let control = databases(config)?.0;
    match command {
        Command::Invite { email, json } => {
            let work = async |tx: &mut ControlTx| service::admin_invite(tx, &SystemClock, &operator(), &email).await;
            let (admin, credential) = control.write(work).await.map_err(error)?;
            let token = credential.reveal();
            if json {
                let mut object = admin_json(&admin);
                object["invitationToken"] = token.into();
                print_line(format_args!("{object}"))?;
            } else {
                print_line(format_args!("{token}"))?;
            }
        }
        Command::List { json } => {
            for admin in service::admin_list(&control).await? {
                print_admin(&admin, json)?;
            }
        }
        Command::Disable { email, json } => {
            let work = async |tx: &mut ControlTx| {
                let admin = service::admin_by_email(tx, &email).await?;
                service::admin_disable(tx, &SystemClock, &operator(), admin.id).await
            };
            print_admin(&control.write(work).await.map_err(error)?, json)?;
        }
    }
    Ok(())
}

/// An administrator as JSON.
fn admin_json(admin: &Admin) -> serde_json::Value {
    serde_json::json!({
        "id": admin.id.to_string(),
        "email": admin.email,
        "status": admin.status,
        "createdAt": admin.created_at,
        "updatedAt": admin.updated_at,
    })
}

/// Prints an administrator in the wanted form.
fn print_admin(admin: &Admin, json: bool) -> std::io::Result<()> {
    if json {
        print_line(format_args!("{}", admin_json(admin)))
    } else {
        print_line(format_args!("{:<40} {:<10} {}", admin.email, admin.status, admin.id))
    }
}
