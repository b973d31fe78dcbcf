//! What migrating a fleet costs: tenants a second by an added column and by an added index, beside a bare loop that sends
//! the same statements and keeps no books; and how much memory it takes. And what must not cost more for it: a dump of one
//! tenant, and the start of a server.
//!
//! `FLEET_TENANTS` says how many tenants; 5,000 where it is unset.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a benchmark awaits its tasks and reads its one variable")]

mod beside;
#[path = "../report.rs"]
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::StreamExt as _;
use report::report;
use secrecy::ExposeSecret as _;
use shelfwise::app::owner;
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::control::audit::Operator;
use shelfwise::control::migrations::drive::{Driver, Ended, Lease};
use shelfwise::control::migrations::service::{Bridge, progress};
use shelfwise::control::migrations::{MigrationSet, Options};
use shelfwise::db::migrate::{Migration, Plane, migrate_control, migrations, newest_version, tenants_script};
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::db::vacuum::vacuum;
use shelfwise::db::{ControlDb, DbError, OwnerDb, OwnerTx};
use shelfwise::kernel::clock::{Clock as _, SystemClock};
use shelfwise::kernel::ids::TenantId;
use shelfwise::kernel::tenant::SchemaName;
use tokio_postgres::{Client, NoTls};

/// Tenants where nothing is said.
const TENANTS: usize = 5_000;

/// Schemas that are made in one transaction: the lock table has room for them.
const BATCH: usize = 6;

/// Sessions of the bare loop: as many as a run changes schemas at once.
const SESSIONS: usize = 4;

struct Site {
    control: ControlDb,
    owner: OwnerDb,
    url: String,
    tenants: Vec<TenantId>,
}

#[tokio::main]
async fn main() {
    let count = std::env::var("FLEET_TENANTS").map_or(TENANTS, |text| text.parse().unwrap());
    let folder = tempfile::Builder::new().prefix("shelfwise-bench").tempdir_in("/var/tmp").unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    let cluster = Cluster::start(&folder.path().join("cluster"), Durability::Full, &[]).await.unwrap();
    let urls = prepare(&cluster, "shelfwise").await.unwrap();
    let owner = owner(&urls).unwrap();
    migrate_control(&owner).await.unwrap();
    let target = Target::from_url(urls.runtime.expose_secret()).unwrap();
    let control = ControlDb::new(Pool::control(target, Duration::from_secs(5)));
    let url = urls.owner.as_ref().unwrap().expose_secret().to_owned();
    let site = Site { control, owner, url, tenants: (0..count).map(|_| TenantId(SystemClock.new_id())).collect() };

    let started = Instant::now();
    provision(&site).await;
    println!("\nfleet: {count} tenants, made in {:.1} s", started.elapsed().as_secs_f64());
    let vacuumed = vacuum(&site.owner).await.unwrap();
    assert!(vacuumed.left.iter().all(|catalogue| catalogue.starts_with("pg_auth") || *catalogue == "pg_shdepend"));
    let schema = SchemaName::from(site.tenants[count / 2]);
    match beside::dump(&cluster, ("shelfwise", schema.as_str()), &major(&site).await, folder.path()) {
        Some(time) => {
            println!("  pg_dump of one of them: {:.2} s", time.as_secs_f64());
            report(format_args!("pg_dump of one of {count} tenants"), time.as_secs_f64(), "s", ..=2.0);
        }
        None => println!("  pg_dump of one of them: there is none that suits this server"),
    }
    let alone = prepare(&cluster, "alone").await.unwrap();
    let owner_alone = shelfwise::app::owner(&alone).unwrap();
    migrate_control(&owner_alone).await.unwrap();
    provision_of(&owner_alone, &[TenantId(SystemClock.new_id())]).await;
    beside::starts(&alone, &urls, count, folder.path()).await;
    let before = peak_rss_mb();
    let column =
        |number| statement(number, "ALTER TABLE books ADD COLUMN extra text", "ALTER TABLE books DROP COLUMN extra");
    let index = |number| {
        statement(
            number,
            "-- no transaction\nCREATE INDEX CONCURRENTLY books_extra_idx ON books (updated_at)",
            "-- no transaction\nDROP INDEX CONCURRENTLY books_extra_idx",
        )
    };
    let plain = |number| {
        let up = "-- allow: lock: a benchmark\nCREATE INDEX books_plain_idx ON books (updated_at)";
        statement(number, up, "DROP INDEX books_plain_idx")
    };
    let mut done = Vec::new();
    for (name, migration, bare, bar) in [
        ("an added column", column(1), "ALTER TABLE books ADD COLUMN bare text", 15.0),
        ("an index built concurrently", index(2), "CREATE INDEX CONCURRENTLY bare_idx ON books (updated_at)", 60.0),
        ("an index built under a lock", plain(3), "CREATE INDEX bare_plain_idx ON books (updated_at)", 60.0),
    ] {
        done.push(migration);
        let fleet = migrate(&site, &done).await;
        let alone = bare_loop(&site, bare).await;
        let rate = count as f64 / fleet.as_secs_f64();
        println!(
            "  {name}: {:.1} s, {rate:.0} tenants a second; a bare loop {:.1} s; {:.2} times as long",
            fleet.as_secs_f64(),
            alone.as_secs_f64(),
            fleet.as_secs_f64() / alone.as_secs_f64()
        );
        // The bars are for five thousand, and for others what it comes to.
        let bar = bar * count as f64 / TENANTS as f64;
        report(format_args!("fleet: {count} tenants, {name}"), fleet.as_secs_f64(), "s", ..=bar);
    }
    println!("  peak memory of the process: {before:.0} MB before, {:.0} MB after", peak_rss_mb());
}

fn statement(number: u32, up: &str, down: &str) -> Migration {
    let version = format!("20991231{number:06}");
    let name = format!("2099-12-31-{number:06}_bench");
    Migration { version, name, up: up.to_owned(), down: down.to_owned(), backfill: None }
}

/// Makes all schemas, some batches at once.
async fn provision(site: &Site) {
    let batches = futures_util::stream::iter(site.tenants.chunks(BATCH).map(|batch| provision_of(&site.owner, batch)));
    batches.buffer_unordered(3).collect::<Vec<()>>().await;
}

/// Makes schemas by the script that makes them for new tenants, and enters them in the registry.
async fn provision_of(owner: &OwnerDb, batch: &[TenantId]) {
    let version = newest_version(Plane::Tenant);
    let schemas: Vec<SchemaName> = batch.iter().copied().map(SchemaName::from).collect();
    let make = async |tx: &mut OwnerTx| {
        tx.batch(&tenants_script(&schemas, owner.runtime_login())).await?;
        for (tenant, schema) in batch.iter().zip(&schemas) {
            let id = tenant.0;
            tx.batch(&format!(
                "INSERT INTO control.tenants
                     (id, slug, schema_name, name, plan, currency, status, schema_version, created_at, updated_at)
                 VALUES ('{id}', 'shop-{}', '{schema}', 'Shop', 'free', 'EUR', 'active', '{version}', now(), now())",
                id.simple()
            ))
            .await?;
        }
        Ok::<_, DbError>(())
    };
    owner.write(make).await.unwrap();
}

/// The major version of the server.
async fn major(site: &Site) -> String {
    let (client, connection) = tokio_postgres::connect(&site.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let version: String = client.query_one("SHOW server_version", &[]).await.unwrap().get(0);
    version.split('.').next().unwrap_or_default().to_owned()
}

/// Brings the fleet to the newest of these migrations, as `shelfwise migrate run` does.
async fn migrate(site: &Site, more: &[Migration]) -> Duration {
    let set = MigrationSet::of(migrations(Plane::Tenant).into_iter().chain(more.iter().cloned()).collect());
    let operator = Operator::cli("bench");
    let bridge = Bridge { control: &site.control, set: &set, clock: &SystemClock, operator: &operator, by_job: false };
    let driver = Driver {
        control: site.control.clone(),
        owner: site.owner.clone(),
        set: set.clone(),
        clock: Arc::new(SystemClock),
        name: "bench".to_owned(),
        lease: Lease::default(),
    };
    let started = Instant::now();
    let run = bridge.run_start(&Options::default()).await.unwrap();
    assert_eq!(driver.drive(run.id, std::future::pending()).await.unwrap(), Ended::Completed);
    let elapsed = started.elapsed();
    let progress = progress(&site.control, run.id).await.unwrap();
    assert_eq!((progress.completed, progress.failed), (site.tenants.len() as i64, 0));
    elapsed
}

/// Sends a statement to every schema and does nothing else.
async fn bare_loop(site: &Site, statement: &str) -> Duration {
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let (client, connection) = tokio_postgres::connect(&site.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        sessions.push(client);
    }
    let started = Instant::now();
    let share = site.tenants.len().div_ceil(SESSIONS);
    let work =
        sessions.iter().zip(site.tenants.chunks(share)).map(async |(session, tenants): (&Client, &[TenantId])| {
            for tenant in tenants {
                let path = format!(r#"SET search_path TO "{}", pg_temp"#, SchemaName::from(*tenant));
                session.batch_execute(&path).await.unwrap();
                session.batch_execute(statement).await.unwrap();
            }
        });
    futures_util::stream::iter(work).buffer_unordered(SESSIONS).collect::<Vec<()>>().await;
    started.elapsed()
}

/// The most memory that this process has had, in MB.
fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
