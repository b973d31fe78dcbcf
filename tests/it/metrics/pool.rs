//! What is counted of connections, statements and what is kept.

use serde_json::json;

use super::{scrape, scrape_when};
use crate::cache::{keeping, title};
use crate::graphql_helpers::book;
use crate::harness::cluster::psql;
use crate::harness::world;
use crate::harness::world::world_with;

#[tokio::test]
async fn statements_and_round_trips_of_an_operation_are_counted() {
    world(async |world| {
        let mut sums = (0, 0);
        for query in
            ["{ books { totalCount } }", "{ books { nodes { authors { name } } } categories { nodes { id } } }"]
        {
            let (statements, round_trips) = world.owner().gql(query, json!({})).await.sql();
            sums = (sums.0 + statements, sums.1 + round_trips);
        }
        let scrape = scrape(world).await;
        scrape.assert(&[
            ("shelfwise_sql_statements_per_operation_count", 2.0),
            ("shelfwise_sql_statements_per_operation_sum", sums.0 as f64),
            ("shelfwise_sql_round_trips_per_operation_count", 2.0),
            ("shelfwise_sql_round_trips_per_operation_sum", sums.1 as f64),
            ("shelfwise_http_request_duration_seconds_count{route=\"/graphql\"}", 2.0),
        ]);
        assert!(sums.0 > 0 && sums.1 > 0);
    })
    .await;
}

#[tokio::test]
async fn who_has_a_connection_who_waits_and_who_is_turned_away_is_told() {
    world_with(&[("DB_POOL_MAX", "1"), ("DB_QUEUE_MAX", "1")], async |world| {
        let (owner, psql) = (world.owner(), psql().await);
        let query = "{ books { totalCount } }";
        // The credential is known from here on.
        owner.data(query, json!({})).await;
        scrape(world).await.assert(&[
            ("shelfwise_pool_connections{state=\"idle\"}", 1.0),
            ("shelfwise_pool_connections{state=\"in_use\"}", 0.0),
            ("shelfwise_pool_permits_free", 1.0),
            ("shelfwise_pool_waiting", 0.0),
        ]);
        let waits = scrape(world).await.value("shelfwise_pool_wait_seconds_count");

        let lock = format!(r#"BEGIN; LOCK TABLE "{}".books IN ACCESS EXCLUSIVE MODE"#, world.a.schema);
        psql.batch_execute(&lock).await.unwrap();
        let send = || tokio::spawn(owner.request(query, json!({})).send());
        let first = send();
        scrape_when(world, |scrape| scrape.value("shelfwise_pool_connections{state=\"in_use\"}") == 1.0).await;
        let second = send();
        let waiting = scrape_when(world, |scrape| scrape.value("shelfwise_pool_waiting") == 1.0).await;
        waiting.assert(&[("shelfwise_pool_permits_free", 0.0), ("shelfwise_pool_tenants_waiting", 1.0)]);
        assert_eq!(owner.gql(query, json!({})).await.code(), "SERVICE_UNAVAILABLE");
        psql.batch_execute("ROLLBACK").await.unwrap();
        for under_way in [first, second] {
            assert_eq!(under_way.await.unwrap().unwrap().status().as_u16(), 200);
        }
        world.assert_nothing_borrowed().await;

        let scrape = scrape(world).await;
        assert_eq!(scrape.sum("shelfwise_pool_shed_total"), 1.0);
        scrape.assert(&[
            ("shelfwise_pool_wait_seconds_count", waits + 2.0),
            ("shelfwise_pool_waiting", 0.0),
            ("shelfwise_pool_tenants_waiting", 0.0),
            ("shelfwise_pool_permits_free", 1.0),
            ("shelfwise_operations_total{operation=\"books\",outcome=\"error\",plane=\"tenant\"}", 1.0),
        ]);
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_is_counted_by_how_it_was_found() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Emma" })).await;
    let requests = |family: &str, result: &str| {
        format!("shelfwise_cache_requests_total{{family=\"{family}\",result=\"{result}\"}}")
    };
    for _ in 0..3 {
        title(&owner, &id).await;
    }
    scrape(&world).await.assert(&[
        (&requests("book", "miss"), 1.0),
        (&requests("book", "hit"), 2.0),
        (&requests("book", "shared"), 0.0),
        (&requests("principals", "miss"), 1.0),
        (&requests("principals", "hit"), 3.0),
    ]);
    // What is kept is added up when it is asked for, and not a while later.
    let first = scrape(&world).await;
    let bytes = first.value("shelfwise_cache_bytes");
    assert_eq!(first.value("shelfwise_cache_entries"), 1.0);
    assert!(bytes > 200.0, "{bytes}");
    let twin = book(&owner, json!({ "title": "Ruth" })).await;
    title(&owner, &twin).await;
    scrape(&world).await.assert(&[("shelfwise_cache_entries", 2.0), ("shelfwise_cache_bytes", 2.0 * bytes)]);
    world.end().await;
}
