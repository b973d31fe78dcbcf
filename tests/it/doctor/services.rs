//! Rows about what stands beside PostgreSQL.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use shelfwise::cli::doctor::Status;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{check, finding};
use crate::harness::World;
use crate::harness::redis::RedisServer;
use crate::harness::smtp::{Offer, SmtpServer};
use crate::harness::world::{config, config_over};

/// What listens nowhere.
const NOWHERE: &str = "127.0.0.1:1";

/// Says something to a Redis that it takes.
pub async fn tell(redis: &RedisServer, command: &str) {
    let url = redis.url();
    let mut stream = TcpStream::connect(url.strip_prefix("redis://").unwrap()).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+OK\r\n", "{command}");
}

/// Where something answers as Alertmanager does.
pub async fn alertmanager(status: StatusCode) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let routes = Router::new().route("/-/ready", get(async move || status));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

#[tokio::test]
async fn redis_answers_and_forgets_the_right_things_when_it_is_full() {
    let mut redis = RedisServer::start().await;
    let of = async |url: &str| finding(&config(&[("REDIS_URL", url)]), "redis").await;
    check(&of("").await, Status::Warn, "REDIS_URL is not set");
    check(&of(&redis.url()).await, Status::Warn, "no `maxmemory`");
    tell(&redis, "CONFIG SET maxmemory 67108864").await;
    check(&of(&redis.url()).await, Status::Warn, "noeviction");
    tell(&redis, "CONFIG SET maxmemory-policy volatile-lru").await;
    check(&of(&redis.url()).await, Status::Pass, "64 MiB with volatile-lru");
    redis.kill();
    check(&of(&redis.url()).await, Status::Fail, "");
}

#[tokio::test]
async fn archives_can_be_written_where_they_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let of = async |url: &str| finding(&config(&[("OBJECT_STORE_URL", url)]), "object-store").await;
    let url = format!("file://{}", folder.path().display());
    check(&of(&url).await, Status::Pass, "written");
    let left = std::fs::read_dir(folder.path().join("doctor")).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
    check(&of("file:///nowhere/at/all").await, Status::Fail, "failed");
    let home = folder.path().display().to_string();
    check(&finding(&config(&[("SHELFWISE_HOME", &home)]), "object-store").await, Status::Warn, "this machine alone");
}

#[tokio::test]
async fn mail_is_taken_of_whom_the_server_knows() {
    let server = SmtpServer::start(Offer::StartTls).await;
    let from = ("MAIL_FROM", "mail@shelfwise.example");
    let of = async |settings: &[(&str, &str)]| finding(&config(settings), "mail").await;
    check(&of(&[]).await, Status::Warn, "SMTP_URL is not set");
    check(&of(&[("SMTP_URL", &server.url()), from]).await, Status::Warn, "OPERATIONS_EMAIL is not set");
    let told = ("OPERATIONS_EMAIL", "ops@shelfwise.example");
    check(&of(&[("SMTP_URL", &server.url()), from, told]).await, Status::Pass, "knows us");
    check(&of(&[("SMTP_URL", &server.url_of_strangers()), from, told]).await, Status::Fail, "cannot be reached");
    let nowhere = format!("smtp://{NOWHERE}");
    let failing = of(&[("SMTP_URL", &nowhere), from, told]).await;
    check(&failing, Status::Fail, "cannot be reached");
}

#[tokio::test]
async fn the_process_beside_is_ready_and_tells_its_metrics() {
    let world = World::start(&[]).await;
    let port = world.base_url.rsplit(':').next().unwrap();
    let urls = world.app.config.database.urls.clone().unwrap();
    let of = async || finding(&config_over(&urls, &[("PORT", port)]), "metrics").await;
    while world.http.get(format!("{}/health/startup", world.base_url)).send().await.unwrap().status() != 200 {}
    check(&of().await, Status::Pass, "samples");
    world.app.services.health.stop();
    check(&of().await, Status::Fail, "not ready");
    check(&finding(&config_over(&urls, &[("PORT", "1")]), "metrics").await, Status::Fail, "nobody listens: ");
    world.end().await;
}

#[tokio::test]
async fn alerts_reach_somebody() {
    let of = async |url: &str| finding(&config(&[("ALERTMANAGER_URL", url)]), "alerts").await;
    check(&of("").await, Status::Warn, "not known");
    check(&of(&alertmanager(StatusCode::OK).await).await, Status::Pass, "ready");
    check(&of(&alertmanager(StatusCode::SERVICE_UNAVAILABLE).await).await, Status::Fail, "503");
    let failing = of(&format!("http://ann:hunter2@{NOWHERE}")).await;
    check(&failing, Status::Fail, "does not answer");
    assert!(!failing.verdict.message.contains("hunter2"), "{failing:?}");
}
