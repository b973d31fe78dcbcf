//! Shops that work while the fleet is migrated, and versions side by side.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use shelfwise::control::migrations::drive::{Driver, Ended, Lease};
use shelfwise::control::migrations::service::Bridge;
use shelfwise::control::migrations::{MigrationSet, Options};
use shelfwise::kernel::actor::Role;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::tenant::TenantCtx;

use super::fleet::{column, migration, set_of, version};
use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::world::{operator, shop};

/// Requests before the migration and during it, at least.
const REQUESTS: usize = 80;

/// People who work at a time.
const CLIENTS: usize = 8;

/// Leads a run in a world.
async fn migrate(world: &World, set: &MigrationSet, options: &Options) -> Ended {
    let operator = operator();
    let bridge = Bridge { control: &world.app.control, set, clock: &SystemClock, operator: &operator, by_job: false };
    let run = bridge.run_start(options).await.unwrap();
    let driver = Driver {
        control: world.app.control.clone(),
        owner: world.app.owner.clone().unwrap(),
        set: set.clone(),
        clock: Arc::new(SystemClock),
        name: "test".to_owned(),
        lease: Lease::default(),
    };
    driver.drive(run.id, std::future::pending()).await.unwrap()
}

/// Shops at work, and how long their requests take: while nothing else happens, and while the fleet is migrated.
struct Load {
    shops: Vec<Arc<TenantCtx>>,
    /// Whose turn it is: every shop comes by.
    turn: AtomicUsize,
    is_migrated: AtomicBool,
    is_over: AtomicBool,
    /// Requests before and during.
    times: [Mutex<Vec<Duration>>; 2],
}

impl Load {
    fn count(&self, during: bool) -> usize {
        self.times[usize::from(during)].lock().unwrap().len()
    }

    /// Somebody reads and writes, here and there, until the migration is over.
    async fn work(&self, world: &World, pause: Option<Duration>) {
        let mut pace = pause.map(tokio::time::interval);
        while !self.is_over.load(Ordering::Relaxed) || self.count(true) < REQUESTS {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let client = world.user(&self.shops[turn % self.shops.len()], Role::Owner);
            let during = self.is_migrated.load(Ordering::Relaxed);
            let started = Instant::now();
            if turn.is_multiple_of(3) {
                let create = "mutation($title: String!) { bookCreate(input: { title: $title }) { book { id } userErrors { code } } }";
                let data = client.data(create, json!({ "title": format!("Book {turn}") })).await;
                assert_eq!(data["bookCreate"]["userErrors"], json!([]));
            } else {
                client.data("{ books(first: 5) { nodes { id title category { name } } } }", json!({})).await;
            }
            self.times[usize::from(during)].lock().unwrap().push(started.elapsed());
        }
    }

    fn p99(&self, during: bool) -> Duration {
        let mut times = self.times[usize::from(during)].lock().unwrap();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }
}

fn setting(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// `FLEET_TENANTS` shops (4) with `FLEET_REQUESTS` a second of all of them (as many as go). Where both are set, as `script/soak
/// fleet` does, it holds that the slowest requests take less than twice as long.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_fleet_is_migrated() {
    let (world, _) = World::start_alone(Arc::new(SystemClock), &[("DB_POOL_MAX", "8")]).await;
    let mut shops = vec![Arc::clone(&world.a), Arc::clone(&world.b)];
    while shops.len() < setting("FLEET_TENANTS").unwrap_or(4) {
        shops.push(shop(&world.app, "c").await);
    }
    let set = set_of([
        column(1),
        migration(
            2,
            "-- no transaction\nCREATE INDEX CONCURRENTLY books_extra_idx ON books (extra_1);",
            "-- no transaction\nDROP INDEX CONCURRENTLY books_extra_idx;",
        ),
        column(3),
        migration(
            4,
            "CREATE TABLE extras (id uuid PRIMARY KEY, book_id uuid REFERENCES books (id))",
            "DROP TABLE extras",
        ),
    ]);
    // All are at work when it begins, and have been for a while.
    let before = REQUESTS.max(shops.len() * 2);
    let load = Load {
        shops,
        turn: AtomicUsize::new(0),
        is_migrated: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        times: Default::default(),
    };
    let fleet = async {
        while load.count(false) < before {
            tokio::task::yield_now().await;
        }
        load.is_migrated.store(true, Ordering::Relaxed);
        let started = Instant::now();
        let ended = migrate(&world, &set, &Options { attempts_max: 100, ..Options::default() }).await;
        load.is_over.store(true, Ordering::Relaxed);
        (ended, started.elapsed())
    };
    let rate = setting("FLEET_REQUESTS");
    let pause = rate.map(|rate| Duration::from_secs(CLIENTS as u64) / u32::try_from(rate).unwrap());
    let people = (0..CLIENTS).map(|_| load.work(&world, pause));
    let ((ended, took), _) = tokio::join!(fleet, futures_util::future::join_all(people));
    assert_eq!(ended, Ended::Completed);
    let (quiet, during) = (load.p99(false), load.p99(true));
    let ratio = during.as_secs_f64() / quiet.as_secs_f64();
    println!(
        "{} shops migrated in {took:?}; p99 of {} requests before {quiet:?}, of {} during {during:?}: {ratio:.2} times as long",
        load.shops.len(),
        load.count(false),
        load.count(true),
    );
    if rate.is_some() && load.shops.len() > 100 {
        assert!(ratio < 2.0, "requests took {ratio:.2} times as long");
    }
    world.end().await;
}

#[tokio::test]
async fn one_server_serves_a_version_and_the_one_before_and_no_older_one() {
    let (world, database) = World::start_alone(Arc::new(SystemClock), &[]).await;
    let psql = psql_of(&database).await;
    let set = set_of([column(1)]);
    let canaries = vec![world.a.slug.as_str().to_owned()];
    let options = Options { canaries, hold_after_canaries: true, ..Options::default() };
    assert_eq!(migrate(&world, &set, &options).await, Ended::Paused);
    let versions = "SELECT string_agg((schema_version = $1)::text, ',' ORDER BY id) FROM control.tenants";
    let versions: String = psql.query_one(versions, &[&version(1)]).await.unwrap().get(0);
    assert_eq!(versions, "true,false");
    for client in [world.owner(), world.other_owner()] {
        client.data("{ books(first: 1) { nodes { id } } }", json!({})).await;
    }

    // One that this release does not work on is not served: its columns may not be there.
    psql.execute("UPDATE control.tenants SET schema_version = '20260101000001' WHERE id = $1", &[&world.b.id.0])
        .await
        .unwrap();
    let refused = async {
        while world.other_owner().gql("{ books(first: 1) { nodes { id } } }", json!({})).await.code()
            != "SERVICE_UNAVAILABLE"
        {}
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("the server hears of it");
    world.owner().data("{ books(first: 1) { nodes { id } } }", json!({})).await;
    world.end().await;
}
