//! Health and metrics.

use serde_json::json;

use crate::harness::world;

#[tokio::test]
async fn probes_answer_and_metrics_count() {
    world(async |world| {
        let get = async |path: &str| {
            let response = world.http.get(format!("{}{path}", world.base_url)).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        assert_eq!(get("/health/live").await, (200, "ok\n".to_owned()));
        assert_eq!(get("/health/ready").await, (200, "ready\n".to_owned()));
        assert_eq!(get("/nowhere").await.0, 404);

        world.owner().data("{ books { totalCount } }", json!({})).await;
        assert_eq!(world.owner().gql("{ nope }", json!({})).await.code(), "BAD_REQUEST");
        let (status, text) = get("/metrics").await;
        assert_eq!(status, 200);
        for line in [
            "shelfwise_http_requests_total{route=\"/graphql\",status=\"200\"} 1",
            "shelfwise_http_requests_total{route=\"/graphql\",status=\"400\"} 1",
            "shelfwise_http_requests_total{route=\"unmatched\",status=\"404\"} 1",
            "shelfwise_graphql_errors_total{code=\"BAD_REQUEST\"} 1",
            "shelfwise_pool_connections{state=\"max\"} 4",
            "shelfwise_pool_connections{state=\"idle\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
        for family in [
            "shelfwise_http_request_duration_seconds",
            "shelfwise_sql_statements_per_operation",
            "shelfwise_sql_round_trips_per_operation",
        ] {
            assert!(text.contains(&format!("# TYPE {family} histogram")), "{family}");
        }
        assert!(!text.contains(world.a.slug.as_str()), "a tenant is no label");
    })
    .await;
}

#[tokio::test]
async fn a_server_without_its_database_lives_and_is_not_ready() {
    let settings =
        [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none?sslmode=disable"), ("DB_CHECKOUT_TIMEOUT_MS", "200")];
    let app = crate::harness::world::app(&settings);
    let router = shelfwise::http::router::router(app);
    let ask = async |path: &str| {
        let request = axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        tower::ServiceExt::oneshot(router.clone(), request).await.unwrap().status().as_u16()
    };
    assert_eq!(ask("/health/live").await, 200);
    assert_eq!(ask("/health/ready").await, 503);
    assert_eq!(ask("/metrics").await, 200);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_finishes_what_is_under_way() {
    let world = crate::harness::World::start(&[]).await;
    let psql = crate::harness::cluster::psql().await;
    psql.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{}".books IN ACCESS EXCLUSIVE MODE"#, world.a.schema))
        .await
        .unwrap();
    let request = world.owner().request("{ books { totalCount } }", json!({}));
    let under_way = tokio::spawn(request.send());
    // The request waits for the lock; PostgreSQL tells when it does.
    let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                   WHERE NOT granted AND c.relnamespace = $1::text::regnamespace";
    let schema = format!("\"{}\"", world.a.schema);
    while psql.query_one(waiting, &[&schema]).await.unwrap().get::<_, i64>(0) == 0 {}

    let base_url = world.base_url.clone();
    let http = world.http.clone();
    let ending = tokio::spawn(world.end());
    // No new connection is taken, and the old one is not broken off.
    while http.get(format!("{base_url}/health/live")).send().await.is_ok() {}
    assert!(!under_way.is_finished() && !ending.is_finished());
    psql.batch_execute("ROLLBACK").await.unwrap();
    let response = under_way.await.unwrap().unwrap();
    assert_eq!(response.status().as_u16(), 200);
    ending.await.unwrap();
}
