//! `shelfwise tenant verify-audit`: recomputes a shop's trail and says where it is not what was written.

use anyhow::ensure;
use serde_json::json;

use super::note;
use super::output::print_line;
use super::tenant::{context, databases};
use crate::config::Config;
use crate::control::anchors::service::{anchor_list, anchor_newest};
use crate::tenant::audit::verify::Report;
use crate::tenant::audit::verify::service::verify;

/// Verifies the trail of a tenant and prints what it found; a trail that is broken is an error.
pub async fn run(config: &Config, slug: &str, json: bool) -> anyhow::Result<()> {
    let (control, tenants) = databases(config)?;
    let context = context(&control, slug).await?;
    note(&control, ("tenant.verify_audit", slug), json!({})).await?;
    let id = context.id;
    // Before the trail is looked at: what a server anchors meanwhile is beyond what is seen.
    let last = anchor_newest(&control, id).await?.map_or(0, |anchor| anchor.sequence);
    let session = tenants.session(context);
    let read = session.read().await?;
    let report = verify(&read, async |after| anchor_list(&control, id, (after, last)).await).await?;
    session.finish().await;
    print(slug, &report, json)?;
    ensure!(report.broken.is_none(), "the trail is broken");
    Ok(())
}

fn print(slug: &str, report: &Report, json: bool) -> std::io::Result<()> {
    let Report { entries, anchors, head, broken } = report;
    if json {
        let hash: String = head.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let broken = broken.map(|broken| {
            let what = broken.fault.to_string();
            json!({ "sequence": broken.sequence, "fault": broken.fault.as_str(), "message": what })
        });
        let head = json!({ "sequence": head.sequence, "hash": hash });
        let report = json!({ "slug": slug, "entries": entries, "anchors": anchors, "head": head, "broken": broken });
        return print_line(format_args!("{report}"));
    }
    match broken {
        None => print_line(format_args!("{slug}: {entries} entries are intact, {anchors} anchors agree")),
        Some(broken) => print_line(format_args!(
            "{slug}: broken at entry {}: {}; the {entries} entries before are intact, {anchors} anchors agree",
            broken.sequence, broken.fault
        )),
    }
}
