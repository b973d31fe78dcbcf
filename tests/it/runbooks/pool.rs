//! Connections, statements and the processes that want them.

use super::house::House;
use crate::harness::cluster::logins_alone;

/// Renames a table of a shop, so that operations on it fail, or back.
async fn rename(house: &House, schema: &str, from: &str, to: &str) {
    house.exec(&format!(r#"ALTER TABLE "{schema}".{from} RENAME TO {to}"#)).await;
}

/// Sends operations that wait for a table that somebody has locked, until so many hold a connection.
fn waiting(house: &House, token: &str, count: usize) -> Vec<tokio::task::JoinHandle<()>> {
    let url = format!("{}/graphql", house.docker.base_url());
    let one = || {
        let request = house.http.post(&url).bearer_auth(token);
        let request = request.json(&serde_json::json!({ "query": "{ books(first: 1) { nodes { title } } }" }));
        // Whether it is answered is not the question here.
        tokio::spawn(async move { drop(request.send().await) })
    };
    (0..count).map(|_| one()).collect()
}

#[tokio::test]
async fn pool_exhaustion_and_a_noisy_shop() {
    let house = House::start(&[("DB_CHECKOUT_TIMEOUT_MS", "500")]).await;
    let schema = house.shop("acme").await;
    let token = house.shop_token("acme").await;
    let holder = house.another_psql().await;
    holder.batch_execute(&format!(r#"BEGIN; LOCK TABLE "{schema}".books"#)).await.unwrap();
    let asked = waiting(&house, &token, 20);
    let locked = "SELECT (count(*) >= 3)::text FROM pg_stat_activity
        WHERE datname = current_database() AND usename = 'shelfwise' AND wait_event_type = 'Lock'";
    house.until(locked, "true").await;
    house.until_logged("api", "\"tenant.slug\":\"acme\"").await;

    let mut page = house.page("pool-exhaustion");
    page.says(
        "shelfwise_pool_|",
        &[
            "shelfwise_pool_connections{state=\"in_use\"} 3",
            "shelfwise_pool_permits_free",
            "shelfwise_pool_shed_total{reason=",
        ],
    )
    .await;
    page.says("GROUP BY 1, 2, 3", &["Lock", "shelfwise"]).await;
    let oldest = page.says("pg_blocking_pids(a.pid)", &["acme", "Lock"]).await;
    assert!(oldest.contains('{'), "{oldest}");
    let mut noisy = house.page("noisy-shop");
    noisy.says("tenants_waiting", &["shelfwise_pool_shed_total", "shelfwise_pool_wait_seconds_count"]).await;
    noisy.says("tenant.slug", &["\"tenant.slug\":\"acme\""]).await;

    let pid = house.ask_of(&holder, "SELECT pg_backend_pid()").await;
    page.set("PID", pid);
    page.says("pg_terminate_backend", &[" t"]).await;
    for task in asked {
        task.await.unwrap();
    }
    page.run("DB_POOL_MAX=20").await;
    page.says("SHOW max_connections", &["shelfwise", "200"]).await;
    page.says("health/ready", &["ready", " 200", "postgres 1 running"]).await;
    house.data("/graphql", &token, "{ books { totalCount } }").await;
    page.says("shelfwise_pool_|", &["shelfwise_pool_connections{state=\"max\"} 20"]).await;
    page.end();
    noisy.says("waiting|shed", &["shelfwise_pool_waiting 0"]).await;
    noisy.end();
}

#[tokio::test]
async fn slow_failing_not_ready_or_deployed_badly() {
    let house = House::start(&[("HEALTH_INTERVAL_SECONDS", "1")]).await;
    let schema = house.shop("acme").await;
    let token = house.shop_token("acme").await;
    house.book(&token, "Emma", 3).await;
    let books = "{ books(first: 5) { nodes { title } } }";

    // A table is missing, as after a release that wants another schema.
    rename(&house, &schema, "books", "books_away").await;
    let failed = house.send("/graphql", &token, books).await;
    let request = failed["errors"][0]["extensions"]["requestId"].as_str().unwrap().to_owned();
    assert_eq!(failed["errors"][0]["extensions"]["code"], "INTERNAL_ERROR");
    let refused = house.http.post(format!("{}/graphql", house.docker.base_url())).bearer_auth(&token);
    refused
        .header("x-tenant", "other")
        .json(&serde_json::json!({ "query": "{ viewer { permissions } }" }))
        .send()
        .await
        .unwrap();
    let mut page = house.page("high-latency-or-errors");
    page.set("REQUEST_ID", &request);
    page.says(
        "operations_total",
        &["ready", "shelfwise_graphql_errors_total{code=\"INTERNAL_ERROR\"}", "shelfwise_pool_permits_free"],
    )
    .await;
    page.says("tenant.slug", &["tenant.slug"]).await;
    page.says("REQUEST_ID", &["does not exist", &request]).await;
    page.says(
        "round_trips",
        &["shelfwise_http_request_duration_seconds_sum", "shelfwise_sql_round_trips_per_operation_count"],
    )
    .await;
    page.says("duration_ms", &["duration_ms"]).await;
    rename(&house, &schema, "books_away", "books").await;
    page.says("graphql_errors_total|http", &["shelfwise_http_requests_total"]).await;
    page.end();

    bad_deploy(&house).await;
    database_slow(&house, &schema).await;
    backend_memory(&house).await;
    not_ready(&house).await;
}

async fn bad_deploy(house: &House) {
    let mut page = house.page("bad-deploy");
    page.set("OLD", "1.0").set("FLAG", "stock_low_on_update");
    page.says(
        "--version",
        &["api 1 running", "worker 1 running", "ready", "shelfwise_http_requests_total", "shelfwise 0."],
    )
    .await;
    page.run("migrate check").await;
    page.run("--no-build").await;
    assert_eq!(house.docker.image(), "shelfwise:1.0");
    house
        .sh("shelfwise flag set stock_low_on_update --percent 50 --owner ann@shelfwise.example --ends-on 2099-01-01")
        .await;
    page.says("flag list", &["stock_low_on_update", "0 %"]).await;
    page.says("migrate plan", &["nothing is behind"]).await;
    page.says("jobs stats", &["ready", " 200"]).await;
    page.end();
}

async fn database_slow(house: &House, schema: &str) {
    let mut page = house.page("database-slow");
    page.set("SCHEMA", schema).set("SLUG", "acme");
    page.says(
        "pool_(waiting",
        &[
            "shelfwise_sql_statements_per_operation_sum",
            "shelfwise_sql_round_trips_per_operation_count",
            "shelfwise_pool_waiting",
            "shelfwise_pool_wait_seconds_sum",
        ],
    )
    .await;
    // A statement that runs wild.
    let wild = house.another_psql().await;
    let pid = house.ask_of(&wild, "SELECT pg_backend_pid()").await;
    let wild = tokio::spawn(async move { wild.batch_execute("SELECT pg_sleep(60)").await });
    house.until(&format!("SELECT state FROM pg_stat_activity WHERE pid = {pid}"), "active").await;
    page.says("pg_stat_activity", &["pg_sleep", "PgSleep", &pid]).await;
    page.says("last_autoanalyze", &["books", "n_dead_tup"]).await;
    page.says("ANALYZE \"SCHEMA\"", &["ANALYZE"]).await;
    page.says("tenant drift", &["0 drift"]).await;
    page.says("EXPLAIN", &["actual time", "ROLLBACK"]).await;
    page.set("PID", &pid);
    page.says("pg_cancel_backend", &[" t"]).await;
    assert!(wild.await.unwrap().is_err());
    page.says("cache_requests_total", &["shelfwise_cache_requests_total{family="]).await;
    page.says("backend_xmin", &["n_dead_tup", "open_for"]).await;
    page.says("VACUUM (ANALYZE)", &["VACUUM"]).await;
    page.says("time_total", &["200 "]).await;
    page.end();
}

async fn backend_memory(house: &House) {
    let mut page = house.page("backend-memory");
    page.says("VmRSS", &["VmRSS"]).await;
    let query = "SELECT pid FROM pg_stat_activity WHERE usename = 'shelfwise' AND datname = current_database() LIMIT 1";
    page.set("PID", house.ask(query).await);
    page.says("pg_log_backend_memory_contexts", &[" t"]).await;
    page.says("Grand total", &["Grand total"]).await;
    page.says("AS age", &["shelfwise"]).await;
    page.says("count(pg_terminate_backend", &["count"]).await;
    page.says("SHOW max_connections", &["shelfwise", "200"]).await;
    page.says("VmRSS", &["VmRSS", "shelfwise_pool_connections{state="]).await;
    page.end();
}

async fn not_ready(house: &House) {
    let mut page = house.page("not-ready");
    // The registry is away, as in a database that nobody has migrated.
    house.exec("ALTER SCHEMA control RENAME TO control_away").await;
    house.until_probed("/health/ready", 503).await;
    page.says("health/live", &["ok\n 200", "not ready\n 503", "\"ok\":false", "api 1 running"]).await;
    house.exec("ALTER SCHEMA control_away RENAME TO control").await;
    house.until_probed("/health/ready", 200).await;
    assert_eq!(page.admin("health {").await["health"]["isReady"], true);
    house.docker.stop("api");
    page.says("docker compose ps api worker\ndocker compose logs", &["api 0 running", "worker 1 running"]).await;
    assert_eq!(house.docker.count("api"), 1);
    page.says("SELECT now()", &["postgres 1 running", "now"]).await;
    page.run("up --detach postgres").await;
    page.says("shelfwise migrate", &["tenants: 0 migrated"]).await;
    page.says("healthcheck --ready", &["ready\n 200"]).await;
    page.end();
}

/// A cluster of tests is none that production would be trusted to: rows of the checklist fail, and are told with what to do.
#[tokio::test]
async fn the_readiness_checklist() {
    let house = House::start(&[]).await;
    let mut page = house.page("readiness-checklist");
    let told = page.run_to(1, "shelfwise doctor").await;
    assert!(told.contains("pass") && told.contains("durability") && !told.contains(" 0 fail"), "{told}");
    let alone = logins_alone().await;
    page.run("logins.sql").await;
    drop(alone);
    page.end();
}

#[tokio::test]
async fn an_incident() {
    let house = House::start(&[]).await;
    house.shop("acme").await;
    let mut page = house.page("incident");
    page.says("tenant list", &["ready", "acme", "shelfwise_isolation_violations 0", "shelfwise_pool_permits_free"])
        .await;
    page.run("incident/logs.txt").await;
    for name in ["logs.txt", "metrics.txt", "jobs.json"] {
        let path = house.folder.path().join("incident").join(name);
        assert!(!std::fs::read_to_string(path).unwrap().is_empty(), "{name}");
    }
    page.says("admin_audit", &["tenant.provision", "cli:nightshift"]).await;
    page.says("verify-isolation", &["0 were not denied"]).await;
    page.end();
}
