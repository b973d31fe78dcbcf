//! What a process says of its health: to probes, to operators, to the health check of a container.

use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::{App, owner};
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::{CONTROL_VERSION_MIN, migrate_control};
use shelfwise::db::{ControlTx, DbError};
use shelfwise::http::router::{machine_router, router};
use shelfwise::kernel::clock::SystemClock;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::harness::cluster::{own_database, psql_of};
use crate::harness::process::{Process, warnings};
use crate::harness::redis::RedisServer;
use crate::harness::world::{World, admin_claims, app, config_over, master_key, user_claims, world_with};

/// What a path answers, with a token or without.
async fn ask(router: &Router, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// An operator's token for an app.
fn admin_token(app: &App) -> String {
    app.services
        .tokens
        .mint(&admin_claims(), shelfwise::kernel::clock::Clock::now(&SystemClock), Duration::from_secs(60))
        .unwrap()
}

/// What an app tells operators: the status, and what it found by name.
async fn details(app: &Arc<App>) -> (u16, Value) {
    let (status, body) = ask(&router(Arc::clone(app)), "/health", Some(&admin_token(app))).await;
    (status, serde_json::from_str(&body).unwrap())
}

/// What was found of one thing.
fn found<'r>(report: &'r Value, name: &str) -> &'r Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap()
}

/// An app that has looked at nothing yet, in a database of a test's own.
fn fresh(urls: &DatabaseUrls, settings: &[(&str, &str)]) -> Arc<App> {
    Arc::new(App::new(config_over(urls, settings), Arc::new(SystemClock)).unwrap())
}

#[tokio::test]
async fn a_server_starts_and_is_ready_and_says_no_more_to_strangers() {
    world_with(&[], async |world| {
        let get = async |path: &str| {
            let response = world.http.get(format!("{}{path}", world.base_url)).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        // It looks by itself, whether anybody asks or not.
        while get("/health/startup").await != (200, "started\n".to_owned()) {}
        assert_eq!(get("/health/live").await, (200, "ok\n".to_owned()));
        assert_eq!(get("/health/ready").await, (200, "ready\n".to_owned()));
        assert!(get("/metrics").await.1.contains("\nshelfwise_ready 1\n"));
        assert_eq!(get("/health").await, (401, "for operators\n".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn many_probes_cause_one_look() {
    let app = app(&[("HEALTH_INTERVAL_SECONDS", "3600")]);
    let router = machine_router(Arc::clone(&app));
    assert_eq!(app.services.health.looks(), 0);
    let storm = async || {
        let answers = join_all((0..200).map(|_| ask(&router, "/health/ready", None))).await;
        assert!(answers.iter().all(|answer| *answer == (200, "ready\n".to_owned())), "{answers:?}");
    };
    storm().await;
    storm().await;
    assert_eq!(app.services.health.looks(), 1);
}

#[tokio::test]
async fn much_to_do_is_no_reason_not_to_be_ready() {
    let app = app(&[]);
    let (held, release) = (Semaphore::new(0), Semaphore::new(0));
    let hold = async || {
        let work = async |_: &mut ControlTx| {
            held.add_permits(1);
            release.acquire().await.unwrap().forget();
            Ok::<(), DbError>(())
        };
        app.control.write(work).await.unwrap();
    };
    // As many as the registry has connections.
    let all = join_all((0..4).map(|_| hold()));
    let look = async {
        held.acquire_many(4).await.unwrap().forget();
        let report = details(&app).await;
        release.add_permits(4);
        report
    };
    let (_, (status, report)) = futures_util::future::join(all, look).await;
    assert_eq!((status, &report["ready"]), (200, &json!(true)), "{report}");
}

#[tokio::test]
async fn a_server_without_its_database_lives_and_is_not_ready() {
    let settings = [
        ("DATABASE_URL", "postgres://ann:hunter2-of-the-tests@127.0.0.1:1/none?sslmode=disable"),
        ("DB_CHECKOUT_TIMEOUT_MS", "200"),
    ];
    let app = app(&settings);
    let router = router(Arc::clone(&app));
    let began_at = Instant::now();
    assert_eq!(ask(&router, "/health/startup", None).await, (503, "starting\n".to_owned()));
    assert_eq!(ask(&router, "/health/live", None).await, (200, "ok\n".to_owned()));
    for _ in 0..100 {
        assert_eq!(ask(&router, "/health/ready", None).await, (503, "not ready\n".to_owned()));
    }
    // While something is wrong it looks once a second.
    assert!(app.services.health.looks() <= 1 + began_at.elapsed().as_secs(), "{}", app.services.health.looks());
    // It has started: to start it again would not bring the database back.
    assert_eq!(ask(&router, "/health/startup", None).await, (200, "started\n".to_owned()));
    let (status, text) = ask(&router, "/metrics", None).await;
    assert!(status == 200 && text.contains("\nshelfwise_ready 0\n"));
    let (status, report) = details(&app).await;
    assert_eq!((status, &report["ready"], &report["phase"]), (503, &json!(false), &json!("running")));
    for name in ["database", "migrations"] {
        assert_eq!((&found(&report, name)["ok"], &found(&report, name)["required"]), (&json!(false), &json!(true)));
    }
    let message = found(&report, "database")["message"].as_str().unwrap();
    // Which of the two it is depends on who is told first of a connection that failed.
    assert!(message.contains("refused") || message.contains("no answer within 2s"), "{report}");
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_waited_for_once_and_not_for_long() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("postgres://ann@{}/none?sslmode=disable", silent.local_addr().unwrap());
    let app = app(&[("DATABASE_URL", &url)]);
    let router = machine_router(Arc::clone(&app));
    let began_at = Instant::now();
    // Whoever asks and goes away breaks nothing off, and begins nothing anew.
    for _ in 0..50 {
        assert!(ask(&router, "/health/ready", None).now_or_never().is_none());
    }
    assert_eq!(ask(&router, "/health/startup", None).await.0, 503);
    assert_eq!(ask(&router, "/health/ready", None).await, (503, "not ready\n".to_owned()));
    assert!(began_at.elapsed() < Duration::from_millis(2_900), "{:?}", began_at.elapsed());
    assert_eq!(app.services.health.looks(), 1);
}

#[tokio::test]
async fn a_release_is_ready_on_schemas_that_it_works_on() {
    let (name, urls) = own_database().await;
    let psql = psql_of(&name).await;
    let report = async || {
        let (status, report) = details(&fresh(&urls, &[])).await;
        assert_eq!(found(&report, "database")["ok"], true, "{report}");
        (status, found(&report, "migrations")["message"].as_str().unwrap().to_owned())
    };
    // Nobody has migrated it.
    assert_eq!(report().await.0, 503);
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let (status, message) = report().await;
    assert!(status == 200 && message.contains("the control plane is at"), "{message}");
    // The release after this one has migrated it.
    psql.batch_execute("INSERT INTO control.__diesel_schema_migrations VALUES ('29990101000001')").await.unwrap();
    assert_eq!(report().await, (200, "the control plane is at 29990101000001".to_owned()));
    // The one before has, and this one has not.
    let older = format!("DELETE FROM control.__diesel_schema_migrations WHERE version >= '{CONTROL_VERSION_MIN}'");
    psql.batch_execute(&older).await.unwrap();
    let (status, message) = report().await;
    assert!(status == 503 && message.contains("this release needs"), "{message}");
}

#[tokio::test]
async fn a_tenant_that_was_left_behind_turns_nobody_else_away() {
    let (world, name) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let psql = psql_of(&name).await;
    let urls = world.app.config.database.urls.clone().unwrap();
    let report = async || {
        let (status, report) = details(&fresh(&urls, &[])).await;
        (status, found(&report, "migrations")["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(report().await.0, 200);
    let leave_behind = "UPDATE control.tenants SET schema_version = '20261124000001' WHERE id = $1";
    psql.execute(leave_behind, &[&world.a.id.0]).await.unwrap();
    let (status, message) = report().await;
    assert!(status == 200 && message.contains("are not served"), "{message}");
    psql.execute(leave_behind, &[&world.b.id.0]).await.unwrap();
    let (status, message) = report().await;
    assert!(status == 503 && message.contains("every tenant is older"), "{message}");
    world.end().await;
}

#[tokio::test]
async fn redis_is_told_of_and_not_needed() {
    let mut redis = RedisServer::start().await;
    let app = app(&[("REDIS_URL", &redis.url())]);
    // The first call may find that its connection is still being made.
    while app.services.redis.as_ref().unwrap().ping().await.is_err() {
        tokio::task::yield_now().await;
    }
    let (status, report) = details(&app).await;
    assert_eq!((status, &found(&report, "redis")["ok"]), (200, &json!(true)), "{report}");
    redis.kill();
    let app = crate::harness::world::app(&[("REDIS_URL", &redis.url())]);
    let (status, report) = details(&app).await;
    assert_eq!((status, &found(&report, "redis")["ok"]), (200, &json!(false)), "{report}");
    assert_eq!(found(&report, "redis")["required"], false);
}

#[tokio::test]
async fn details_are_for_operators() {
    world_with(&[], async |world| {
        let query = "{ health { isReady phase version lookedAt
            checks { name isOk isRequired durationMs message } } }";
        let health = world.admin().data(query, json!({})).await["health"].clone();
        assert_eq!((&health["isReady"], &health["phase"]), (&json!(true), &json!("RUNNING")), "{health}");
        let names: Vec<&str> =
            health["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["database", "migrations"]);
        for router in [router(Arc::clone(&world.app)), machine_router(Arc::clone(&world.app))] {
            assert_eq!(ask(&router, "/health", None).await, (401, "for operators\n".to_owned()));
            let of_a_shop = world.token(&user_claims(&world.a, shelfwise::kernel::actor::Role::Owner));
            for token in [of_a_shop.as_str(), "nonsense"] {
                assert_eq!(ask(&router, "/health", Some(token)).await, (401, "for operators\n".to_owned()));
            }
            let (status, body) = ask(&router, "/health", Some(&admin_token(&world.app))).await;
            let report: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status, &report["ready"]), (200, &json!(true)), "{body}");
        }
    })
    .await;
}

/// Runs `shelfwise healthcheck` beside a process.
async fn healthcheck(port: u16, arguments: &[&str], key: String) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_shelfwise"));
    command.arg("healthcheck").args(arguments).env_clear().current_dir(std::env::temp_dir());
    command.env("PORT", port.to_string()).env("JWT_KEYS", key);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_check_asks_a_process_and_answers_by_its_end() {
    let world = World::start(&[]).await;
    let signing = world.app.config.auth.jwt_keys[0].to_setting();
    let key = || signing.clone();
    let port: u16 = world.base_url.rsplit(':').next().unwrap().parse().unwrap();
    for arguments in [&[][..], &["--ready"]] {
        let output = healthcheck(port, arguments, key()).await;
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
    let report = |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    let output = healthcheck(port, &["--json", "--ready"], key()).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!((&report(&output)["ready"], &found(&report(&output), "database")["ok"]), (&json!(true), &json!(true)));

    // It lives and is not ready.
    world.app.services.health.stop();
    assert!(healthcheck(port, &[], key()).await.status.success());
    let output = healthcheck(port, &["--ready", "--json"], key()).await;
    assert!(!output.status.success() && report(&output)["phase"] == "stopping", "{output:?}");
    world.end().await;
    let output = healthcheck(port, &["--json"], key()).await;
    assert!(!output.status.success() && report(&output)["ready"] == false, "{output:?}");
}

#[tokio::test]
async fn a_worker_answers_probes_to_its_end() {
    let (database, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let psql = psql_of(&database).await;
    // The patrol comes by its last table and waits there, for as long as a lock may be waited for.
    psql.batch_execute("BEGIN; LOCK TABLE control.admin_tokens IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let settings = [
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("JWT_KEYS", shelfwise::config::auth::JwtKey::generate("test-1").unwrap().to_setting()),
        ("MASTER_KEYS", master_key().to_setting()),
        ("PORT", "0".to_owned()),
        ("LOG_LEVEL", "info".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    let worker = Process::start("work", &settings, warnings).await;
    let http = crate::harness::world::http_client();
    let get = async |path: &str| {
        let answer = http.get(worker.url(path)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    while get("/health/startup").await.0 != StatusCode::OK {}
    assert_eq!(get("/health/ready").await, (StatusCode::OK, "ready\n".to_owned()));
    let watching = psql_of(&database).await;
    let running = "SELECT count(*) FROM control.jobs WHERE kind = 'platform.patrol' AND state = 'running'";
    while watching.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == 0 {}

    worker.signal("TERM");
    while get("/health/ready").await != (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned()) {}
    assert_eq!(get("/health/live").await, (StatusCode::OK, "ok\n".to_owned()), "it lives while it finishes");
    psql.batch_execute("ROLLBACK").await.unwrap();
    let (status, _) = worker.ended().await;
    assert!(status.success());
    assert_eq!(watching.query_one(running, &[]).await.unwrap().get::<_, i64>(0), 0, "no job is left under way");
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_is_not_ready_and_serves_on_for_a_while() {
    let delay = Duration::from_millis(1_500);
    let world = World::start(&[("DRAIN_DELAY_MS", "1500")]).await;
    let request = world.owner().request("{ books { totalCount } }", json!({}));
    let (base_url, app) = (world.base_url.clone(), Arc::clone(&world.app));
    let get = async |path: &str| {
        let answer = crate::harness::world::http_client().get(format!("{base_url}{path}")).send().await?;
        Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?))
    };
    let told_at = Instant::now();
    let ending = tokio::spawn(world.end());
    // New connections are taken, and are told.
    while get("/health/ready").await.unwrap() != (503, "stopping\n".to_owned()) {}
    assert_eq!(get("/health/live").await.unwrap(), (200, "ok\n".to_owned()));
    assert!(get("/metrics").await.unwrap().1.contains("\nshelfwise_ready 0\n"));
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["connection"]), (200, &"close".parse().unwrap()));
    while get("/health/live").await.is_ok() {}
    assert!(told_at.elapsed() >= delay, "{:?}", told_at.elapsed());
    ending.await.unwrap();
    assert!(app.services.health.looks() > 0);
}

#[tokio::test]
async fn metrics_count() {
    world_with(&[], async |world| {
        let get = async |path: &str| {
            let response = world.http.get(format!("{}{path}", world.base_url)).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
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
