//! The queue in the operators' API.

use serde_json::json;
use shelfwise::kernel::ids::JobId;
use uuid::Uuid;

use crate::harness::cluster::psql;
use crate::harness::{World, world};

/// Adds a job of shop A in a state, of a kind that no worker knows.
async fn add(world: &World, kind: &str, state: &str) -> String {
    let statement = "INSERT INTO control.jobs (id, tenant_id, kind, payload, state, attempt, errors, finalized_at)
        VALUES (gen_random_uuid(), $1, $2, '{\"email\": \"secret@shop.example\"}', $3, 3,
                '[{\"at\": \"2026-11-24T12:00:00Z\", \"attempt\": 3, \"message\": \"no\"}]',
                CASE WHEN $3 = 'discarded' THEN now() END)
        RETURNING id";
    let row = psql().await.query_one(statement, &[&world.a.id.0, &kind, &state]).await.unwrap();
    JobId(row.get::<_, Uuid>(0)).to_string()
}

#[tokio::test]
async fn jobs_are_listed_counted_and_shown_without_their_payloads() {
    world(async |world| {
        let slug = world.a.slug.as_str();
        let id = add(world, "test.dead", "discarded").await;
        add(world, "test.waits", "available").await;
        let query = "query($slug: String!, $id: ID!) {
            jobs(filter: { tenant: $slug, state: AVAILABLE }) { nodes { kind state } }
            deadJobs(filter: { tenant: $slug }) { nodes { id tenantSlug kind attempt errors { attempt message } } }
            job(id: $id) { id state priority finalizedAt }
            jobStats(tenant: $slug) { counts { kind state count } oldestDueSeconds } }";
        let response = world.admin().gql(query, json!({ "slug": slug, "id": id })).await;
        assert!(!response.body.to_string().contains("secret@"), "{}", response.body);
        let kinds = response["/jobs/nodes"].as_array().unwrap();
        assert!(kinds.contains(&json!({ "kind": "test.waits", "state": "AVAILABLE" })), "{kinds:?}");
        assert_eq!(
            response["/deadJobs/nodes"],
            json!([{ "id": id, "tenantSlug": slug, "kind": "test.dead", "attempt": 3,
                     "errors": [{ "attempt": 3, "message": "no" }] }])
        );
        assert_eq!((&response["/job/id"], &response["/job/state"]), (&json!(id), &json!("DISCARDED")));
        let counts = response["/jobStats/counts"].as_array().unwrap();
        assert!(counts.contains(&json!({ "kind": "test.dead", "state": "DISCARDED", "count": 1 })), "{counts:?}");
        assert!(response["/jobStats/oldestDueSeconds"].is_i64());

        let none = world.admin().data("{ jobs(filter: { tenant: \"nobody\" }) { nodes { id } } jobStats(tenant: \"nobody\") { oldestDueAt } }", json!({})).await;
        assert_eq!(none, json!({ "jobs": { "nodes": [] }, "jobStats": null }));
    })
    .await;
}

#[tokio::test]
async fn jobs_are_replayed_put_away_and_called_off_and_the_trail_tells_it() {
    world(async |world| {
        let slug = world.a.slug.as_str();
        let (one, two, three) = (
            add(world, "test.dead", "discarded").await,
            add(world, "test.dead", "discarded").await,
            add(world, "test.many", "discarded").await,
        );
        let mutation = "mutation($slug: String!, $one: ID!, $two: ID!) {
            jobReplay(id: $one) { job { state attempt } userErrors { code } }
            jobDiscard(id: $two) { job { state } userErrors { code } }
            again: jobDiscard(id: $two) { job { state } userErrors { code } }
            jobCancel(id: $one) { job { state } userErrors { code } }
            jobsReplay(filter: { tenant: $slug }) { jobs { count } userErrors { code } } }";
        let data = world.admin().data(mutation, json!({ "slug": slug, "one": one, "two": two })).await;
        assert_eq!(
            data,
            json!({
                "jobReplay": { "job": { "state": "AVAILABLE", "attempt": 0 }, "userErrors": [] },
                "jobDiscard": { "job": { "state": "CANCELLED" }, "userErrors": [] },
                "again": { "job": null, "userErrors": [{ "code": "JOB_STATE_CONFLICT" }] },
                "jobCancel": { "job": { "state": "CANCELLED" }, "userErrors": [] },
                "jobsReplay": { "jobs": { "count": 1 }, "userErrors": [] },
            })
        );
        let trail = "query($slug: String!) { auditLog(target: $slug) { nodes { action } } }";
        let trail = world.admin().data(trail, json!({ "slug": slug })).await;
        let acts: Vec<&str> = trail["auditLog"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["action"].as_str().unwrap())
            .collect();
        assert_eq!(acts, ["jobs.replay", "job.cancel", "job.discard", "job.replay", "tenant.provision"]);
        let missing = world
            .admin()
            .data(
                "mutation($id: ID!) { jobCancel(id: $id) { userErrors { code } } }",
                json!({ "id": JobId(Uuid::nil()).to_string() }),
            )
            .await;
        assert_eq!(missing["jobCancel"]["userErrors"][0]["code"], "JOB_NOT_FOUND");
        assert_ne!(three, one);
    })
    .await;
}
