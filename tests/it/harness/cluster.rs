//! One cluster for the whole run. It ends with this process, by whatever death.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use shelfwise::app::owner;
use shelfwise::cli::dev::cluster::{Cluster, Durability};
use shelfwise::cli::dev::database::prepare;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;
use tokio_postgres::NoTls;

/// The database that most tests share; each has tenants of its own in it.
const SHARED_DATABASE: &str = "shelfwise";

static SHARED: OnceLock<(Cluster, DatabaseUrls)> = OnceLock::new();

/// The cluster, and the database in it that has the control plane's tables.
fn shared() -> &'static (Cluster, DatabaseUrls) {
    SHARED.get_or_init(|| {
        super::logs::capture();
        // A thread and runtime of its own: the first test's runtime ends with the first test.
        let start = || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let folder = format!("{}/cluster-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
                sweep();
                let cluster = Cluster::start(folder.as_ref(), Durability::None, &[("max_connections", "200")]).await;
                let cluster = cluster.expect("PostgreSQL starts");
                let urls = prepare(&cluster, SHARED_DATABASE).await.expect("the database is made");
                migrate_control(&owner(&urls).unwrap()).await.expect("the control plane is migrated");
                (cluster, urls)
            })
        };
        std::thread::spawn(start).join().expect("the cluster starts")
    })
}

/// The cluster of all tests.
pub fn shared_cluster() -> &'static Cluster {
    &shared().0
}

/// How to reach the shared database.
pub fn shared_urls() -> DatabaseUrls {
    shared().1.clone()
}

/// A database of a test's own, without any of our tables.
pub async fn own_database() -> (String, DatabaseUrls) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("own_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let _one = logins_alone().await;
    let urls = prepare(&shared().0, &name).await.expect("the database is made");
    (name, urls)
}

/// Alone with the logins: all databases share them, and PostgreSQL does not let two sessions alter one role at once.
pub async fn logins_alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ONE_AT_A_TIME.lock().await
}

/// A superuser's connection to the shared database: what psql would be beside the server.
pub async fn psql() -> tokio_postgres::Client {
    psql_of(SHARED_DATABASE).await
}

/// A superuser's connection to a database.
pub async fn psql_of(database: &str) -> tokio_postgres::Client {
    connect(&shared().0.superuser_url(database)).await
}

/// Waits until a connection to the shared database holds up so many others: those that wait for it, and those that wait for these.
pub async fn held_up(blocker: &tokio_postgres::Client, count: i64) {
    let pid: i32 = blocker.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let query = "WITH RECURSIVE waiting (pid) AS (
            SELECT $1::integer
            UNION SELECT activity.pid FROM waiting, pg_stat_activity AS activity
            WHERE waiting.pid = ANY (pg_blocking_pids(activity.pid)))
        SELECT count(*) - 1 FROM waiting";
    let psql = psql().await;
    while psql.query_one(query, &[&pid]).await.unwrap().get::<_, i64>(0) < count {
        tokio::task::yield_now().await;
    }
}

/// The port of the cluster, and the password of all of its logins, for programs that bring their own client.
pub fn server() -> (u16, String) {
    (shared().0.port(), shared().0.password().to_owned())
}

/// The log of the cluster.
pub fn server_log() -> std::path::PathBuf {
    let folder = format!("{}/cluster-{}/data", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    // The data files may be elsewhere, and the log is beside them.
    std::fs::canonicalize(folder).unwrap().with_extension("log")
}

/// A plain connection by a URL.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

/// Removes what earlier runs left: their process ended before it could.
fn sweep() {
    for entry in std::fs::read_dir(env!("CARGO_TARGET_TMPDIR")).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(pid) = name.strip_prefix("cluster-") else { continue };
        if !std::path::Path::new("/proc").join(pid).exists() {
            let _ = Cluster::remove(&entry.path());
        }
    }
}
