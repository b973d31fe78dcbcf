//! Chaos: hundreds of clients buy, pay, cancel and give back under keys, while everything below them dies.
//!
//! Servers and workers are processes that are killed by SIGKILL; PostgreSQL, in a cluster of its own that keeps what it
//! has committed, is crashed and stopped on the spot. Every client asks again under the same key until it is told what has
//! become of its request, and tells the ledger. When all are done, the tables must say what the ledger says: copies and
//! money are where they were told to be, nothing was done twice, and no event or entry of a trail is missing.
//!
//! What each does follows from `CHAOS_SEED`; how many clients there are and for how long, from `CHAOS_CLIENTS` and
//! `CHAOS_SECONDS`. It is a binary of its own, because it takes the whole machine, and cargo runs one binary after the other.
//! What dies when is up to the machine, so a seed makes a failure likely again, not certain.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test awaits its tasks and reads its own environment")]

mod aftermath;
mod call;
mod client;
mod fleet;
#[path = "../it/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the other tests need more of it")]
mod harness;
mod ledger;
mod log;
mod money;
mod site;
mod stock;
mod storm;
mod trail;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use self::fleet::Fleet;
use self::ledger::Ledger;
use self::site::Site;
use self::stock::Shelf;

/// The seed of a run that names none.
const SEED: u64 = 20_261_124;

/// Clients of a run that names no number.
const CLIENTS: u64 = 100;

/// How long it goes on in a run that does not say.
const SECONDS: u64 = 15;

/// How long clients may take to end what they have begun when everything is well again.
const LAST_ORDERS: Duration = Duration::from_secs(90);

/// All that the parts of the test have in common.
pub struct Chaos {
    site: Site,
    fleet: Fleet,
    seed: u64,
    /// When nothing is killed any more, if everything was killed once.
    until: Instant,
    /// Whether the storm is over: clients begin nothing new.
    is_calm: AtomicBool,
    shelves: [Shelf; 2],
    ledgers: [Mutex<Ledger>; 2],
    /// How often what has happened.
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Chaos {
    /// The book-keeping of a side, 0 or 1. Not to be held while waiting.
    fn ledger(&self, side: usize) -> MutexGuard<'_, Ledger> {
        self.ledgers[side].lock().unwrap()
    }

    /// Whether the storm is over.
    fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    /// Counts that something has happened.
    fn count(&self, what: impl Into<String>) {
        *self.counts.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    /// How often something has happened.
    fn counted(&self, what: &str) -> u64 {
        self.counts.lock().unwrap().get(what).copied().unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_bought_paid_and_given_back_is_so_once_whatever_dies() {
    let (seed, clients) = (setting("CHAOS_SEED", SEED), setting("CHAOS_CLIENTS", CLIENTS));
    let seconds = setting("CHAOS_SECONDS", SECONDS);
    println!("CHAOS_SEED={seed} CHAOS_CLIENTS={clients} CHAOS_SECONDS={seconds}");
    let begun = Instant::now();
    let site = Site::start().await;
    let shelves = [Shelf::fill(&site, 0).await, Shelf::fill(&site, 1).await];
    let fleet = Fleet::start(&site.settings).await;
    let chaos = Arc::new(Chaos {
        site,
        fleet,
        seed,
        until: Instant::now() + Duration::from_secs(seconds),
        is_calm: AtomicBool::new(false),
        shelves,
        ledgers: Default::default(),
        counts: Mutex::default(),
    });
    let tasks = (0..clients).map(|number| tokio::spawn(client::run(Arc::clone(&chaos), number)));
    let all = async {
        for ended in join_all(tasks).await {
            ended.unwrap();
        }
    };
    tokio::select! {
        () = all => {}
        () = storm::rage(&chaos) => unreachable!("a storm does not end by itself"),
        () = tokio::time::sleep_until(chaos.until + LAST_ORDERS) => panic!("clients do not end: {:?}", chaos.counts),
    }
    println!("{:?} {:?}", begun.elapsed(), chaos.counts.lock().unwrap());
    aftermath::check(&chaos).await;
    println!("{:?}", begun.elapsed());
    chaos.fleet.stop().await;
    // A storm that moves nothing proves nothing.
    for what in ["server killed", "worker killed", "database crashed", "database restarted", "dropped", "repeated"] {
        assert!(chaos.counted(what) > 0, "no {what}");
    }
    for what in ["orderCreate", "orderPlace", "orderPay", "orderCancel", "orderFulfill", "orderRefund"] {
        assert!(chaos.counted(what) > 0, "no {what}");
    }
    assert!(chaos.counted("INSUFFICIENT_STOCK") > 0, "no book ran out");
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
}
