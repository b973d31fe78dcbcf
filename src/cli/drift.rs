//! `shelfwise tenant drift`: tells where schemas are not what their migrations make.

use anyhow::{Context as _, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::output::print_line;
use super::tenant::{databases, tenants_of};
use crate::app::{owner, urls};
use crate::config::Config;
use crate::control::drift::Comparison;
use crate::control::tenants::Tenant;
use crate::db::catalogue::Difference;
use crate::kernel::clock::SystemClock;

/// Compares one tenant, or all of them; any difference is an error, so that a schedule can run it.
pub async fn run(config: &Config, slug: Option<&str>, json: bool) -> anyhow::Result<()> {
    let (owner, (control, _)) = (owner(urls(config)?)?, databases(config)?);
    let mut tenants = tenants_of(&control, slug).await?;
    tenants.retain(|tenant| !tenant.is_going());
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(tenants.len() as u64) };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} tenants {per_sec} {eta}")?);
    let mut comparison = Comparison::new(&owner, &SystemClock);
    let mut drifting = 0;
    for tenant in &tenants {
        let found = comparison.differences(tenant).await.with_context(|| format!("`{}`", tenant.slug))?;
        drifting += usize::from(!found.is_empty());
        if json || !found.is_empty() {
            bar.suspend(|| print(tenant, &found, json))?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !json {
        print_line(format_args!("{} tenants compared: {drifting} drift", tenants.len()))?;
    }
    ensure!(drifting == 0, "{drifting} of {} schemas are not what their migrations make", tenants.len());
    Ok(())
}

fn print(tenant: &Tenant, found: &[Difference], json: bool) -> std::io::Result<()> {
    let Tenant { slug, schema_version, .. } = tenant;
    if json {
        let told = |Difference { kind, name, expected, found }: &Difference| json!({ "kind": kind, "name": name, "expected": expected, "found": found });
        let found: Vec<_> = found.iter().map(told).collect();
        return print_line(format_args!(
            "{}",
            json!({ "slug": slug, "version": schema_version, "differences": found })
        ));
    }
    for Difference { kind, name, expected, found } in found {
        let missing = || "nothing".to_owned();
        let (expected, found) = (expected.clone().unwrap_or_else(missing), found.clone().unwrap_or_else(missing));
        print_line(format_args!("{slug}: {kind} {name}\n    expected {expected}\n    found    {found}"))?;
    }
    Ok(())
}
