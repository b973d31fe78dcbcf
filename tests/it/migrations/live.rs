//! Shops that work while the fleet is migrated, and versions side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use shelfwise::control::migrations::drive::{Driver, Ended, Lease};
use shelfwise::control::migrations::service::Bridge;
use shelfwise::control::migrations::{MigrationSet, Options};
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::tenant::TenantCtx;

use super::fleet::{column, migration, set_of, version};
use crate::harness::World;
use crate::harness::cluster::psql_of;
use crate::harness::world::{operator, shop};

/// Requests of each shop before the migration and during it, at least.
const REQUESTS: usize = 20;

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

/// A shop's people read and write until they are told to stop, `REQUESTS` times at least; answers how long each took.
async fn work_in(world: &World, shop: &TenantCtx, is_over: &AtomicBool, count: &AtomicUsize) -> Vec<Duration> {
    let client = world.user(shop, shelfwise::kernel::actor::Role::Owner);
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) || times.len() < REQUESTS {
        let started = Instant::now();
        if times.len() % 3 == 0 {
            let create = "mutation($title: String!) { bookCreate(input: { title: $title }) { book { id } userErrors { code } } }";
            let data = client.data(create, json!({ "title": format!("Book {}", times.len()) })).await;
            assert_eq!(data["bookCreate"]["userErrors"], json!([]));
        } else {
            client.data("{ books(first: 5) { nodes { id title category { name } } } }", json!({})).await;
        }
        times.push(started.elapsed());
        count.fetch_add(1, Ordering::Relaxed);
    }
    times
}

#[tokio::test]
async fn no_request_fails_while_the_fleet_is_migrated() {
    let (world, _) = World::start_alone(Arc::new(SystemClock), &[("DB_POOL_MAX", "8")]).await;
    let others = [shop(&world.app, "c").await, shop(&world.app, "d").await];
    let shops = [&world.a, &world.b, &others[0], &others[1]];
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
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let fleet = async {
        // All are at work when it begins.
        while count.load(Ordering::Relaxed) < shops.len() * 2 {
            tokio::task::yield_now().await;
        }
        let ended = migrate(&world, &set, &Options { attempts_max: 100, ..Options::default() }).await;
        is_over.store(true, Ordering::Relaxed);
        ended
    };
    let people = shops.map(|shop| work_in(&world, shop, &is_over, &count));
    let (ended, times) = tokio::join!(fleet, futures_util::future::join_all(people));
    assert_eq!(ended, Ended::Completed);
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort_unstable();
    println!("{} requests, p99 {:?}", times.len(), times[times.len() * 99 / 100]);
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
