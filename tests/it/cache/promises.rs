//! How old an answer may be, whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::IntoSql as _;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use secrecy::ExposeSecret as _;
use serde_json::json;
use shelfwise::app::urls;
use shelfwise::cache::Reads;
use shelfwise::db::listen::{Liveness, Voice, listen, listen_about};
use shelfwise::db::pool::Pool;
use shelfwise::db::tls::Target;
use shelfwise::db::{DbError, TenantDb, TenantTx};
use shelfwise::kernel::actor::Actor;
use shelfwise::kernel::ids::BookId;
use shelfwise::tenant::catalog::books::service::book_by_id;
use tokio::sync::watch;

use super::{cache, keeping, retitle, retitle_by_hand, title, twin_of, until};
use crate::graphql_helpers::book;
use crate::harness::World;
use crate::harness::redis::RedisServer;

/// Where a server listens for what others notify.
fn listen_target(world: &World) -> Target {
    Target::from_url(urls(&world.app.config).unwrap().listen.expose_secret()).unwrap()
}

/// Changes a title as a server does, but for the telling.
async fn retitle_untold(world: &World, id: BookId, title: &str) {
    let target = Target::from_url(urls(&world.app.config).unwrap().runtime.expose_secret()).unwrap();
    let untold = TenantDb::new(Pool::new(target, 1, std::time::Duration::from_secs(5), 10));
    let session = untold.session(Arc::clone(&world.a));
    let update = async |tx: &mut TenantTx| {
        let update = diesel::sql_query("UPDATE books SET title = $1 WHERE id = $2");
        tx.execute(update.bind::<Text, _>(title).bind::<SqlUuid, _>(id.0)).await
    };
    assert_eq!(session.write::<_, DbError>(update).await.unwrap(), 1);
}

/// Hears who calls, as any server does.
fn witness(world: &World, on_voice: impl Fn(Voice<'_>) + Send + Sync + 'static) -> tokio::task::JoinHandle<()> {
    let target = listen_target(world);
    tokio::spawn(async move {
        let (_stays, leave) = watch::channel(false);
        let name = "witness".to_owned();
        listen_about(target, "shelfwise_test", name, Liveness::default(), leave, |_| {}, on_voice).await;
    })
}

#[tokio::test]
async fn another_server_reads_it_as_soon_as_it_has_heard() {
    let (one, _) = keeping(&[]).await;
    let other = twin_of(&one).await;
    let id = book(&one.owner(), json!({ "title": "Old" })).await;
    assert_eq!(title(&other.owner(), &id).await.0, "Old");
    assert_eq!(title(&other.owner(), &id).await.1, 0);
    retitle(&one.owner(), &id, 1, "New").await;
    until("it has heard", async || title(&other.owner(), &id).await.0 == "New").await;
    assert_eq!(title(&other.owner().with_header("cache-control", "no-cache"), &id).await.0, "New");
    other.end().await;
    one.end().await;
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_put_back_after_it() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Old" })).await;
    let book_id: BookId = id.parse().unwrap();
    let read = async |session: &Arc<_>| {
        let reads = Reads::new(Arc::clone(session), Some(cache(&world)));
        book_by_id(&reads, &Actor::System, book_id).await.unwrap().unwrap().title
    };
    let session = Arc::new(world.app.services.tenants.session(Arc::clone(&world.a)));
    // The snapshot is taken with the first statement.
    let before = session.read().await.unwrap();
    before.load::<_, i32, _>(diesel::select(1.into_sql::<diesel::sql_types::Integer>())).await.unwrap();
    retitle(&owner, &id, 1, "New").await;
    assert_eq!(read(&session).await, "Old", "as its snapshot has it");
    assert_eq!(title(&owner, &id).await, (json!("New"), 1));
    assert_eq!(read(&session).await, "New", "what is kept by now is newer");
    session.finish().await;
    world.end().await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_transaction_that_writes() {
    let (world, _) = keeping(&[]).await;
    let id: BookId = book(&world.owner(), json!({ "title": "Old" })).await.parse().unwrap();
    let session = Arc::new(world.app.services.tenants.session(Arc::clone(&world.a)));
    let moment = async |tx: &mut TenantTx| Ok::<_, DbError>(tx.moment().is_none());
    assert!(session.write(moment).await.unwrap());
    assert!(session.read().await.unwrap().moment().is_some());
    session.finish().await;
    assert_eq!(title(&world.owner(), &id.to_string()).await.0, "Old");
    world.end().await;
}

#[tokio::test]
async fn a_server_that_died_after_its_commit_is_missed() {
    let (world, _) = keeping(&[]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Old" })).await;
    let seen = Arc::new(tokio::sync::Notify::new());
    let heard = Arc::clone(&seen);
    // Somebody else who hears it proves that it can be heard.
    let ghost = "ghost-news";
    let witness = witness(&world, move |voice| {
        if voice == Voice::Other(ghost) {
            heard.notify_one();
        }
    });
    let dying =
        tokio::spawn(listen(listen_target(&world), "shelfwise_test", ghost.to_owned(), Liveness::default(), |_| {}));
    // Twice, so that the first has been heard by everybody before the second was sent.
    seen.notified().await;
    seen.notified().await;
    assert_eq!(title(&owner, &id).await.0, "Old");

    retitle_untold(&world, id.parse().unwrap(), "New").await;
    assert_eq!(title(&owner, &id).await, (json!("Old"), 0), "nobody has told");
    dying.abort();
    // And kept: what was read by who had begun before is not.
    until("it is missed", async || title(&owner, &id).await == (json!("New"), 0)).await;
    witness.abort();

    // A COMMIT that hung while the server died has come through.
    retitle_untold(&world, id.parse().unwrap(), "Late").await;
    assert_eq!(title(&owner, &id).await, (json!("New"), 0), "nobody has told");
    until("it is missed once more", async || title(&owner, &id).await.0 == "Late").await;
    world.end().await;
}

#[tokio::test]
async fn a_server_that_says_goodbye_is_not_missed_and_commits_nothing_more() {
    let (world, _) = keeping(&[]).await;
    let other = twin_of(&world).await;
    let id = book(&world.owner(), json!({ "title": "Old" })).await;
    assert_eq!(title(&world.owner(), &id).await.0, "Old");
    retitle(&other.owner(), &id, 1, "New").await;
    until("it has heard", async || title(&world.owner(), &id).await == (json!("New"), 0)).await;
    let (goodbye, noticed) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let (since, notice) = (Arc::clone(&goodbye), Arc::clone(&noticed));
    let witness = witness(&world, move |voice| match (voice, since.load(Ordering::Relaxed)) {
        (Voice::Own, 0) => notice.notify_one(),
        (Voice::Leaving(_), _) => since.store(1, Ordering::Relaxed),
        // Up to longer than it takes to miss somebody.
        (Voice::Own, times) => since.store(times + 1, Ordering::Relaxed),
        (Voice::Other(_), _) => {}
    });
    noticed.notified().await;
    let told = world.app.services.news.moments().told();
    assert!(other.app.services.news.leave().await);
    until("its goodbye is long ago", async || goodbye.load(Ordering::Relaxed) >= 9).await;
    assert_eq!(world.app.services.news.moments().told(), told, "nothing was missed");
    assert_eq!(title(&world.owner(), &id).await, (json!("New"), 0));

    let update =
        "mutation($id: ID!) { bookUpdate(id: $id, version: 2, input: { title: \"Late\" }) { book { title } } }";
    let refused = other.owner().gql(update, json!({ "id": id })).await;
    assert_eq!(refused.code(), "SERVICE_UNAVAILABLE");
    let asking = world.owner().with_header("cache-control", "no-cache");
    assert_eq!(title(&asking, &id).await.0, "New");
    witness.abort();
    other.end().await;
    world.end().await;
}

#[tokio::test]
async fn who_hears_nobody_trusts_itself_for_a_second() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let (world, database) = keeping(&[("REDIS_URL", &url)]).await;
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Old" })).await;
    title(&owner, &id).await;
    retitle_by_hand(&world, &database, &id, "New").await;
    assert_eq!(title(&owner, &id).await.0, "Old", "nobody has told");
    redis.freeze();
    until("it notices that it is deaf", async || !world.app.services.news.is_heard()).await;
    until("it does not trust itself", async || title(&owner, &id).await.0 == "New").await;
    redis.thaw();
    world.end().await;
}

#[tokio::test]
async fn nothing_is_kept_where_no_time_is_given() {
    let (world, _) =
        World::start_alone(Arc::new(shelfwise::kernel::clock::SystemClock), &[("CACHE_TTL_SECONDS", "0")]).await;
    assert!(world.app.services.cache.is_none());
    let owner = world.owner();
    let id = book(&owner, json!({ "title": "Emma" })).await;
    title(&owner, &id).await;
    assert_eq!(title(&owner, &id).await, (json!("Emma"), 1));
    world.end().await;
}
