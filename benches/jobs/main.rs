//! What the job engine does: jobs that do nothing, a second, with one worker; and how long a claim takes.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a benchmark awaits its tasks")]

#[path = "../report.rs"]
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};
use report::report;
use secrecy::ExposeSecret as _;
use shelfwise::app::owner;
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::db::migrate::migrate_control;
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::db::{Bell, ControlDb};
use shelfwise::jobs::queue::{Claim, claim};
use shelfwise::jobs::runner::Room;
use shelfwise::jobs::{Answer, Handler, Handlers, Job, Pace, Runner};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::telemetry::metrics::Metrics;
use tokio::sync::Notify;
use tokio_postgres::NoTls;

/// Tenants that have jobs.
const TENANTS: usize = 1_000;

/// Jobs that wait.
const JOBS: usize = 10_000;

/// Claims that are timed.
const CLAIMS: usize = 200;

/// Jobs a second that one worker must do.
const BAR: f64 = 2_000.0;

/// Slots of the worker, as by default.
const SLOTS: u16 = 32;

#[tokio::main]
async fn main() {
    let folder = tempfile::Builder::new().prefix("shelfwise-bench").tempdir_in("/var/tmp").unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    let cluster = Cluster::start(&folder.path().join("cluster"), Durability::Full, &[]).await.unwrap();
    let urls = prepare(&cluster, "shelfwise").await.unwrap();
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    let (psql, connection) = tokio_postgres::connect(&cluster.superuser_url("shelfwise"), NoTls).await.unwrap();
    tokio::spawn(connection);
    let tenants = "INSERT INTO control.tenants
            (id, slug, schema_name, name, plan, currency, status, schema_version, created_at, updated_at)
        SELECT gen_random_uuid(), 'shop-' || n, 'none-' || n, 'Shop', 'enterprise', 'EUR', 'active', '0', now(), now()
        FROM generate_series(1, $1::int8) n";
    psql.execute(tenants, &[&(TENANTS as i64)]).await.unwrap();
    let target = Target::from_url(urls.runtime.expose_secret()).unwrap();
    let control = ControlDb::new(Pool::control(target, Duration::from_secs(5)));
    println!("\njobs: {JOBS} of {TENANTS} tenants");
    claims(&psql, &control).await;
    for spread in [TENANTS, 10, 1] {
        throughput(&psql, &control, spread).await;
    }
}

/// Fills the queue anew with jobs of so many tenants.
async fn fill(psql: &tokio_postgres::Client, tenants: usize) {
    let statement = "INSERT INTO control.jobs (id, tenant_id, kind, payload)
        SELECT gen_random_uuid(), id, 'bench.nothing', '{}'
        FROM (SELECT id FROM control.tenants LIMIT $1::int8) t, generate_series(1, $2::int8)";
    psql.batch_execute("TRUNCATE control.jobs").await.unwrap();
    psql.execute(statement, &[&(tenants as i64), &((JOBS / tenants) as i64)]).await.unwrap();
    psql.batch_execute("VACUUM ANALYZE control.jobs").await.unwrap();
    psql.batch_execute("CHECKPOINT").await.unwrap();
}

/// How long one claim takes, of a whole worker's slots and of one.
async fn claims(psql: &tokio_postgres::Client, control: &ControlDb) {
    for slots in [i32::from(SLOTS), 1] {
        fill(psql, TENANTS).await;
        let (mut after, mut times) = (uuid::Uuid::nil(), Vec::new());
        for _ in 0..CLAIMS {
            let wanted = Claim {
                kinds: vec!["bench.nothing".to_owned()],
                attempts: vec![3],
                after,
                lane_max: 8,
                slots,
                worker: "bench".to_owned(),
                lease: 30.0,
            };
            let started = Instant::now();
            let (claimed, last) = claim(control, wanted).await.unwrap();
            times.push(started.elapsed());
            assert_eq!(claimed.len(), slots as usize);
            after = last;
        }
        times.sort_unstable();
        let ms = |index: usize| times[index].as_secs_f64() * 1e3;
        println!("  a claim of {slots}: median {:.1} ms, p99 {:.1} ms", ms(CLAIMS / 2), ms(CLAIMS * 99 / 100));
        report(format_args!("jobs: a claim of {slots}, median"), ms(CLAIMS / 2), "ms", ..);
    }
}

/// Counts its jobs and does nothing.
struct Nothing {
    done: Arc<AtomicUsize>,
    all: Arc<Notify>,
}

impl Handler for Nothing {
    fn kind(&self) -> &'static str {
        "bench.nothing"
    }

    fn run(&self, _: Job) -> BoxFuture<'_, Answer> {
        if self.done.fetch_add(1, Ordering::Relaxed) + 1 == JOBS {
            self.all.notify_one();
        }
        async { Ok(()) }.boxed()
    }
}

/// How many jobs that do nothing one worker does a second.
async fn throughput(psql: &tokio_postgres::Client, control: &ControlDb, tenants: usize) {
    fill(psql, tenants).await;
    let (done, all, written) = (Arc::<AtomicUsize>::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let runner = Runner {
        control: control.clone(),
        bell: Bell::default(),
        clock: Arc::new(SystemClock),
        handlers: Handlers::default().with(Nothing { done, all: Arc::clone(&all) }),
        periodic: Vec::new(),
        room: Room { slots: SLOTS, per_tenant_max: 8 },
        pace: Pace::default(),
        metrics: Metrics::new().unwrap().jobs,
        name: "bench".to_owned(),
    };
    let stop = Arc::clone(&written);
    let started = Instant::now();
    let worker = tokio::spawn(runner.run(async move { stop.notified().await }));
    all.notified().await;
    written.notify_one();
    // It stops when all ends are written.
    worker.await.unwrap();
    let elapsed = started.elapsed();
    let left: i64 =
        psql.query_one("SELECT count(*) FROM control.jobs WHERE state <> 'completed'", &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    let rate = JOBS as f64 / elapsed.as_secs_f64();
    println!("  of {tenants} tenants, one worker with {SLOTS} slots: {rate:.0} a second");
    report(format_args!("jobs: of {tenants} tenants, one worker"), rate, "a second", BAR..);
}
