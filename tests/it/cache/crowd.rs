//! Many who ask at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use serde_json::json;
use shelfwise::app::urls;
use shelfwise::cache::keys::Name;
use shelfwise::cache::{Cache, Reads};
use shelfwise::config::cache::CacheConfig;
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::db::{TenantDb, TenantSession};
use shelfwise::kernel::actor::Actor;
use shelfwise::kernel::ids::BookId;
use shelfwise::tenant::catalog::books::service::book_by_id;

use super::{SOON, counts, keeping};
use crate::graphql_helpers::book;
use crate::harness::World;
use crate::harness::chance::{Random, dropped_after};

/// A cache of its own over a server's, whose callers wait so long for each other.
fn patient(world: &World, patience: Duration) -> Cache {
    let services = &world.app.services;
    let config = CacheConfig { ttl: Duration::from_secs(600), bytes_max: 1 << 20, patience };
    Cache::new(config, &services.news, None, Arc::clone(&services.clock), world.app.metrics.cache.clone()).unwrap()
}

/// A book's title as a session of shop A reads it.
async fn read(cache: &Cache, session: &Arc<TenantSession>, id: BookId) -> String {
    let reads = Reads::new(Arc::clone(session), Some(cache));
    book_by_id(&reads, &Actor::System, id).await.unwrap().unwrap().title
}

#[tokio::test]
async fn one_reads_for_all_who_ask_meanwhile_and_they_borrow_nothing() {
    let (world, _) = keeping(&[]).await;
    let id: BookId = book(&world.owner(), json!({ "title": "Emma" })).await.parse().unwrap();
    let cache = patient(&world, SOON);
    let before = counts(&world, Name::Book);
    let ask = async |_| {
        let session = Arc::new(world.app.services.tenants.session(Arc::clone(&world.a)));
        assert_eq!(read(&cache, &session, id).await, "Emma");
        let has_begun = session.is_reading().await;
        session.finish().await;
        u64::from(has_begun)
    };
    let transactions: u64 = join_all((0..500).map(ask)).await.into_iter().sum();
    let (hits, _, misses) = counts(&world, Name::Book);
    assert_eq!((hits - before.0, misses - before.2, transactions), (499, 1, 1));
    world.assert_nothing_borrowed().await;
    world.end().await;
}

#[tokio::test]
async fn nobody_who_has_a_connection_waits_and_nobody_waits_for_long() {
    let (world, _) = keeping(&[]).await;
    let id: BookId = book(&world.owner(), json!({ "title": "Emma" })).await.parse().unwrap();
    // Whose turn it is gets no connection.
    let target = Target::from_url(urls(&world.app.config).unwrap().runtime.expose_secret()).unwrap();
    let narrow = TenantDb::new(Pool::new(target, 1, 2 * SOON, 10));
    let session = |tenants: &TenantDb| Arc::new(tenants.session(Arc::clone(&world.a)));
    let holder = session(&narrow);
    holder.read().await.unwrap();
    for (patience, is_reading) in [(2 * SOON, true), (Duration::from_millis(1), false)] {
        let cache = patient(&world, patience);
        let (first, second) = (session(&narrow), session(&world.app.services.tenants));
        if is_reading {
            second.read().await.unwrap();
        }
        let found = tokio::select! {
            biased;
            _ = read(&cache, &first, id) => panic!("there is no connection"),
            found = tokio::time::timeout(SOON, read(&cache, &second, id)) => found,
        };
        assert_eq!(found.unwrap(), "Emma");
        second.finish().await;
    }
    holder.finish().await;
    world.assert_nothing_borrowed().await;
    world.end().await;
}

#[tokio::test]
async fn who_waits_and_gets_a_connection_meanwhile_reads_on_it() {
    let (world, _) = keeping(&[]).await;
    let id: BookId = book(&world.owner(), json!({ "title": "Emma" })).await.parse().unwrap();
    let target = Target::from_url(urls(&world.app.config).unwrap().runtime.expose_secret()).unwrap();
    let narrow = TenantDb::new(Pool::new(target, 1, 2 * SOON, 10));
    let session = |tenants: &TenantDb| Arc::new(tenants.session(Arc::clone(&world.a)));
    let (holder, first, second) = (session(&narrow), session(&narrow), session(&world.app.services.tenants));
    holder.read().await.unwrap();
    let cache = patient(&world, 2 * SOON);
    let found = async {
        let (found, _) = tokio::join!(read(&cache, &second, id), async { second.read().await.unwrap() });
        found
    };
    let found = tokio::select! {
        biased;
        _ = read(&cache, &first, id) => panic!("there is no connection"),
        found = tokio::time::timeout(SOON, found) => found,
    };
    assert_eq!(found.unwrap(), "Emma");
    second.finish().await;
    holder.finish().await;
    world.assert_nothing_borrowed().await;
    world.end().await;
}

#[tokio::test]
async fn who_waits_for_each_others_answers_does_not_wait_for_ever() {
    let (world, _) = keeping(&[("DB_POOL_MAX", "1")]).await;
    let owner = world.owner();
    let ids = join_all((0..4).map(|index| book(&owner, json!({ "title": format!("Book {index}") })))).await;
    let query = |first: usize| {
        let field =
            |index: usize| format!("b{index}: book(id: \"{}\") {{ title authors {{ nodes {{ name }} }} }}", ids[index]);
        format!("{{ {} }}", (0..4).map(|index| field((first + index) % 4)).collect::<Vec<_>>().join(" "))
    };
    let queries: Vec<String> = (0..4).map(query).collect();
    // As many as a shop may have under way.
    let answers = join_all((0..32).map(|index| owner.data(&queries[index % 4], json!({})))).await;
    assert!(answers.iter().all(|data| data["b3"]["title"] == "Book 3"));
    world.assert_nothing_borrowed().await;
    world.end().await;
}

#[tokio::test]
async fn who_goes_away_while_reading_leaves_it_to_the_next() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let ids = join_all((0..3).map(|index| book(&owner, json!({ "title": format!("Book {index}") })))).await;
    let cache = super::cache(&world);
    let mut random = Random::new(7, 0);
    for round in 0..200 {
        let id = ids[random.index(3)].parse().unwrap();
        let session = || Arc::new(world.app.services.tenants.session(Arc::clone(&world.a)));
        let read = async || {
            let session = session();
            let reads = Reads::new(Arc::clone(&session), Some(cache));
            let found = book_by_id(&reads, &Actor::System, id).await;
            session.finish().await;
            found.unwrap().unwrap().id
        };
        let polls = u32::try_from(random.below(6)).unwrap();
        let (_, whole) = tokio::join!(dropped_after(polls, read()), read());
        assert_eq!(whole, id, "round {round}");
        world.app.services.news.miss();
    }
    world.assert_nothing_borrowed().await;
    world.end().await;
}
