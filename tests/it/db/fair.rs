//! Admission to the pool between tenants: none has everything, who stops waiting is in nobody's way, and who had better come
//! later is told so. In which order they are served is a matter of `db::fair` alone, and tested there.

use std::sync::{Arc, Mutex};

use diesel::sql_types::Text;
use serde_json::json;
use shelfwise::app::App;
use shelfwise::db::{DbError, TenantSession};
use shelfwise::kernel::tenant::TenantCtx;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::harness::world::{app, shop, world_with};

/// A shop's operation that has a connection.
async fn holding(app: &App, shop: &Arc<TenantCtx>) -> TenantSession {
    let session = app.services.tenants.session(Arc::clone(shop));
    drop(session.read().await.unwrap());
    session
}

/// A shop's operation that waits for a connection, notes when it has it, and gives it back.
async fn waiting(
    app: &Arc<App>,
    shop: &Arc<TenantCtx>,
    order: &Arc<Mutex<Vec<&'static str>>>,
    name: &'static str,
) -> JoinHandle<()> {
    let before = app.services.tenants.pool_state().waiting;
    let (session, order) = (app.services.tenants.session(Arc::clone(shop)), Arc::clone(order));
    let task = tokio::spawn(async move {
        drop(session.read().await.unwrap());
        order.lock().unwrap().push(name);
        session.finish().await;
    });
    while app.services.tenants.pool_state().waiting == before {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test]
async fn one_shop_never_has_every_connection() {
    let app = app(&[("DB_POOL_MAX", "8"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")]);
    let (hot, quiet) = (shop(&app, "h").await, shop(&app, "q").await);
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(holding(&app, &hot).await);
    }
    let order = Arc::default();
    let seventh = waiting(&app, &hot, &order, "hot").await;
    assert_eq!(app.services.tenants.pool_state().permits_free, 2, "two are for others");
    // At once, and again and again.
    for _ in 0..5 {
        holding(&app, &quiet).await.finish().await;
    }
    assert!(order.lock().unwrap().is_empty());
    held.pop().unwrap().finish().await;
    seventh.await.unwrap();
}

#[tokio::test]
async fn whoever_stops_waiting_is_in_nobodys_way() {
    let app = app(&[("DB_POOL_MAX", "1"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")]);
    let (one, two) = (shop(&app, "o").await, shop(&app, "t").await);
    let order = Arc::default();
    for round in 0..20 {
        let held = holding(&app, &one).await;
        let mut gone = Vec::new();
        for _ in 0..3 {
            gone.push(waiting(&app, &one, &order, "gone").await);
            gone.push(waiting(&app, &two, &order, "gone").await);
        }
        let stays = waiting(&app, &two, &order, "stays").await;
        // Some leave while they wait, some as their turn comes.
        let (before, after) = gone.split_at(round % 6);
        before.iter().for_each(JoinHandle::abort);
        held.finish().await;
        drop(held);
        after.iter().for_each(JoinHandle::abort);
        stays.await.unwrap();
        for task in gone {
            let _ = task.await;
        }
        let state = app.services.tenants.pool_state();
        assert_eq!((state.waiting, state.tenants_waiting), (0, 0));
    }
    assert_eq!(order.lock().unwrap().iter().filter(|name| **name == "stays").count(), 20);
}

#[tokio::test]
async fn a_full_queue_turns_away_at_once_and_has_room_for_another_shop() {
    let app = app(&[("DB_POOL_MAX", "1"), ("DB_QUEUE_MAX", "4"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")]);
    let (hot, quiet) = (shop(&app, "h").await, shop(&app, "q").await);
    let held = holding(&app, &hot).await;
    let order = Arc::default();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        tasks.push(waiting(&app, &hot, &order, "hot").await);
    }
    let refused = app.services.tenants.session(Arc::clone(&hot)).read().await.err();
    assert!(matches!(refused, Some(DbError::Overloaded { .. })), "{refused:?}");
    tasks.push(waiting(&app, &quiet, &order, "quiet").await);
    held.finish().await;
    drop(held);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(app.metrics.admission.shed.with_label_values(&["tenant_queue_full"]).get(), 1);
}

#[tokio::test]
async fn who_gets_no_connection_is_answered_503_with_a_time_and_nothing_is_done() {
    let settings = [("DB_POOL_MAX", "1"), ("DB_QUEUE_MAX", "1"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")];
    world_with(&settings, async |world| {
        // So that who asks is known, and it is the operation itself that wants a connection.
        world.owner().data("{ books { totalCount } }", json!({})).await;
        let held = holding(&world.app, &world.a).await;
        let order = Arc::default();
        let waits = waiting(&world.app, &world.b, &order, "waits").await;
        let create = "mutation { authorCreate(input: { name: \"a Nobody\" }) { author { id } userErrors { code } } }";
        for (document, accept) in [
            ("{ books { totalCount } }", "application/graphql-response+json"),
            ("{ books { totalCount } }", "application/json"),
            (create, "application/graphql-response+json"),
            (create, "application/json"),
        ] {
            let response = world.owner().with_header("accept", accept).gql(document, json!({})).await;
            response.assert_refused(503, "SERVICE_UNAVAILABLE");
            let seconds: u64 = response.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!(seconds >= 1);
            assert_eq!(response.body["errors"][0]["extensions"]["retryAfterSeconds"], json!(seconds));
            assert!(!response.body.to_string().contains("connection"), "no internals: {}", response.body);
        }
        held.finish().await;
        drop(held);
        waits.await.unwrap();
        let count = world.owner().data("{ authors { totalCount } }", json!({})).await;
        assert_eq!(count["authors"]["totalCount"], json!(0));
        let metrics = world.http.get(format!("{}/metrics", world.base_url)).send().await.unwrap().text().await.unwrap();
        for line in ["shelfwise_pool_waiting 0", "shelfwise_pool_shed_total{reason=\"queue_full\"}"] {
            assert!(metrics.contains(line), "{line}");
        }
    })
    .await;
}

#[derive(diesel::QueryableByName)]
struct Slept {
    #[diesel(sql_type = Text)]
    name: String,
}

/// An operation that the database takes its time for; whether it was served.
async fn slow(app: &App, shop: &Arc<TenantCtx>) -> bool {
    let session = app.services.tenants.session(Arc::clone(shop));
    let read = match session.read().await {
        Ok(read) => read,
        Err(DbError::Overloaded { .. }) => return false,
        Err(error) => panic!("{error}"),
    };
    let query = diesel::sql_query("SELECT 'slept' AS name FROM pg_sleep(0.01)");
    let rows = read.load::<_, Slept, _>(query).await.unwrap();
    drop(read);
    session.finish().await;
    assert_eq!(rows[0].name, "slept");
    true
}

/// Operations of each quiet shop, one after the other.
const QUIET_OPERATIONS: usize = 20;

#[tokio::test]
async fn a_flood_of_slow_operations_of_one_shop_costs_no_other_a_single_one() {
    let app = app(&[("DB_POOL_MAX", "8"), ("DB_QUEUE_MAX", "64"), ("DB_CHECKOUT_TIMEOUT_MS", "20000")]);
    let hot = shop(&app, "h").await;
    let quiet = [shop(&app, "p").await, shop(&app, "q").await, shop(&app, "r").await];
    // A fourth of the connections is its share: two, of which it wants a hundred times as many at any time.
    let (done, _) = watch::channel(0);
    let mut flood = JoinSet::new();
    for _ in 0..200 {
        let (app, hot, mut news) = (Arc::clone(&app), Arc::clone(&hot), done.subscribe());
        flood.spawn(async move {
            let (mut served, mut refused) = (0, 0);
            while *news.borrow_and_update() < QUIET_OPERATIONS * 3 {
                if slow(&app, &hot).await {
                    served += 1;
                } else {
                    refused += 1;
                    // Again when another shop has been served.
                    news.changed().await.unwrap();
                }
            }
            (served, refused)
        });
    }
    while app.services.tenants.pool_state().waiting < 30 {
        tokio::task::yield_now().await;
    }
    let mut others = JoinSet::new();
    for shop in quiet {
        let (app, done) = (Arc::clone(&app), done.clone());
        others.spawn(async move {
            let mut served = 0;
            for _ in 0..QUIET_OPERATIONS {
                served += usize::from(slow(&app, &shop).await);
                done.send_modify(|done| *done += 1);
            }
            served
        });
    }
    assert_eq!(others.join_all().await, [QUIET_OPERATIONS; 3], "all of theirs, and none refused");
    let hot = flood.join_all().await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(hot.0 > 0 && hot.1 > QUIET_OPERATIONS * 3, "what is too much is the flood's own trouble: {hot:?}");
    let state = app.services.tenants.pool_state();
    assert_eq!((state.waiting, state.tenants_waiting), (0, 0));
}
