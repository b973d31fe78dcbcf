//! A whole installation as it should be: every row passes. And a PostgreSQL of its own that is not as it should be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use axum::http::StatusCode;
use secrecy::ExposeSecret as _;
use shelfwise::app::owner;
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::cli::doctor::{Status, examine};
use shelfwise::config::Config;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::crypto::MasterKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::clock::SystemClock;

use super::services::{alertmanager, tell};
use super::{check, finding};
use crate::harness::cluster::connect;
use crate::harness::process::{Process, warnings};
use crate::harness::redis::RedisServer;
use crate::harness::smtp::{Offer, SmtpServer};
use crate::harness::world::config_over;

/// A password that the owner's login has to itself.
const OWNER_PASSWORD: &str = "0123456789abcdef0123456789abcdef";

/// A folder that PostgreSQL may walk through, whoever it runs as.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A migrated database of a cluster's, whose logins have passwords of their own.
async fn migrated(cluster: &Cluster) -> DatabaseUrls {
    let mut urls = prepare(cluster, "shelfwise").await.unwrap();
    let psql = connect(&cluster.superuser_url("shelfwise")).await;
    psql.batch_execute(&format!("ALTER ROLE shelfwise_owner PASSWORD '{OWNER_PASSWORD}'")).await.unwrap();
    let url = urls.owner.as_ref().unwrap().expose_secret().replace(cluster.password(), OWNER_PASSWORD);
    urls.owner = Some(url.into());
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    urls
}

/// Has PostgreSQL archive what it has written, and waits for what comes of it.
async fn archive(cluster: &Cluster, until: &str) {
    let psql = connect(&cluster.superuser_url("shelfwise")).await;
    psql.batch_execute("SELECT pg_switch_wal()").await.unwrap();
    let query = format!("SELECT {until} > 0 FROM pg_stat_archiver");
    while !psql.query_one(&query, &[]).await.unwrap().get::<_, bool>(0) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_production_installation_passes_every_row() {
    let folder = folder();
    let settings = [("archive_mode", "on"), ("archive_command", "/bin/true")];
    let cluster = Cluster::start(&folder.path().join("cluster"), Durability::Full, &settings).await.unwrap();
    let urls = migrated(&cluster).await;
    archive(&cluster, "archived_count").await;
    let (redis, mail) = (RedisServer::start().await, SmtpServer::start(Offer::Implicit).await);
    tell(&redis, "CONFIG SET maxmemory 67108864").await;
    tell(&redis, "CONFIG SET maxmemory-policy volatile-lru").await;
    let objects = folder.path().join("objects");
    fs::create_dir(&objects).unwrap();
    let master_keys = ["m1", "m2"].map(|id| MasterKey::generate(id).unwrap().to_setting()).join(",");
    let mut settings = vec![
        ("SHELFWISE_ENV", "production".to_owned()),
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret().to_owned()),
        ("TRUSTED_PROXIES", "127.0.0.1/32".to_owned()),
        ("JWT_KEYS", JwtKey::generate("k1").unwrap().to_setting()),
        ("MASTER_KEYS", master_keys),
        ("REDIS_URL", redis.url()),
        ("SMTP_URL", mail.url()),
        ("MAIL_FROM", "mail@shelfwise.example".to_owned()),
        ("APP_URL", "https://app.shelfwise.example".to_owned()),
        ("OPERATIONS_EMAIL", "ops@shelfwise.example".to_owned()),
        ("OBJECT_STORE_URL", format!("file://{}", objects.display())),
        ("ALERTMANAGER_URL", alertmanager(StatusCode::OK).await),
        ("PORT", "0".to_owned()),
    ];
    let server = Process::start("serve", &settings, warnings).await;
    settings.retain(|(name, _)| *name != "PORT");
    settings.push(("PORT", server.address.port().to_string()));
    let find = |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let config = Config::from_vars(&find).unwrap();
    while crate::harness::world::http_client().get(server.url("/health/ready")).send().await.unwrap().status() != 200 {}

    let findings = examine(&config, &SystemClock).await;
    let wrong: Vec<_> = findings.iter().filter(|finding| finding.verdict.status != Status::Pass).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let secrets = [OWNER_PASSWORD, cluster.password(), "s:cret"];
    let told = format!("{findings:?}");
    assert!(secrets.iter().all(|secret| !told.contains(secret)), "{told}");
    server.signal("TERM");
    let (status, log) = server.ended().await;
    assert!(status.success() && log.is_empty(), "{status} {log:?}");
    drop(cluster);
    Cluster::remove(&folder.path().join("cluster")).unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_archive_and_has_few_locks_is_found_out() {
    let folder = folder();
    let settings = [("archive_mode", "on"), ("archive_command", "/bin/false"), ("max_locks_per_transaction", "64")];
    let cluster = Cluster::start(&folder.path().join("cluster"), Durability::None, &settings).await.unwrap();
    let config = config_over(&migrated(&cluster).await, &[]);
    check(&finding(&config, "lock-table").await, Status::Fail, "max_locks_per_transaction is 64");
    archive(&cluster, "failed_count").await;
    check(&finding(&config, "backups").await, Status::Fail, "nothing was archived");
    drop(cluster);
    Cluster::remove(&folder.path().join("cluster")).unwrap();
}
