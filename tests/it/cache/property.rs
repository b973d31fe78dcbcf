//! Random writes and reads over two servers and a Redis that comes and goes: no answer is older than is promised, and never
//! another tenant's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use futures_util::future::join_all;
use redis::AsyncCommands as _;
use serde_json::{Value, json};
use shelfwise::cache::Reads;
use shelfwise::db::schema::tenant::books;
use shelfwise::db::{DbError, TenantTx};
use shelfwise::kernel::actor::{Actor, Role};
use shelfwise::kernel::ids::{BookId, base32_encode};
use shelfwise::kernel::news::{Fact, Topic};
use shelfwise::kernel::tenant::TenantCtx;
use shelfwise::tenant::catalog::books::service::book_by_id;
use uuid::Uuid;

use super::{cache, keeping, listens, settled, twin_of, until};
use crate::harness::World;
use crate::harness::chance::{Random, dropped_after};
use crate::harness::cluster::psql_of;
use crate::harness::redis::RedisServer;

/// Books of each shop; both shops' have the same ids.
const BOOKS: u128 = 3;

/// Who writes and reads at each server.
const ACTORS: usize = 4;

/// What each does.
const ACTS: usize = 250;

/// Where the copies of a shop's books begin, so that an answer tells whose it is.
const COPIES: [i32; 2] = [1_000, 500_000];

/// How old an answer may be that another server has changed. Servers of this test do not die, so they hear it in a moment or
/// trust themselves for a second after what they have heard.
const AGE_MAX: Duration = Duration::from_secs(2);

/// A book of a shop.
type Place = (usize, u128);

/// When a book got so many copies: when its writer was answered, and at which server.
type Writes = Mutex<HashMap<(Place, i32), (Instant, usize)>>;

struct Run {
    servers: [World; 2],
    writes: Writes,
    done: AtomicUsize,
    /// Reads that were answered with something older than the newest, within what is promised.
    outdated: AtomicUsize,
}

impl Run {
    fn shop(&self, server: usize, shop: usize) -> Arc<TenantCtx> {
        let World { a, b, .. } = &self.servers[server];
        Arc::clone(if shop == 0 { a } else { b })
    }

    /// Adds a copy as what is below the services does, which tells of it by itself.
    async fn write(&self, server: usize, place: Place) {
        let session = self.servers[server].app.services.tenants.session(self.shop(server, place.0));
        let id = Uuid::from_u128(place.1);
        let work = async |tx: &mut TenantTx| {
            let update = diesel::update(books::table.filter(books::id.eq(id)));
            let update = update.set((books::stock.eq(books::stock + 1), books::version.eq(books::version + 1)));
            tx.tell(Fact::new(Topic::Book, id));
            tx.one::<_, i32, _>(update.returning(books::stock)).await
        };
        let copies = session.write::<_, DbError>(work).await.unwrap();
        session.finish().await;
        self.writes.lock().unwrap().insert((place, copies), (Instant::now(), server));
    }

    /// Adds a copy as clients do, who know nothing of what is told.
    async fn mutate(&self, server: usize, place: Place) {
        let client = self.servers[server].user(&self.shop(server, place.0), Role::Owner);
        let refusing = self.servers[server].user(&self.shop(server, place.0), Role::Owner);
        let refusing = refusing.with_header("cache-control", "no-cache");
        let id = BookId(Uuid::from_u128(place.1)).to_string();
        let update = "mutation($id: ID!, $version: Int!, $stock: Int!) {
            bookUpdate(id: $id, version: $version, input: { stock: $stock }) { book { stock } userErrors { code } } }";
        loop {
            let book = &refusing.data("query($id: ID!) { book(id: $id) { stock version } }", json!({ "id": id })).await
                ["book"];
            let copies = i32::try_from(book["stock"].as_i64().unwrap()).unwrap() + 1;
            let variables = json!({ "id": id, "version": book["version"], "stock": copies });
            let payload = &client.data(update, variables).await["bookUpdate"];
            if payload["userErrors"] == json!([]) {
                assert_eq!(payload["book"]["stock"], copies);
                self.writes.lock().unwrap().insert((place, copies), (Instant::now(), server));
                break;
            }
            // Somebody was faster.
            assert_eq!(payload["userErrors"][0]["code"], "VERSION_CONFLICT", "{payload}");
        }
    }

    async fn read(&self, server: usize, place: Place, polls: u32) {
        let started = Instant::now();
        let session = Arc::new(self.servers[server].app.services.tenants.session(self.shop(server, place.0)));
        let reads = Reads::new(Arc::clone(&session), Some(cache(&self.servers[server])));
        let id = BookId(Uuid::from_u128(place.1));
        let Some(found) = dropped_after(polls, book_by_id(&reads, &Actor::System, id)).await else { return };
        session.finish().await;
        self.judge(server, place, found.unwrap().unwrap().stock, started);
    }

    /// Whether a read that began at a time may be answered so.
    fn judge(&self, server: usize, place: Place, copies: i32, started: Instant) {
        let of = usize::from(copies >= COPIES[1]);
        assert_eq!(of, place.0, "an answer of another shop: {copies}");
        let writes = self.writes.lock().unwrap();
        let Some((written_at, writer)) = writes.get(&(place, copies + 1)) else { return };
        let age = started.saturating_duration_since(*written_at);
        if age.is_zero() {
            return;
        }
        self.outdated.fetch_add(1, Ordering::Relaxed);
        assert_ne!(*writer, server, "who has written reads something older: {copies}, {age:?}");
        assert!(age < AGE_MAX, "{age:?} too old: {copies}");
    }

    async fn act(&self, server: usize, mut random: Random) {
        for _ in 0..ACTS {
            let place = (random.index(2), u128::from(random.below(BOOKS as u64)) + 1);
            match random.below(16) {
                0 => self.write(server, place).await,
                1 => self.mutate(server, place).await,
                2 | 3 => self.read(server, place, u32::try_from(random.below(8)).unwrap()).await,
                _ => self.read(server, place, u32::MAX).await,
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What becomes of Redis: it is gone, empty when it is back, or does not answer for a while.
    async fn chaos(&self, redis: &mut RedisServer, mut random: Random) {
        let all = 2 * ACTORS * ACTS;
        let pause = async |random: &mut Random| {
            let until_done = self.done.load(Ordering::Relaxed) + 20 + random.index(120);
            until("it goes on", async || self.done.load(Ordering::Relaxed) >= until_done.min(all)).await;
        };
        while self.done.load(Ordering::Relaxed) < all {
            pause(&mut random).await;
            match random.below(3) {
                0 => {
                    redis.kill();
                    pause(&mut random).await;
                    redis.restart().await;
                }
                1 => {
                    redis.freeze();
                    pause(&mut random).await;
                    redis.thaw();
                }
                _ => {}
            }
        }
    }

    /// The copies of a book as the database has them.
    async fn copies(&self, database: &str, (shop, id): Place) -> i32 {
        let query = format!(r#"SELECT stock FROM "{}".books WHERE id = $1"#, self.shop(0, shop).schema);
        psql_of(database).await.query_one(&query, &[&Uuid::from_u128(id)]).await.unwrap().get(0)
    }

    /// Whether Redis has nothing of a book, or what the database has.
    async fn is_right_in_redis(&self, redis: &RedisServer, (shop, id): Place, copies: i32) -> bool {
        let tenant = base32_encode(self.shop(0, shop).id.0);
        let mut line = redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let place = format!("shelfwise:cache:{tenant}:book:1:{id:x}");
        let sign = format!("shelfwise:cache:{tenant}:sign");
        let (all, mine, kept): (Option<String>, Option<String>, Option<String>) =
            line.mget(&["shelfwise:cache:sign", &sign, &place]).await.unwrap();
        let signs = all.unwrap_or_default() + &mine.unwrap_or_default();
        let Some(kept) = kept.filter(|kept| kept.starts_with(&signs)) else { return true };
        let value: Value = serde_json::from_str(kept.split_once('\n').unwrap().1).unwrap();
        value["stock"] == copies
    }
}

/// Answers how many reads were answered by Redis.
async fn run(seed: u64) -> u64 {
    let mut redis = RedisServer::start().await;
    let (one, database) = keeping(&[("REDIS_URL", &redis.url()), ("REDIS_TIMEOUT_MS", "50")]).await;
    let psql = psql_of(&database).await;
    for (shop, copies) in [(&one.a, COPIES[0]), (&one.b, COPIES[1])] {
        for id in 1..=BOOKS {
            let insert = format!(
                r#"INSERT INTO "{}".books (id, title, title_key, authors_key, stock, created_at, updated_at)
                   VALUES ($1, $2, $2, '', $3, now(), now())"#,
                shop.schema
            );
            psql.execute(&insert, &[&Uuid::from_u128(id), &format!("Book {id}"), &copies]).await.unwrap();
        }
    }
    let other = twin_of(&one).await;
    // How late they hear is what this is about.
    for server in [&one, &other] {
        listens(server).await;
    }
    let run = Run {
        servers: [one, other],
        writes: Mutex::default(),
        done: AtomicUsize::new(0),
        outdated: AtomicUsize::new(0),
    };
    let actors = (0..2 * ACTORS).map(|actor| run.act(actor % 2, Random::new(seed, actor as u64)));
    tokio::join!(join_all(actors), run.chaos(&mut redis, Random::new(seed, 99)));

    redis.thaw();
    for server in &run.servers {
        settled(server).await;
    }
    for place in (0..2).flat_map(|shop| (1..=BOOKS).map(move |id| (shop, id))) {
        let copies = run.copies(&database, place).await;
        assert!(run.is_right_in_redis(&redis, place, copies).await, "{place:?}: Redis kept something older");
        for server in 0..2 {
            let read = async || {
                let session = Arc::new(run.servers[server].app.services.tenants.session(run.shop(server, place.0)));
                let reads = Reads::new(Arc::clone(&session), Some(cache(&run.servers[server])));
                let found = book_by_id(&reads, &Actor::System, BookId(Uuid::from_u128(place.1))).await;
                session.finish().await;
                found.unwrap().unwrap().stock == copies
            };
            until("all is told", read).await;
        }
    }
    let counts = run.servers.each_ref().map(|server| super::counts(server, shelfwise::cache::keys::Name::Book));
    assert!(counts.iter().all(|(hits, ..)| *hits > 0), "the cache was not used: {counts:?}");
    println!("seed {seed}: {counts:?}, {} outdated as promised", run.outdated.load(Ordering::Relaxed));
    for server in &run.servers {
        server.assert_nothing_borrowed().await;
    }
    for server in run.servers {
        server.end().await;
    }
    counts[0].1 + counts[1].1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_is_older_than_its_promise_and_none_is_another_shops() {
    let mut shared = 0;
    for seed in [1, 2, 3] {
        shared += run(seed).await;
    }
    assert!(shared > 0, "Redis was not used");
}
