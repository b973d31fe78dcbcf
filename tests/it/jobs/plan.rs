//! How a claim reads the queue.

use shelfwise::jobs::queue::{CLAIM, CLAIM_OPENING};

use super::queue::Queue;

/// The claim's text with its places numbered.
fn numbered() -> String {
    let mut parts = CLAIM.split("{}");
    let first = parts.next().unwrap().to_owned();
    parts.enumerate().fold(first, |text, (index, part)| format!("{text}${}{part}", index + 1))
}

async fn plan(queue: &Queue) -> String {
    let prepare =
        format!("{CLAIM_OPENING}; PREPARE claim (text[], int2[], uuid, int4, int4, text, float8) AS {};", numbered());
    queue.sql(&prepare).await;
    let explain = "EXPLAIN EXECUTE claim (ARRAY['test.told'], ARRAY[3]::int2[], gen_random_uuid(), 8, 32, 'test', 30)";
    let rows = queue.psql.simple_query(explain).await.unwrap();
    let lines = rows.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    let plan = lines.collect::<Vec<_>>().join("\n");
    queue.sql("ROLLBACK; DEALLOCATE claim").await;
    plan
}

#[tokio::test]
async fn a_claim_reads_by_index_whatever_the_statistics_say() {
    let queue = Queue::new().await;
    queue.sql("ALTER TABLE control.jobs SET (autovacuum_enabled = off)").await;
    let check = |plan: &str, when: &str| {
        assert!(!plan.contains("Seq Scan"), "{when}:\n{plan}");
        assert!(plan.contains("jobs_available_idx") && plan.contains("jobs_running_idx"), "{when}:\n{plan}");
        assert!(!plan.contains("using jobs_tenant_idx"), "{when}:\n{plan}");
    };
    check(&plan(&queue).await, "empty");
    queue.tenants(1_000).await;
    queue
        .sql(
            "INSERT INTO control.jobs (id, tenant_id, kind, payload)
             SELECT gen_random_uuid(), id, 'test.told', '{}' FROM control.tenants, generate_series(1, 10)",
        )
        .await;
    check(&plan(&queue).await, "without statistics");
    queue.sql("ANALYZE control.jobs; ANALYZE control.tenants").await;
    check(&plan(&queue).await, "with statistics");
    queue.sql("UPDATE control.jobs SET state = 'completed', finalized_at = now(); ANALYZE control.jobs").await;
    check(&plan(&queue).await, "with statistics of a queue that was empty");
}
