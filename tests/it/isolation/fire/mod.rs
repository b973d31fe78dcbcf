//! Isolation under fire: two shops whose rows have the same ids, and everything that can go wrong at once.
//!
//! The server is a process of its own, so that its log, its metrics and its end are seen from outside. Clients of both
//! shops share keep-alive connections, as behind a proxy, and go away at any stage; backends are killed, and the pool
//! is exhausted. What each may do follows from `FIRE_SEED`; how much is done, from `FIRE_OPERATIONS` (1,000 or more).
//! In what order things happen is up to the machine, so a seed makes a failure likely again, not certain.

mod aftermath;
mod client;
mod ledger;
mod log;
mod operation;
mod shelf;
mod siege;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI32;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use shelfwise::app::owner;
use shelfwise::config::auth::JwtKey;
use shelfwise::config::database::DatabaseUrls;
use shelfwise::db::migrate::migrate_control;
use shelfwise::kernel::tenant::TenantCtx;
use tokio::sync::watch;

use self::ledger::Ledger;
use self::log::Log;
use self::shelf::Shelf;
use crate::harness::World;
use crate::harness::cluster::{own_database, psql_of};
use crate::harness::process::Process;
use crate::harness::world::{AMPLE_PLANS, master_key};

/// The seed of a run that names none.
const SEED: u64 = 20_261_124;

/// Operations of a run that names no number: some ten seconds without optimisations.
const OPERATIONS: u64 = 2_000;

/// Clients, half of them of either shop.
const CLIENTS: usize = 24;

/// Connections for all of them.
const POOL_MAX: usize = 3;

/// How long the harness may take to connect its listener.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// All that the parts of the test have in common.
pub struct Fire<'a> {
    world: &'a World,
    database: String,
    seed: u64,
    shelf: Arc<Shelf>,
    ledgers: [Mutex<Ledger>; 2],
    /// Backends of the runtime login that are not the server's.
    harness_backends: Vec<i32>,
    /// The backend that was killed last.
    victim: AtomicI32,
    /// How many operations have ended: the clock of the siege.
    ended: watch::Sender<u64>,
    /// How often what has happened.
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Fire<'_> {
    /// The shop of a side, 0 or 1.
    fn tenant(&self, side: usize) -> &Arc<TenantCtx> {
        [&self.world.a, &self.world.b][side]
    }

    /// The book-keeping of a side. Not to be held while waiting.
    fn ledger(&self, side: usize) -> MutexGuard<'_, Ledger> {
        self.ledgers[side].lock().unwrap()
    }

    /// Counts that something has happened.
    fn count(&self, what: &str) {
        *self.counts.lock().unwrap().entry(what.to_owned()).or_default() += 1;
    }

    /// How often something has happened.
    fn counted(&self, what: &str) -> u64 {
        self.counts.lock().unwrap().get(what).copied().unwrap_or_default()
    }

    /// Checks that nothing of what a side was told is the neighbour's.
    fn assert_own(&self, side: usize, text: &str) {
        let neighbour = self.tenant(1 - side).slug.as_str();
        assert!(!text.contains(neighbour), "{} was told of {neighbour}: {text}", self.tenant(side).slug);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_shops_with_the_same_ids_see_nothing_of_each_other_whatever_breaks() {
    let (seed, operations) = (setting("FIRE_SEED", SEED), setting("FIRE_OPERATIONS", OPERATIONS));
    println!("FIRE_SEED={seed} FIRE_OPERATIONS={operations}");
    let (database, urls) = own_database().await;
    migrate_control(&owner(&urls).unwrap()).await.unwrap();
    psql_of(&database).await.batch_execute(AMPLE_PLANS).await.unwrap();
    let settings = settings(&urls);
    let borrowed: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut world = World::start(&borrowed).await;
    let (shelf, harness_backends) = prepare(&world, &database).await;
    let slugs = [&world.a, &world.b].map(|shop| shop.slug.to_string());
    let told = slugs.clone();
    let server =
        Process::start("serve", &settings, move |log: &mut Log, line, entry| log.read(line, entry, &told)).await;
    // From here on the world's clients talk to the process.
    world.base_url = server.url("");

    let fire = Fire {
        world: &world,
        database,
        seed,
        ledgers: slugs.map(|slug| Mutex::new(Ledger::new(&slug, Arc::clone(&shelf)))),
        shelf,
        harness_backends,
        victim: AtomicI32::new(0),
        ended: watch::Sender::new(0),
        counts: Mutex::default(),
    };
    let turns = operations.div_ceil(CLIENTS as u64);
    tokio::select! {
        _ = join_all((0..CLIENTS).map(|number| client::run(&fire, number, turns))) => {}
        () = siege::lay(&fire) => unreachable!("a siege does not end by itself"),
    }
    aftermath::check(&fire).await;

    let log = server.stop().await;
    println!("log lines {:?}, {:?}", log.lines, fire.counts.lock().unwrap());
    assert_eq!(log.wrong, Vec::<String>::new());
    // A fire that burns nothing proves nothing.
    assert!(fire.counted("answered") > operations / 4, "too few were answered");
    assert!(fire.counted("dropped") > 0 && fire.counted("cut") > operations / 20, "too few clients went away");
    assert!(fire.counted("kills") > 0 && fire.counted("SERVICE_UNAVAILABLE") > 0, "too little was broken");
    assert!(log.lines.iter().all(|lines| *lines > operations / 10), "too little was logged");
    drop(fire);
    world.end().await;
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
}

/// The settings of the server, and of the world beside it, which makes the shops and the tokens.
fn settings(urls: &DatabaseUrls) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", urls.runtime.expose_secret().to_owned()),
        ("DATABASE_OWNER_URL", urls.owner.as_ref().unwrap().expose_secret().to_owned()),
        ("MASTER_KEYS", master_key().to_setting()),
        ("JWT_KEYS", JwtKey::generate("fire-1").unwrap().to_setting()),
        ("PORT", "0".to_owned()),
        ("DB_POOL_MAX", POOL_MAX.to_string()),
        ("DB_CHECKOUT_TIMEOUT_MS", "1000".to_owned()),
        ("REQUEST_TIMEOUT_MS", "5000".to_owned()),
        ("LOG_LEVEL", "info,shelfwise=debug".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ]
}

/// Fills both shops, and answers what they were filled with and which backends are the harness's own.
async fn prepare(world: &World, database: &str) -> (Arc<Shelf>, Vec<i32>) {
    let psql = psql_of(database).await;
    let shelf = Arc::new(Shelf::new());
    for shop in [&world.a, &world.b] {
        psql.batch_execute(&shelf.insert(shop)).await.unwrap();
    }
    let none: Vec<i32> = Vec::new();
    let connected = async {
        loop {
            let backends = psql.query(siege::BACKENDS, &[&none]).await.unwrap();
            if !backends.is_empty() {
                break backends.iter().map(|row| row.get(0)).collect::<Vec<i32>>();
            }
        }
    };
    let backends = tokio::time::timeout(LISTEN_TIMEOUT, connected).await.expect("the world's listener connects");
    (shelf, backends)
}
