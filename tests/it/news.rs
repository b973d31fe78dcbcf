//! What is told of changes: by whom, to whom, and over what.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shelfwise::db::news::Source;
use shelfwise::db::{DbError, TenantTx};
use shelfwise::kernel::ids::TenantId;
use shelfwise::kernel::news::{Bulletin, FACTS_MAX, Fact, Told, Topic};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::graphql_helpers::book;
use crate::harness::redis::RedisServer;
use crate::harness::{World, world};
use crate::orders::{act, order, stocked};

/// How soon another replica must have heard: far less where nothing else runs on the machine.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// What a replica is told.
#[derive(Debug, Clone, PartialEq)]
enum Heard {
    Of(TenantId, Told, Source),
    Gap,
}

/// An ear at a replica, about one tenant.
struct Ear(mpsc::UnboundedReceiver<Heard>);

impl Ear {
    fn at(world: &World) -> Self {
        let (heard, ear) = mpsc::unbounded_channel();
        world.app.services.news.attach(Arc::new(move |bulletin: Bulletin<'_>, source| {
            let _ = heard.send(match bulletin {
                Bulletin::Of(tenant, told) => Heard::Of(tenant, told.clone(), source),
                Bulletin::Gap => Heard::Gap,
            });
        }));
        Self(ear)
    }

    /// Waits until a fact is heard, and answers where it came from. Tests share a database, so others are heard as well.
    async fn hears(&mut self, tenant: TenantId, fact: Fact) -> Source {
        let hears = async {
            loop {
                match self.0.recv().await.unwrap() {
                    Heard::Of(of, told, source) if of == tenant && told.has(fact) => return source,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(HEARD_WITHIN, hears).await.expect("it is told")
    }

    /// What has been heard of a tenant so far.
    fn so_far(&mut self, tenant: TenantId) -> Vec<Heard> {
        let heard = std::iter::from_fn(|| self.0.try_recv().ok());
        heard.filter(|heard| matches!(heard, Heard::Of(of, ..) if *of == tenant)).collect()
    }
}

/// Waits until a replica hears others.
async fn until_heard(world: &World, is_heard: bool) {
    let heard = async {
        while world.app.services.news.is_heard() != is_heard {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HEARD_WITHIN, heard).await.expect("the replica notices");
}

fn fact(text: &str) -> Fact {
    text.parse().unwrap()
}

#[tokio::test]
async fn who_writes_is_answered_after_it_was_told_here() {
    world(async |world| {
        let mut ear = Ear::at(world);
        let id = book(&world.owner(), json!({ "title": "Emma" })).await;
        let heard = ear.so_far(world.a.id);
        let [Heard::Of(_, told, Source::Here)] = &heard[..] else { panic!("{heard:?}") };
        let book = fact(&id);
        assert!(told.has(book) && told.has(Fact::new(Topic::Stock, book.id)) && !told.is_about(Topic::Order));
        let refused =
            "mutation($id: ID!) { bookUpdate(id: $id, version: 9, input: { title: \"x\" }) { userErrors { code } } }";
        world.owner().data(refused, json!({ "id": id })).await;
        world.owner().data("{ viewer { user { name } } }", json!({})).await;
        assert_eq!(ear.so_far(world.a.id), [], "nothing has changed");
    })
    .await;
}

#[tokio::test]
async fn an_order_that_moves_copies_tells_its_books() {
    world(async |world| {
        let owner = world.owner();
        let (emma, persuasion) = (stocked(&owner, "Emma", 5).await, stocked(&owner, "Persuasion", 5).await);
        let id = order(&owner, &[(&emma, 1), (&persuasion, 1)]).await;
        let mut ear = Ear::at(world);
        for move_ in ["orderPlace", "orderCancel"] {
            act(&owner, move_, &id, if move_ == "orderCancel" { ", reason: FRAUD" } else { "" }).await;
            let heard = ear.so_far(world.a.id);
            let [Heard::Of(_, told, _)] = &heard[..] else { panic!("{heard:?}") };
            assert!([&id, &emma, &persuasion].into_iter().all(|id| told.has(fact(id))), "{move_}: {told:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_taken_back_is_not_told_and_too_much_is_anything() {
    world(async |world| {
        let mut ear = Ear::at(world);
        let session = world.app.services.tenants.session(Arc::clone(&world.a));
        let tell = |tx: &mut TenantTx, count: usize| {
            (0..count).for_each(|id| tx.tell(Fact::new(Topic::Book, Uuid::from_u128(id as u128))));
        };
        let failing = async |tx: &mut TenantTx| {
            tell(tx, 1);
            Err::<(), DbError>(DbError::Busy)
        };
        session.write(failing).await.unwrap_err();
        let undone = async |tx: &mut TenantTx, ()| {
            tell(tx, 1);
            tx.undo().await
        };
        session.write_after::<_, _, DbError>(async |_| Ok(()), undone).await.unwrap();
        assert_eq!(ear.so_far(world.a.id), []);
        let much = async |tx: &mut TenantTx| {
            tell(tx, FACTS_MAX + 1);
            Ok::<_, DbError>(())
        };
        session.write(much).await.unwrap();
        session.finish().await;
        assert_eq!(ear.so_far(world.a.id), [Heard::Of(world.a.id, Told::Anything, Source::Here)]);
    })
    .await;
}

#[tokio::test]
async fn another_replica_is_told_by_postgresql() {
    world(async |world| {
        let other = World::beside(world).await;
        until_heard(&other, true).await;
        let mut ear = Ear::at(&other);
        let id = book(&world.owner(), json!({ "title": "Emma" })).await;
        assert_eq!(ear.hears(world.a.id, fact(&id)).await, Source::Elsewhere);
        assert_eq!(ear.so_far(world.b.id), []);
        other.end().await;
    })
    .await;
}

#[tokio::test]
async fn replicas_tell_each_other_whatever_becomes_of_redis() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str())];
    let (one, other) = (World::start(&settings).await, World::start(&settings).await);
    until_heard(&one, true).await;
    until_heard(&other, true).await;
    let mut ear = Ear::at(&other);
    let owner = one.owner();

    let id = book(&owner, json!({ "title": "Over Redis" })).await;
    assert_eq!(ear.hears(one.a.id, fact(&id)).await, Source::Elsewhere);

    redis.kill();
    let id = book(&owner, json!({ "title": "Over PostgreSQL" })).await;
    assert_eq!(ear.hears(one.a.id, fact(&id)).await, Source::Elsewhere);
    until_heard(&other, false).await;

    redis.restart().await;
    until_heard(&other, true).await;
    let id = book(&owner, json!({ "title": "Over either" })).await;
    assert_eq!(ear.hears(one.a.id, fact(&id)).await, Source::Elsewhere);
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn a_replica_that_was_deaf_is_told_so() {
    let mut redis = RedisServer::start().await;
    let url = redis.url();
    let world = World::start(&[("REDIS_URL", url.as_str())]).await;
    until_heard(&world, true).await;
    redis.freeze();
    until_heard(&world, false).await;
    let mut ear = Ear::at(&world);
    redis.thaw();
    until_heard(&world, true).await;
    redis.kill();
    until_heard(&world, false).await;
    redis.restart().await;
    until_heard(&world, true).await;
    let gaps = std::iter::from_fn(|| ear.0.try_recv().ok()).filter(|heard| *heard == Heard::Gap).count();
    assert!(gaps > 0, "what was told meanwhile may have been missed");
    world.end().await;
}
