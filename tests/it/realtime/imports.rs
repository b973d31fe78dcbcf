//! `importProgress`

use serde_json::{Value, json};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::ImportId;

use crate::harness::cluster::psql;
use crate::harness::socket::Socket;
use crate::harness::world;

const IMPORT: &str =
    "mutation($csv: String!) { bookImport(input: { csv: $csv }) { import { id } userErrors { code } } }";

const PROGRESS: &str =
    "subscription($id: ID) { importProgress(importId: $id) { id status counts { rows created } finishedAt } }";

#[tokio::test]
async fn a_long_import_is_told_as_it_goes_on_and_when_it_is_done() {
    world(async |world| {
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("1", PROGRESS, json!({})).await;
        socket.hears_nothing().await;
        while world.app.metrics.live.streams.get() == 0 {
            tokio::task::yield_now().await;
        }
        let rows: String = (0..12_000).map(|row| format!("Book {row},9\n")).collect();
        let owner = world.owner();
        let import = owner.data(IMPORT, json!({ "csv": format!("title,stock\n{rows}") }));
        let telling = async {
            let mut seen: Vec<Value> = Vec::new();
            while seen.last().is_none_or(|last| last["status"] != "COMPLETED") {
                seen.push(socket.next_of("1").await["importProgress"].clone());
            }
            seen
        };
        let (data, seen) = tokio::join!(import, telling);
        let id = &data["bookImport"]["import"]["id"];
        let (last, before) = seen.split_last().unwrap();
        assert_eq!((&last["id"], &last["counts"]), (id, &json!({ "rows": 12_000, "created": 12_000 })));
        assert!(!before.is_empty(), "told while it goes on");
        let mut rows = 0;
        for step in before {
            assert_eq!((&step["id"], &step["status"], &step["finishedAt"]), (id, &json!("RUNNING"), &Value::Null));
            let now = step["counts"]["rows"].as_i64().unwrap();
            assert!(now > rows && now <= 12_000, "{seen:?}");
            rows = now;
        }
        // Of one import, as it is and that it has ended.
        socket.subscribe("2", PROGRESS, json!({ "id": id })).await;
        assert_eq!(socket.next_of("2").await["importProgress"], *last);
        socket.ends("2").await;
        // What is written beside the import has its connection back as well.
        world.assert_nothing_borrowed().await;
    })
    .await;
}

#[tokio::test]
async fn an_import_that_is_broken_off_is_told_to_have_failed() {
    world(async |world| {
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("1", PROGRESS, json!({})).await;
        socket.hears_nothing().await;
        while world.app.metrics.live.streams.get() == 0 {
            tokio::task::yield_now().await;
        }
        // Its table is taken away under its feet, once it has begun.
        let rows: String = (0..30_000).map(|row| format!("Book {row}\n")).collect();
        let owner = world.owner();
        let import = owner.gql(IMPORT, json!({ "csv": format!("title\n{rows}") }));
        let breaking = async {
            assert_eq!(socket.next_of("1").await["importProgress"]["status"], "RUNNING");
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE query LIKE '%' AND pid IN (SELECT pid FROM pg_locks WHERE mode = 'RowExclusiveLock'
                        AND relation = $1::text::regclass)";
            let books = format!("\"{}\".books", world.a.schema);
            psql().await.query(kill, &[&books]).await.unwrap();
            loop {
                let seen = socket.next_of("1").await["importProgress"].clone();
                if seen["status"] != "RUNNING" {
                    return seen;
                }
            }
        };
        let (answer, last) = tokio::join!(import, breaking);
        assert_ne!(answer.code(), "");
        assert_eq!(last["status"], "FAILED");
        assert!(last["finishedAt"].is_string());
        assert_eq!(owner.data("{ books { totalCount } }", json!({})).await["books"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn an_import_that_died_with_its_server_ends_though_nobody_tells() {
    world(async |world| {
        let id = ImportId(SystemClock.new_id());
        let insert = format!(
            "INSERT INTO \"{}\".imports (id, status, row_count, created_count, updated_count, unchanged_count, rejected_count,
                                         started_at)
             VALUES ($1, 'running', 7, 0, 0, 0, 0, now() - interval '15 minutes' + interval '2 seconds')",
            world.a.schema
        );
        psql().await.execute(&insert, &[&id.0]).await.unwrap();
        let mut socket = Socket::of(world, &world.owner_token()).await;
        socket.subscribe("1", PROGRESS, json!({ "id": id.to_string() })).await;
        for status in ["RUNNING", "FAILED"] {
            let seen = socket.next_of("1").await["importProgress"].clone();
            assert_eq!((&seen["status"], &seen["finishedAt"]), (&json!(status), &Value::Null));
        }
        socket.ends("1").await;
    })
    .await;
}
