//! What new tenants cost: by the thousand from a file, one by one from the stock, and those who are there meanwhile.
//!
//! `PROVISION_TENANTS` (1,000) tenants are made by the binary itself.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a benchmark awaits its tasks and reads its own environment")]

#[path = "../report.rs"]
mod report;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use report::report;
use secrecy::ExposeSecret as _;
use shelfwise::app::owner;
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::crypto::{CryptoConfig, MasterKey};
use shelfwise::config::database::DatabaseUrls;
use shelfwise::control::audit::Operator;
use shelfwise::control::provisioning::{Desk, NewTenant};
use shelfwise::control::spares::refill;
use shelfwise::db::OwnerDb;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::vault::Vault;
use tokio_postgres::{Client, NoTls};

/// Tenants that are made where nobody says.
const TENANTS: usize = 1_000;

/// Sign-ups from the stock that are timed.
const SIGN_UPS: u16 = 100;

/// Spares of a refill during which others work.
const REFILL: u16 = 100;

/// Times that a role is entered without a refill.
const QUIET: usize = 2_000;

/// The database.
const DATABASE: &str = "shelfwise";

/// A cluster with default settings, but for what times its statements where the server has it.
struct Site {
    cluster: Cluster,
    urls: DatabaseUrls,
    psql: Client,
    has_statements: bool,
}

#[tokio::main]
async fn main() {
    let wanted = std::env::var("PROVISION_TENANTS").ok();
    let tenants = wanted.map_or(TENANTS, |count| count.parse().unwrap());
    let folder = tempfile::Builder::new().prefix("shelfwise-bench").tempdir_in("/var/tmp").unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    let site = start(folder.path()).await;
    migrate_control(&owner(&site.urls).unwrap()).await.unwrap();
    let key = MasterKey::generate("bench-1").unwrap();
    bulk(&site, folder.path(), &key, tenants).await;
    let owner = owner(&site.urls).unwrap();
    let vault = Vault::new(&CryptoConfig { master_keys: vec![key] }, Arc::new(SystemClock));
    sign_ups(&site, &owner, &vault).await;
    roles(&site, &owner).await;
    dump(&site, folder.path()).await;
}

async fn start(folder: &Path) -> Site {
    let preload = [("shared_preload_libraries", "pg_stat_statements"), ("pg_stat_statements.track_planning", "on")];
    let (cluster, has_statements) = match Cluster::start(&folder.join("timed"), Durability::Full, &preload).await {
        Ok(cluster) => (cluster, true),
        Err(_) => (Cluster::start(&folder.join("plain"), Durability::Full, &[]).await.unwrap(), false),
    };
    let urls = prepare(&cluster, DATABASE).await.unwrap();
    let (psql, connection) = tokio_postgres::connect(&cluster.superuser_url(DATABASE), NoTls).await.unwrap();
    tokio::spawn(connection);
    if has_statements {
        psql.batch_execute("CREATE SCHEMA ext; CREATE EXTENSION pg_stat_statements SCHEMA ext").await.unwrap();
    }
    Site { cluster, urls, psql, has_statements }
}

/// Tenants from a file, by the command.
async fn bulk(site: &Site, folder: &Path, key: &MasterKey, tenants: usize) {
    let mut file = "slug,name,plan,owner_email\n".to_owned();
    for number in 0..tenants {
        file.push_str(&format!("shop-{number},Shop {number},free,owner@shop-{number}.example\n"));
    }
    let path = folder.join("shops.csv");
    std::fs::write(&path, file).unwrap();
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_shelfwise"))
        .args(["tenant", "provision", "--from", path.to_str().unwrap()])
        .env_clear()
        .current_dir(folder)
        .env("DATABASE_URL", site.urls.runtime.expose_secret())
        .env("DATABASE_OWNER_URL", site.urls.owner.as_ref().unwrap().expose_secret())
        .env("MASTER_KEYS", key.to_setting())
        .env("JWT_KEYS", JwtKey::generate("bench-1").unwrap().to_setting())
        .output()
        .unwrap();
    let (elapsed, text) = (started.elapsed().as_secs_f64(), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("\nbulk: {}", text.trim_end().replace('\n', "\n      "));
    println!("  with the catalogues' vacuum: {elapsed:.1} s");
    // The bar is for a thousand, and for others what it comes to.
    let bar = 45.0 * tenants as f64 / TENANTS as f64;
    report(format_args!("provisioning {tenants} tenants of a file"), elapsed, "s", ..=bar);
    if site.has_statements {
        let dear = "SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 60), calls, total_exec_time + total_plan_time
            FROM ext.pg_stat_statements ORDER BY 3 DESC LIMIT 5";
        for row in site.psql.query(dear, &[]).await.unwrap() {
            let (query, calls, ms): (String, i64, f64) = (row.get(0), row.get(1), row.get(2));
            println!("  {ms:>9.0} ms in {calls:>6} of {query}");
        }
    }
}

/// Sign-ups one after the other, each from the stock.
async fn sign_ups(site: &Site, owner: &OwnerDb, vault: &Vault) {
    refill(owner, &SystemClock, SIGN_UPS + 1).await.unwrap();
    let operator = Operator::cli("bench");
    let desk = Desk { owner, vault, clock: &SystemClock, operator: &operator, stock: Some(0) };
    let new = |number: u16| NewTenant {
        slug: format!("stock-{number}"),
        name: "Shop".to_owned(),
        plan: "free".to_owned(),
        owner_email: "owner@shop.example".to_owned(),
        currency: "EUR".to_owned(),
    };
    // The first one prepares its connection's statements.
    desk.tenant_provision(&new(0)).await.unwrap();
    if site.has_statements {
        site.psql.batch_execute("SELECT ext.pg_stat_statements_reset()").await.unwrap();
    }
    let mut times = Vec::new();
    for number in 1..=SIGN_UPS {
        let started = Instant::now();
        desk.tenant_provision(&new(number)).await.unwrap();
        times.push(started.elapsed());
    }
    print("a sign-up from the stock", times);
    if site.has_statements {
        let sum = "SELECT sum(total_exec_time + total_plan_time) FROM ext.pg_stat_statements
            WHERE userid = 'shelfwise_owner'::regrole";
        let sum: f64 = site.psql.query_one(sum, &[]).await.unwrap().get(0);
        println!("  its statements in the database: {:.2} ms", sum / f64::from(SIGN_UPS));
    }
}

/// How long a runtime login takes to enter a role, while nothing is granted and while a refill grants.
async fn roles(site: &Site, owner: &OwnerDb) {
    let (client, connection) = tokio_postgres::connect(site.urls.runtime.expose_secret(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let count: i64 = site.psql.query_one("SELECT count(*) FROM control.tenants", &[]).await.unwrap().get(0);
    let schema: String =
        site.psql.query_one("SELECT schema_name FROM control.tenants LIMIT 1", &[]).await.unwrap().get(0);
    let enter = format!("BEGIN; SET LOCAL ROLE \"{schema}\"; COMMIT");
    println!("entering one of {count} roles:");
    client.batch_execute(&enter).await.unwrap();
    let mut quiet = Vec::new();
    for _ in 0..QUIET {
        quiet.push(timed(&client, &enter).await);
    }
    print("nothing is granted", quiet);
    let is_done = AtomicBool::new(false);
    let fill = async {
        let left: i64 = site.psql.query_one("SELECT count(*) FROM control.spare_schemas", &[]).await.unwrap().get(0);
        let started = Instant::now();
        let made = refill(owner, &SystemClock, REFILL + u16::try_from(left).unwrap()).await.unwrap();
        is_done.store(true, Ordering::Release);
        (made, started.elapsed())
    };
    let work = async {
        let mut busy = Vec::new();
        while !is_done.load(Ordering::Acquire) {
            busy.push(timed(&client, &enter).await);
        }
        busy
    };
    let ((made, took), busy) = tokio::join!(fill, work);
    print(&format!("a refill makes {made} spares in {:.1} s", took.as_secs_f64()), busy);
}

async fn timed(client: &Client, statement: &str) -> Duration {
    let started = Instant::now();
    client.batch_execute(statement).await.unwrap();
    started.elapsed()
}

/// How long `pg_dump` of one tenant takes beside all others.
async fn dump(site: &Site, folder: &Path) {
    let version: String = site.psql.query_one("SHOW server_version", &[]).await.unwrap().get(0);
    let major = version.split('.').next().unwrap_or_default().to_owned();
    let installed = format!("/usr/lib/postgresql/{major}/bin/pg_dump");
    let program = if Path::new(&installed).exists() { installed.as_str() } else { "pg_dump" };
    let schema: String =
        site.psql.query_one("SELECT schema_name FROM control.tenants LIMIT 1", &[]).await.unwrap().get(0);
    let mut times = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        let status = Command::new(program)
            .args(["-n", &schema, "-f", folder.join("dump.sql").to_str().unwrap()])
            .args(["-d", &site.cluster.superuser_url(DATABASE)])
            .stderr(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => times.push(started.elapsed()),
            _ => return println!("pg_dump: none that suits this server"),
        }
    }
    print("pg_dump of one tenant", times);
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("  {what}: median {:.2} ms, p99 {:.2} ms, most {:.2} ms of {}", ms(50), ms(99), ms(100), times.len());
    let name = what.split(" in ").next().unwrap_or(what);
    report(format_args!("provisioning: {name}, median"), ms(50), "ms", ..);
}
