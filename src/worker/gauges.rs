//! What workers count of the whole platform for the metrics, beside the depth of the queue, which the engine counts.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;
use crate::control::jobs::service::tenant_depths;
use crate::control::migrations::service::{run_counts, unfinished_counts};
use crate::control::offboarding::OffboardingStatus::{self, Deleting, Exporting, Waiting};
use crate::control::offboarding::service::offboarding_counts;
use crate::control::webhooks::service::{TROUBLE_STATES, trouble_counts};
use crate::db::{ControlDb, DbError};
use crate::telemetry::metrics::Metrics;

/// The pause between two counts.
const COUNT_PAUSE: Duration = Duration::from_secs(10);

/// Tenants that are told of by name: as many series a family at most, however many tenants there are.
pub const TENANTS_TOLD_MAX: i64 = 10;

/// The states of a run over the fleet.
const RUN_STATES: [&str; 4] = ["running", "paused", "completed", "abandoned"];

/// What becomes of a schema in such a run.
const STEP_STATES: [&str; 4] = ["pending", "completed", "failed", "skipped"];

/// The states of an offboarding that has not ended.
const LIVE: [OffboardingStatus; 3] = [Exporting, Waiting, Deleting];

/// Counts for as long as the worker runs. What could not be counted stays as it was last.
pub(super) async fn keep(app: &App) -> Infallible {
    loop {
        if let Err(error) = count(&app.control, &app.metrics).await {
            tracing::debug!(%error, "The gauges could not be counted");
        }
        sleep(COUNT_PAUSE).await;
    }
}

/// Counts once: endpoints that are not well, what waits for them, tenants on their way out, the queue of the tenants who have the
/// most jobs, and runs over the fleet.
///
/// # Errors
/// The database failed.
pub async fn count(control: &ControlDb, metrics: &Metrics) -> Result<(), DbError> {
    let troubles = trouble_counts(control).await?;
    let depths = tenant_depths(control, TENANTS_TOLD_MAX).await?;
    for state in TROUBLE_STATES {
        let count = troubles.iter().find(|(name, ..)| name == state).map_or(0, |(_, count, _)| *count);
        metrics.webhooks.troubled.with_label_values(&[state]).set(count);
    }
    metrics.webhooks.backlog.set(troubles.iter().map(|(.., backlog)| backlog).sum());
    let offboardings = offboarding_counts(control).await?;
    for state in LIVE {
        let count = offboardings.iter().find(|(name, ..)| name == state.as_str()).map_or(0, |(_, count, _)| *count);
        metrics.offboardings.with_label_values(&[state.as_str()]).set(count);
    }
    let failed = offboardings.iter().map(|(.., failed)| failed).sum();
    metrics.offboardings.with_label_values(&["failed"]).set(failed);
    let jobs = &metrics.jobs;
    // Who was among them before and is not any more would stay for ever, and the number of series had no bound.
    jobs.tenant_depth.reset();
    jobs.tenant_oldest_due.reset();
    for (slug, count, oldest_due_seconds) in depths {
        jobs.tenant_depth.with_label_values(&[&slug]).set(count);
        jobs.tenant_oldest_due.with_label_values(&[&slug]).set(oldest_due_seconds.max(0.0));
    }
    count_migrations(control, metrics).await
}

/// Counts runs over the fleet, and what has become of schemas in the one that has not ended.
async fn count_migrations(control: &ControlDb, metrics: &Metrics) -> Result<(), DbError> {
    let of = |counts: &[(String, i64)], state: &str| {
        counts.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count)
    };
    let (runs, (steps, idle)) = (run_counts(control).await?, unfinished_counts(control).await?);
    for state in RUN_STATES {
        metrics.migrations.runs.with_label_values(&[state]).set(of(&runs, state));
    }
    for state in STEP_STATES {
        metrics.migrations.tenants.with_label_values(&[state]).set(of(&steps, state));
    }
    metrics.migrations.idle_seconds.set(idle.as_secs_f64());
    Ok(())
}
