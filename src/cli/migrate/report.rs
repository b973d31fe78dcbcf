//! What is printed of plans and runs.

use serde_json::{Value, json};

use crate::cli::output::print_line;
use crate::control::migrations::Run;
use crate::control::migrations::model::{Plan, Progress};
use crate::control::migrations::service::{failed_list, progress, skipped_list};
use crate::db::{ControlDb, DbError};
use crate::kernel::ids::{MigrationRunId, TenantId};
use crate::kernel::page::{Direction, PageRequest};

/// Failures that are printed at most.
const FAILURES_MAX: usize = 1_000;

/// Steps that were passed over and are printed at most.
const SKIPPED_MAX: usize = 20;

/// A plan as JSON.
pub(super) fn plan_json(plan: &Plan) -> Value {
    let behind = plan
        .behind
        .iter()
        .map(|behind| json!({ "version": behind.version, "tenants": behind.tenants, "spares": behind.spares }));
    let migrations = plan.migrations.iter().map(|planned| {
        json!({
            "version": planned.version,
            "name": planned.name,
            "isTransactional": planned.is_transactional,
            "hasBackfill": planned.has_backfill,
            "afterBackfill": planned.after_backfill,
        })
    });
    json!({
        "target": plan.target,
        "behind": behind.collect::<Vec<_>>(),
        "migrations": migrations.collect::<Vec<_>>(),
        "problems": plan.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "waves": plan.waves,
        "openBackfills": plan.backfills,
        "unfinishedRun": plan.unfinished.as_ref().map(|run| run.id.to_string()),
    })
}

/// Prints a plan for people.
pub(super) fn print_plan(plan: &Plan) -> anyhow::Result<()> {
    print_line(format_args!("to version {}", plan.target))?;
    for behind in &plan.behind {
        print_line(format_args!(
            "  at {}: {} tenants, {} spare schemas",
            behind.version, behind.tenants, behind.spares
        ))?;
    }
    if plan.behind.is_empty() {
        print_line(format_args!("  nothing is behind"))?;
    }
    for planned in &plan.migrations {
        let notes = [
            (!planned.is_transactional).then(|| "outside of a transaction".to_owned()),
            planned.has_backfill.then(|| "leaves a backfill to jobs".to_owned()),
            planned.after_backfill.as_ref().map(|version| format!("waits for the backfill of {version}")),
        ];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        print_line(format_args!("  {} {}", planned.name, notes.join(", ")))?;
    }
    for problem in &plan.problems {
        print_line(format_args!("REFUSED {problem}"))?;
    }
    if plan.backfills > 0 {
        print_line(format_args!("{} backfills are under way", plan.backfills))?;
    }
    if let Some(run) = &plan.unfinished {
        print_line(format_args!("the run {} has not ended: it is {}", run.id, run.status))?;
    }
    Ok(())
}

/// A run as JSON.
pub(super) fn run_json(run: &Run, progress: &Progress) -> Value {
    json!({
        "id": run.id.to_string(),
        "direction": run.direction,
        "target": run.target_version,
        "status": run.status,
        "pauseReason": run.pause_reason,
        "reverts": run.reverts.map(|id| MigrationRunId(id).to_string()),
        "leader": run.leader,
        "requestedBy": run.requested_by,
        "createdAt": run.created_at,
        "finishedAt": run.finished_at,
        "total": progress.total,
        "completed": progress.completed,
        "failed": progress.failed,
        "skipped": progress.skipped,
        "pending": progress.pending,
        "retrying": progress.retrying,
        "wave": progress.wave,
        "lastWave": progress.wave_last,
        "ratePerSecond": progress.rate,
        "etaSeconds": progress.eta_seconds(),
    })
}

/// Prints a run with its failures in the wanted form.
pub(super) async fn print_run(control: &ControlDb, run: &Run, as_json: bool) -> anyhow::Result<()> {
    let (progress, failed) = (progress(control, run.id).await?, failures(control, run.id).await?);
    if as_json {
        let mut answer = run_json(run, &progress);
        let failed: Vec<_> = failed.iter().map(|(slug, error)| json!({ "slug": slug, "error": error })).collect();
        answer["failures"] = json!(failed);
        return Ok(print_line(format_args!("{answer}"))?);
    }
    let Progress { total, completed, failed: failures, skipped, pending, retrying, .. } = progress;
    print_line(format_args!("run {} {} {}: {}", run.id, run.direction, run.target_version, run.status))?;
    if let Some(reason) = &run.pause_reason {
        print_line(format_args!("  {reason}"))?;
    }
    print_line(format_args!(
        "  {total} schemas: {completed} done, {failures} failed, {skipped} passed over, {pending} to do ({retrying} tried before)"
    ))?;
    if let (Some(wave), Some(last)) = (progress.wave, progress.wave_last) {
        let eta = progress.eta_seconds().map_or("?".to_owned(), |seconds| format!("{seconds:.0} s"));
        print_line(format_args!("  wave {wave} of {last}, {:.1} a second, {eta} left", progress.rate))?;
    }
    for (slug, error) in &failed {
        print_line(format_args!("  {slug}: {error}"))?;
    }
    print_skipped(control, run).await
}

/// Prints who was passed over, and why: the first of them.
pub(super) async fn print_skipped(control: &ControlDb, run: &Run) -> anyhow::Result<()> {
    let page = PageRequest { limit: SKIPPED_MAX, direction: Direction::Forward, from: None };
    for step in skipped_list(control, run.id, page).await?.items {
        let name = name(step.slug, step.tenant);
        print_line(format_args!("  {name}: passed over: {}", step.error.unwrap_or_default()))?;
    }
    Ok(())
}

/// What a tenant is called. A spare schema is called by its tenant's id to be.
fn name(slug: Option<String>, tenant: TenantId) -> String {
    slug.unwrap_or_else(|| format!("spare {tenant}"))
}

/// The tenants whose step was given up, by slug, and why.
pub(super) async fn failures(control: &ControlDb, run: MigrationRunId) -> Result<Vec<(String, String)>, DbError> {
    let page = PageRequest { limit: FAILURES_MAX, direction: Direction::Forward, from: None };
    let page = failed_list(control, run, page).await?;
    Ok(page.items.into_iter().map(|step| (name(step.slug, step.tenant), step.error.unwrap_or_default())).collect())
}
