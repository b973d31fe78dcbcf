//! What commands print: text for people, JSON for machines.

use std::fmt::Arguments;
use std::io::Write as _;

use crate::control::tenants::Tenant;
use crate::failure::Failure;
use crate::kernel::tenant::SchemaName;

/// A tenant as JSON.
pub fn tenant_json(tenant: &Tenant) -> serde_json::Value {
    serde_json::json!({
        "id": tenant.id.to_string(),
        "slug": tenant.slug,
        "name": tenant.name,
        "plan": tenant.plan,
        "currency": tenant.currency,
        "status": tenant.status,
        "suspensionReason": tenant.suspension_reason,
        "schemaName": SchemaName::from(tenant.id).as_str(),
        "schemaVersion": tenant.schema_version,
        "createdAt": tenant.created_at,
    })
}

/// One tenant in a line.
fn tenant_line(tenant: &Tenant) -> String {
    format!("{:<40} {:<12} {:<12} {}", tenant.slug, tenant.status, tenant.plan, tenant.name)
}

/// Prints a tenant in the wanted form.
pub fn print_tenant(tenant: &Tenant, json: bool) -> std::io::Result<()> {
    if json {
        print_line(format_args!("{}", tenant_json(tenant)))
    } else {
        print_line(format_args!("{}", tenant_line(tenant)))
    }
}

/// Prints a line. A reader that has seen enough, as `head` has, is an error here and not a panic.
pub fn print_line(line: Arguments<'_>) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

/// A service's failure as a command's error: all the reasons.
pub fn error<C: std::fmt::Debug>(failure: Failure<C>) -> anyhow::Error {
    match failure {
        Failure::Refused(refusals) => {
            let reasons: Vec<String> = refusals.into_iter().map(|refusal| refusal.message).collect();
            anyhow::anyhow!(reasons.join("\n"))
        }
        Failure::Forbidden(forbidden) => forbidden.into(),
        Failure::Db(error) => error.into(),
        Failure::Repeated(_) | Failure::Gone => anyhow::anyhow!("the key of idempotency does not fit"),
        Failure::Key(error) => error.into(),
        Failure::Busy => anyhow::anyhow!("too much of the same is under way; try again"),
    }
}
