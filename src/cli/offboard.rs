//! `shelfwise tenant offboard`: takes leave of tenants at the command line, and shows what became of it.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::operator;
use super::output::{error, print_line};
use super::tenant::databases;
use crate::auth::Tokens;
use crate::config::Config;
use crate::control::offboarding::certificate::verified_by;
use crate::control::offboarding::service::{offboarding_by_slug, tenant_offboard, tenant_offboard_cancel};
use crate::control::offboarding::{Offboarding, OffboardingStatus};
use crate::db::ControlDb;
use crate::kernel::clock::SystemClock;

/// Whom, and what is to become of it.
#[derive(Debug, Args)]
pub struct Offboard {
    /// The tenant.
    slug: String,
    #[command(flatten)]
    act: Act,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is to become of it: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Act {
    /// Close the tenant, archive it, and delete it after the grace period. Why: the certificate has it.
    #[arg(long)]
    reason: Option<String>,
    /// Call it off, as long as nothing is destroyed.
    #[arg(long)]
    cancel: bool,
    /// Tell how far it has come.
    #[arg(long)]
    status: bool,
    /// Print the certificate, once the tenant is gone, and fail if it was tampered with.
    #[arg(long)]
    certificate: bool,
}

/// Does it.
pub async fn run(config: &Config, asked: Offboard) -> anyhow::Result<()> {
    let control = databases(config)?.0;
    let Offboard { slug, act, json } = asked;
    // Workers are other processes; they look by themselves within a second.
    let offboarding = if let Some(reason) = act.reason {
        let grace = config.retention.offboarding_grace;
        tenant_offboard(&control, &SystemClock, &operator(), grace, (&slug, &reason)).await.map_err(error)?
    } else if act.cancel {
        tenant_offboard_cancel(&control, &SystemClock, &operator(), &slug).await.map_err(error)?
    } else {
        newest(&control, &slug).await?
    };
    if act.certificate {
        print_certificate(&Tokens::new(&config.auth)?, &offboarding, json)
    } else {
        Ok(print_offboarding(&offboarding, json)?)
    }
}

async fn newest(control: &ControlDb, slug: &str) -> anyhow::Result<Offboarding> {
    offboarding_by_slug(control, slug).await?.with_context(|| format!("the tenant `{slug}` was never offboarded"))
}

fn offboarding_json(offboarding: &Offboarding) -> Value {
    json!({
        "id": offboarding.id.to_string(),
        "tenantId": offboarding.tenant_id.to_string(),
        "slug": offboarding.slug,
        "status": offboarding.status,
        "reason": offboarding.reason,
        "requestedBy": offboarding.requested_by,
        "requestedAt": offboarding.requested_at,
        "deleteAfter": offboarding.delete_after,
        "archiveId": offboarding.archive_id.to_string(),
        "auditArchiveId": offboarding.audit_archive_id.to_string(),
        "error": offboarding.error,
        "failureCount": offboarding.failures,
        "retryAt": offboarding.retry_at,
        "keysDestroyedAt": offboarding.keys_destroyed_at,
        "tablesDropped": offboarding.tables_dropped,
        "completedAt": offboarding.completed_at,
    })
}

/// Prints an offboarding in the wanted form.
fn print_offboarding(offboarding: &Offboarding, is_json: bool) -> std::io::Result<()> {
    if is_json {
        return print_line(format_args!("{}", offboarding_json(offboarding)));
    }
    let Offboarding { slug, status, reason, .. } = offboarding;
    let what = match offboarding.status() {
        Some(OffboardingStatus::Exporting | OffboardingStatus::Waiting) => {
            format!("deleted after {}", offboarding.delete_after.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        Some(OffboardingStatus::Completed | OffboardingStatus::Canceled) => {
            offboarding.completed_at.map(|at| format!("at {}", at.format("%Y-%m-%d %H:%M:%S UTC"))).unwrap_or_default()
        }
        Some(OffboardingStatus::Deleting) | None => String::new(),
    };
    let error = offboarding.error.as_deref().map(|error| format!("  FAILED: {error}")).unwrap_or_default();
    print_line(format_args!("{slug:<40} {status:<12} {what}  {reason}{error}"))
}

/// Prints a certificate: the signature alone, or with what it says and the key that verifies it.
fn print_certificate(tokens: &Tokens, offboarding: &Offboarding, is_json: bool) -> anyhow::Result<()> {
    let (Some(signed), Some(key)) = (&offboarding.certificate, &offboarding.certificate_key) else {
        anyhow::bail!("there is no certificate yet: the offboarding is {}", offboarding.status);
    };
    let statement = verified_by(tokens, signed, key).context("the certificate was tampered with")?;
    if is_json {
        let all = json!({ "signature": signed, "publicKey": key, "statement": statement });
        return Ok(print_line(format_args!("{all}"))?);
    }
    Ok(print_line(format_args!("{signed}"))?)
}
