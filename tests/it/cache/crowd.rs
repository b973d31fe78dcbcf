//! Many who ask at once.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use shelfwise::cache::keys::Name;

use super::{counts, keeping, title};
use crate::graphql_helpers::book;
use crate::harness::chance::{Random, dropped_after};

#[tokio::test]
async fn one_reads_for_all_who_ask_meanwhile() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Emma" })).await;
    let answers = join_all((0..50).map(|_| title(&owner, &id))).await;
    assert!(answers.iter().all(|(title, _)| title == "Emma"));
    let (hits, _, misses) = counts(&world, Name::Book);
    assert_eq!((hits, misses), (49, 1));
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
    let answers = join_all((0..40).map(|index| owner.data(&queries[index % 4], json!({})))).await;
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
            let reads = shelfwise::cache::Reads::new(Arc::clone(&session), Some(cache));
            let actor = shelfwise::kernel::actor::Actor::System;
            let found = shelfwise::tenant::catalog::books::service::book_by_id(&reads, &actor, id).await;
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
