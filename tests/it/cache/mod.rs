//! What is kept, and when it is outdated.
//!
//! Each test has a database of its own: a server of another test that ends is missed by all who share its database, and
//! they forget what they kept.

mod command;
mod crowd;
mod promises;
mod property;
mod queries;
mod shared;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shelfwise::cache::Cache;
use shelfwise::db::listen::Liveness;
use shelfwise::kernel::clock::SystemClock;
use shelfwise::kernel::ids::BookId;

use crate::harness::cluster::psql_of;
use crate::harness::world::AMPLE_PLANS;
use crate::harness::{Client, World};

/// How soon what must happen soon has happened: far less where nothing else runs on the machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Answers are kept for longer than any test takes.
const KEPT: (&str, &str) = ("CACHE_TTL_SECONDS", "600");

/// A server that keeps answers, and its database. Who counts does so whatever the machine is at: the server takes itself to hear
/// others until it finds that it does not.
pub async fn keeping(settings: &[(&str, &str)]) -> (World, String) {
    let settings: Vec<_> = settings.iter().copied().chain([KEPT]).collect();
    let (world, database) = World::start_alone(Arc::new(SystemClock), &settings).await;
    // Who waits for something to be so asks often.
    psql_of(&database).await.batch_execute(AMPLE_PLANS).await.unwrap();
    world.context_when(|context| context.limits.requests_per_minute > 1_000_000).await;
    settled(&world).await;
    hears(&world);
    (world, database)
}

/// Another server beside it.
pub async fn twin_of(world: &World) -> World {
    let twin = world.twin().await;
    settled(&twin).await;
    hears(&twin);
    settled(world).await;
    twin
}

/// Has a server take itself to hear others for as long as no connection breaks, however late its echoes are.
fn hears(world: &World) {
    for liveness in listeners(world) {
        liveness.hear(Instant::now() + Duration::from_secs(3_600));
    }
}

/// Has a server find out again whether it hears others.
pub async fn listens(world: &World) {
    listeners(world).for_each(Liveness::lose);
    settled(world).await;
}

fn listeners(world: &World) -> impl Iterator<Item = &Liveness> {
    let news = &world.app.services.news;
    std::iter::once(news.notifications()).chain(news.redis())
}

/// Waits until something is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let so = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, so).await.unwrap_or_else(|_| panic!("{what}"));
}

/// The cache of a server.
pub fn cache(world: &World) -> &Cache {
    world.app.services.cache.as_ref().unwrap()
}

/// Waits until a server hears others and owes Redis nothing.
pub async fn settled(world: &World) {
    until("it hears and has settled", async || world.app.services.news.is_heard() && cache(world).is_settled()).await;
}

/// How requests for a family have ended: known, known to Redis, read.
pub fn counts(world: &World, family: shelfwise::cache::keys::Name) -> (u64, u64, u64) {
    let counts = world.app.metrics.cache.of(family);
    (counts.hits.get(), counts.shared.get(), counts.misses.get())
}

/// A book's title by its id, and how many statements it took.
pub async fn title(client: &Client<'_>, id: &str) -> (Value, u64) {
    let answer = client.gql("query($id: ID!) { book(id: $id) { title } }", json!({ "id": id })).await;
    assert_eq!(answer.body.get("errors"), None);
    (answer["/book/title"].clone(), answer.sql().0)
}

/// Gives a book another title.
pub async fn retitle(client: &Client<'_>, id: &str, version: i32, title: &str) {
    let update = "mutation($id: ID!, $version: Int!, $title: String!) {
        bookUpdate(id: $id, version: $version, input: { title: $title }) { book { title } userErrors { code } } }";
    let data = client.data(update, json!({ "id": id, "version": version, "title": title })).await;
    assert_eq!(data["bookUpdate"]["book"]["title"], title, "{data}");
}

/// Changes a book's title past all servers.
pub async fn retitle_by_hand(world: &World, database: &str, id: &str, title: &str) {
    let id: BookId = id.parse().unwrap();
    let update = format!(r#"UPDATE "{}".books SET title = $1 WHERE id = $2"#, world.a.schema);
    assert_eq!(psql_of(database).await.execute(&update, &[&title, &id.0]).await.unwrap(), 1);
}
