//! What is measured of PostgreSQL's processes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shelfwise::app::urls;
use shelfwise::config::log::{LogConfig, LogFormat};
use shelfwise::db::TenantDb;
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::telemetry::logs;
use shelfwise::telemetry::metrics::Metrics;
use shelfwise::tenant::documents::service::document_by_hash;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{PATIENCE, Scrape, scrape};
use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::world::world_with;

/// What a pool of a test's own tells.
fn told(metrics: &Metrics) -> Scrape {
    Scrape::read(&String::from_utf8(metrics.encode().unwrap()).unwrap())
}

/// A pool of one connection, which is asked after every operation.
fn asking(world: &World, metrics: &Metrics, tenants_max: usize) -> TenantDb {
    let target = Target::from_url(urls(&world.app.config).unwrap().runtime.expose_secret()).unwrap();
    let pool = Pool::new(target, 1, PATIENCE, tenants_max);
    TenantDb::new(pool.with_backends(metrics.backends.clone(), Duration::ZERO))
}

/// Has a session of a shop read something, and waits until the connection is back.
async fn read(tenants: &TenantDb, shop: &Arc<TenantCtx>) {
    let session = tenants.session(Arc::clone(shop));
    let read = session.read().await.unwrap();
    assert_eq!(document_by_hash(&read, "none").await.unwrap(), None);
    drop(read);
    session.finish().await;
    drop(session);
    let back = async {
        while tenants.pool_state().permits_free == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("it comes back");
}

/// What this thread logs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Keeps what is logged for as long as the guard is kept.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let (config, lines) = (LogConfig { level: "debug".to_owned(), format: LogFormat::Json }, self.clone());
        let layer = logs::lines(&config, move || lines.clone()).unwrap();
        tracing::subscriber::set_default(Registry::default().with(layer))
    }

    /// The levels of the lines that have some words.
    fn levels_of(&self, words: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains(words));
        lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["level"].as_str().unwrap().to_owned()).collect()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_backend_is_asked_for_its_memory_when_its_borrower_is_done() {
    let (world, database) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let metrics = Metrics::new().unwrap();
    let tenants = asking(&world, &metrics, 100);
    read(&tenants, &world.a).await;
    let first = told(&metrics);
    assert_eq!(first.value("shelfwise_backend_memory_bytes_count"), 1.0);
    let bytes = first.value("shelfwise_backend_memory_bytes_sum");
    assert!((100_000.0..100_000_000.0).contains(&bytes), "{bytes}");
    assert_eq!(tenants.connections_created(), 1, "the question leaves the connection as it was");

    // Who may not ask goes on without an answer, and asks again when they may.
    let psql = psql_of(&database).await;
    let function = "FUNCTION pg_catalog.pg_get_backend_memory_contexts()";
    psql.batch_execute(&format!("REVOKE EXECUTE ON {function} FROM shelfwise")).await.unwrap();
    let told_of = Lines::default();
    let guard = told_of.listen();
    let denied = async {
        while told_of.levels_of("may not ask for its backend's memory").len() < 2 {
            read(&tenants, &world.a).await;
        }
    };
    tokio::time::timeout(PATIENCE, denied).await.expect("it is told");
    drop(guard);
    assert_eq!(
        told_of.levels_of("may not ask for its backend's memory"),
        ["WARN", "DEBUG"],
        "who reads it is told once"
    );
    assert_eq!(told_of.levels_of("GRANT EXECUTE ON FUNCTION pg_catalog.pg_get_backend_memory_contexts()"), ["WARN"]);
    assert_eq!(told(&metrics).value("shelfwise_backend_memory_bytes_count"), 1.0);
    psql.batch_execute(&format!("GRANT EXECUTE ON {function} TO shelfwise")).await.unwrap();
    // A pause follows, a hundred times as long as the question took.
    let asked_again = async {
        while told(&metrics).value("shelfwise_backend_memory_bytes_count") < 2.0 {
            read(&tenants, &world.b).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked_again).await.expect("it is asked again");
    assert_eq!(tenants.connections_created(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_connection_tells_how_many_tenants_it_had_served_when_it_is_closed() {
    let settings = [("DB_POOL_MAX", "1"), ("DB_TENANTS_PER_CONNECTION_MAX", "1")];
    world_with(&settings, async |world| {
        let query = "{ books { totalCount } }";
        world.owner().data(query, json!({})).await;
        world.owner().data(query, json!({})).await;
        scrape(world).await.assert(&[("shelfwise_backend_tenants_count", 0.0)]);
        world.other_owner().data(query, json!({})).await;
        world.assert_nothing_borrowed().await;
        scrape(world).await.assert(&[
            ("shelfwise_backend_tenants_count", 1.0),
            ("shelfwise_backend_tenants_sum", 2.0),
            ("shelfwise_backend_tenants_bucket{le=\"1\"}", 0.0),
            // Nobody is asked so soon.
            ("shelfwise_backend_memory_bytes_count", 0.0),
        ]);
    })
    .await;
}
