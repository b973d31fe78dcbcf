//! The fleet in the operators' API, and the worker that leads what it starts.

use std::sync::Arc;

use serde_json::{Value, json};
use shelfwise::db::migrate::{Plane, newest_version};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::worker::{handlers, work};

use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::jobs::queue::PATIENCE;

const START: &str = "mutation($input: MigrationRunStartInput!) { migrationRunStart(input: $input) {
    migrationRun { id status direction targetVersion progress { totalCount pendingCount wave } }
    userErrors { code path } } }";

const RUN: &str = "query($id: ID!) { migrationRun(id: $id) { status pauseReason leader requestedBy finishedAt revertsId
    progress { totalCount completedCount failedCount skippedCount pendingCount retryingCount wave lastWave ratePerSecond
               etaSeconds }
    failures { nodes { tenantSlug wave fromVersion toVersion attemptCount message finishedAt } } } }";

async fn act(world: &World, name: &str, arguments: &str, id: &Value) -> Value {
    let mutation = format!(
        "mutation($id: ID!) {{ {name}(id: $id{arguments}) {{ migrationRun {{ status pauseReason }} userErrors {{ code }} }} }}"
    );
    world.admin().data(&mutation, json!({ "id": id })).await[name].clone()
}

#[tokio::test]
async fn a_run_is_planned_started_steered_and_led_by_a_worker() {
    let (world, database) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let psql = psql_of(&database).await;
    // The ledgers know better, so the steps have nothing to do but to say so.
    psql.batch_execute("UPDATE control.tenants SET schema_version = '20260101000001'").await.unwrap();
    let newest = newest_version(Plane::Tenant);
    let plan = "{ migrationPlan { targetVersion behind { version tenantCount spareCount } waveCount problems
        openBackfillCount migrations { version name isTransactional hasBackfill afterBackfill } unfinishedRun { id } } }";
    let plan = world.admin().data(plan, json!({})).await["migrationPlan"].clone();
    assert_eq!((&plan["targetVersion"], &plan["waveCount"]), (&json!(newest), &json!(1)));
    assert_eq!(plan["behind"], json!([{ "version": "20260101000001", "tenantCount": 2, "spareCount": 0 }]));

    let bad = json!({ "input": { "concurrency": 100_000, "errorRateMax": 2.0 } });
    let refused = world.admin().data(START, bad).await["migrationRunStart"].clone();
    assert_eq!(refused["migrationRun"], Value::Null);
    assert_eq!(refused["userErrors"].as_array().unwrap().len(), 2);
    assert_eq!(refused["userErrors"][0], json!({ "code": "MIGRATION_OPTIONS_INVALID", "path": ["input"] }));

    let started = world.admin().data(START, json!({ "input": { "canaries": [world.a.slug.as_str()] } })).await;
    let run = started["migrationRunStart"]["migrationRun"].clone();
    let told = ["status", "direction", "targetVersion"].map(|name| run[name].clone());
    assert_eq!(told, [json!("RUNNING"), json!("UP"), json!(newest)]);
    assert_eq!(run["progress"], json!({ "totalCount": 2, "pendingCount": 2, "wave": 1 }));
    let again = world.admin().data(START, json!({ "input": {} })).await;
    assert_eq!(again["migrationRunStart"]["userErrors"][0]["code"], "MIGRATION_RUN_UNFINISHED");

    let id = &run["id"];
    let paused = act(&world, "migrationRunPause", ", reason: \"lunch\"", id).await;
    assert_eq!(paused["migrationRun"], json!({ "status": "PAUSED", "pauseReason": "lunch" }));
    let early = act(&world, "migrationRunRetry", "", id).await;
    assert_eq!(early["userErrors"], json!([{ "code": "MIGRATION_NOTHING_TO_DO" }]));
    let resumed = act(&world, "migrationRunResume", "", id).await;
    assert_eq!(resumed["migrationRun"], json!({ "status": "RUNNING", "pauseReason": null }));
    let jobs = "SELECT count(*) FROM control.jobs WHERE kind = 'fleet.migrate'";
    assert_eq!(psql.query_one(jobs, &[]).await.unwrap().get::<_, i64>(0), 2, "a job for each word; one will lead");

    let app = Arc::clone(&world.app);
    let done = async {
        let mut seen = Value::Null;
        while seen["status"] != "COMPLETED" {
            seen = world.admin().data(RUN, json!({ "id": id })).await["migrationRun"].clone();
        }
        seen
    };
    let seen = tokio::select! {
        seen = tokio::time::timeout(PATIENCE, done) => seen.expect("the worker leads the run"),
        worked = work(Arc::clone(&app), handlers(&app), std::future::pending()) => panic!("{worked:?}"),
    };
    assert_eq!(seen["progress"]["completedCount"], 2);
    assert_eq!((&seen["failures"]["nodes"], &seen["requestedBy"]), (&json!([]), &json!("cli:test")));

    let none = act(&world, "migrationRunRollback", "", id).await;
    assert_eq!(none["userErrors"], json!([{ "code": "MIGRATION_NOTHING_TO_DO" }]), "no step has run anything");
    let nobody = json!("run_01h455vb4pex5vsknk084sn02q");
    let unknown = act(&world, "migrationRunResume", "", &nobody).await;
    assert_eq!(unknown["userErrors"], json!([{ "code": "MIGRATION_RUN_NOT_FOUND" }]));
    assert_eq!(world.admin().data(RUN, json!({ "id": nobody })).await, json!({ "migrationRun": null }));
    let runs =
        world.admin().data("{ migrationRuns(first: 1) { nodes { id } pageInfo { hasNextPage } } }", json!({})).await;
    assert_eq!(runs["migrationRuns"], json!({ "nodes": [{ "id": id }], "pageInfo": { "hasNextPage": false } }));
    let trail = "SELECT string_agg(action, ',' ORDER BY id) FROM control.admin_audit WHERE target = 'platform'";
    assert_eq!(
        psql.query_one(trail, &[]).await.unwrap().get::<_, String>(0),
        "migration.start,migration.pause,migration.resume"
    );
    world.end().await;
}
