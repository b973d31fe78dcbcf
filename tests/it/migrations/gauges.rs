//! What workers tell of runs.

use shelfwise::telemetry::metrics::Metrics;
use shelfwise::worker::gauges::count;

use super::fleet::{Fleet, column, options, set_of};
use crate::metrics::Scrape;

/// What is told now.
async fn told(fleet: &Fleet, metrics: &Metrics) -> Scrape {
    count(&fleet.control, metrics).await.unwrap();
    Scrape::read(&String::from_utf8(metrics.encode().unwrap()).unwrap())
}

/// Checks how many runs and how many schemas are in each state.
#[track_caller]
fn assert_counts(scrape: &Scrape, runs: [f64; 4], tenants: [f64; 4]) {
    let names = ["running", "paused", "completed", "abandoned"];
    let found = names.map(|state| scrape.value(&format!("shelfwise_migration_runs{{state=\"{state}\"}}")));
    assert_eq!(found, runs);
    let names = ["pending", "completed", "failed", "skipped"];
    let found = names.map(|state| scrape.value(&format!("shelfwise_migration_tenants{{state=\"{state}\"}}")));
    assert_eq!(found, tenants);
}

#[tokio::test]
async fn runs_their_schemas_and_how_long_nothing_has_happened_are_told() {
    let (fleet, metrics) = (Fleet::of(3).await, Metrics::new().unwrap());
    let idle = |scrape: &Scrape| scrape.value("shelfwise_migration_idle_seconds");
    let scrape = told(&fleet, &metrics).await;
    assert_counts(&scrape, [0.0; 4], [0.0; 4]);
    assert_eq!(idle(&scrape), 0.0);

    let set = set_of([column(1)]);
    fleet.start(&set, &options()).await.unwrap();
    fleet.sql("UPDATE control.migration_runs SET created_at = now() - interval '1 hour'").await;
    let scrape = told(&fleet, &metrics).await;
    assert_counts(&scrape, [1.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0]);
    assert!((3_600.0..3_700.0).contains(&idle(&scrape)), "{}", idle(&scrape));

    // A step that ended counts, whichever way it did.
    let one =
        "WHERE tenant_id = (SELECT min(tenant_id::text)::uuid FROM control.migration_steps WHERE status = 'pending')";
    for (status, minutes) in [("completed", 20), ("failed", 10)] {
        let end = format!(
            "UPDATE control.migration_steps SET status = '{status}', finished_at = now() - interval '{minutes} minutes' {one}"
        );
        fleet.sql(&end).await;
    }
    fleet.sql("UPDATE control.migration_runs SET status = 'paused', pause_reason = 'test'").await;
    let scrape = told(&fleet, &metrics).await;
    assert_counts(&scrape, [0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]);
    assert!((600.0..700.0).contains(&idle(&scrape)), "{}", idle(&scrape));

    // One that has ended is told of by its state alone.
    fleet.sql("UPDATE control.migration_runs SET status = 'abandoned', finished_at = now()").await;
    let (run, _) = fleet.run(&set, &options()).await;
    assert_eq!(fleet.counts(&run).await, [3, 0, 0, 0]);
    let scrape = told(&fleet, &metrics).await;
    assert_counts(&scrape, [0.0, 0.0, 1.0, 1.0], [0.0; 4]);
    assert_eq!(idle(&scrape), 0.0);
}
